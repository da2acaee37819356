//! Which questions the solver learns from, and in what order.

use serde::{Deserialize, Serialize};

use infuser_kernels::rng::Stream;

use crate::error::{Error, Result};

/// Which questions are kept, of those whose answers differ in score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Filter {
    /// All.
    All,
    /// Of each document the so many of highest influence.
    TopPerDocument(usize),
    /// Of each document so many at random.
    RandomPerDocument(usize),
    /// Of all questions this part, of highest influence; counted before those without variance go.
    TopFraction(f64),
    /// Of all questions this part, at random.
    RandomFraction(f64),
}

impl Filter {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(self) -> Result<()> {
        match self {
            Self::TopPerDocument(0) | Self::RandomPerDocument(0) => {
                Err(Error::Setting("keep at least one question of a document".into()))
            }
            Self::TopFraction(part) | Self::RandomFraction(part)
                if !(0.0..=1.0).contains(&part) =>
            {
                Err(Error::Setting(format!("the part of questions {part} is not within 0 to 1")))
            }
            _ => Ok(()),
        }
    }

    /// How many of `total` questions a part keeps: rounded up.
    pub fn keep(part: f64, total: usize) -> usize {
        ((part * total as f64).ceil() as usize).min(total)
    }
}

/// What the choice looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate<'a> {
    /// The document it was written from.
    pub document: u32,
    /// Its influence score.
    pub influence: f32,
    /// The scores of its answers.
    pub scores: &'a [f32],
}

/// Whether the answers differ in score: only then is there anything to learn. A single answer says
/// nothing about being better than another.
pub fn varies(scores: &[f32]) -> bool {
    scores.iter().any(|score| *score != scores[0])
}

/// Indices of the questions that are kept, in their order. Ties in influence go to the earlier one;
/// random choices depend on `stream` and the number of questions alone.
///
/// # Errors
/// [`Error::Setting`].
pub fn select(candidates: &[Candidate<'_>], filter: Filter, stream: Stream) -> Result<Vec<usize>> {
    filter.check()?;
    let mut left: Vec<usize> =
        (0..candidates.len()).filter(|i| varies(candidates[*i].scores)).collect();
    let by_influence = |a: &usize, b: &usize| {
        candidates[*b].influence.total_cmp(&candidates[*a].influence).then(a.cmp(b))
    };
    let draw = |i: &usize| stream.uniform(*i as u64);
    let by_chance = |a: &usize, b: &usize| draw(a).total_cmp(&draw(b)).then(a.cmp(b));
    match filter {
        Filter::All => return Ok(left),
        Filter::TopPerDocument(_) | Filter::TopFraction(_) => left.sort_by(by_influence),
        Filter::RandomPerDocument(_) | Filter::RandomFraction(_) => left.sort_by(by_chance),
    }
    match filter {
        Filter::TopPerDocument(most) | Filter::RandomPerDocument(most) => {
            let mut counts = std::collections::BTreeMap::new();
            left.retain(|i| {
                let count = counts.entry(candidates[*i].document).or_insert(0);
                *count += 1;
                *count <= most
            });
        }
        Filter::TopFraction(part) | Filter::RandomFraction(part) => {
            left.truncate(Filter::keep(part, candidates.len()));
        }
        Filter::All => {}
    }
    left.sort_unstable();
    Ok(left)
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The model stopped by itself, rather than being cut.
    pub stopped: bool,
    /// A final answer was found in it. An answer that could be read but not graded was found.
    pub answered: bool,
}

/// The reward of an answer: its score, and a penalty if the model stopped by itself without any
/// answer. (The published code also punishes an answer whose grading ran out of time.)
pub fn solver_reward(score: f32, ending: Ending, penalty: f32) -> f32 {
    if ending.stopped && !ending.answered { score + penalty } else { score }
}

/// An order that spreads each document's questions evenly: question `j` of a document with `k` has
/// the key `(j + ½)/k`; ties go by the document that came first.
///
/// ```
/// let order = infuser_rl::select::stratified(&[7, 7, 7, 7, 9, 9]);
/// assert_eq!(order, [0, 4, 1, 2, 5, 3]);
/// ```
pub fn stratified(documents: &[u32]) -> Vec<usize> {
    let mut order: Vec<(u32, Vec<usize>)> = Vec::new();
    for (i, document) in documents.iter().enumerate() {
        match order.iter_mut().find(|(known, _)| known == document) {
            Some((_, questions)) => questions.push(i),
            None => order.push((*document, vec![i])),
        }
    }
    let mut keyed = Vec::with_capacity(documents.len());
    for (rank, (_, questions)) in order.iter().enumerate() {
        for (j, question) in questions.iter().enumerate() {
            // (2j + 1) / 2k, compared without rounding.
            keyed.push((2 * j as u64 + 1, questions.len() as u64, rank, *question));
        }
    }
    keyed.sort_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)).then(a.2.cmp(&b.2)).then(a.3.cmp(&b.3)));
    keyed.into_iter().map(|(_, _, _, question)| question).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &[f32] = &[1.0, 0.0];
    const EQUAL: &[f32] = &[1.0, 1.0];

    /// Document, influence and scores of each.
    const QUESTIONS: [(u32, f32, &[f32]); 7] = [
        (0, 0.1, MIXED),
        (0, 0.9, EQUAL),
        (0, 0.3, MIXED),
        (1, -0.2, MIXED),
        (1, 0.3, MIXED),
        (2, f32::NEG_INFINITY, MIXED),
        (2, 0.2, EQUAL),
    ];

    fn kept(filter: Filter, stream: u64) -> Vec<usize> {
        let one = |(document, influence, scores)| Candidate { document, influence, scores };
        select(&QUESTIONS.map(one), filter, Stream::new(stream)).unwrap()
    }

    #[test]
    fn the_highest_influence_is_kept() {
        assert_eq!(kept(Filter::All, 1), [0, 2, 3, 4, 5]);
        assert_eq!(kept(Filter::TopPerDocument(1), 1), [2, 4, 5]);
        assert_eq!(kept(Filter::TopPerDocument(2), 1), [0, 2, 3, 4, 5]);
        // Of all seven, those without variance included, then of those with: a tie goes to the earlier.
        assert_eq!(kept(Filter::TopFraction(0.14), 1), [2]);
        assert_eq!(kept(Filter::TopFraction(0.4), 1), [0, 2, 4]);
        assert_eq!(kept(Filter::TopFraction(1.0), 1), [0, 2, 3, 4, 5]);
        assert!(kept(Filter::TopFraction(0.0), 1).is_empty());
    }

    #[test]
    fn chance_does_not_look_at_influence() {
        let mut seen = [0; 7];
        for stream in 0..2000 {
            let kept = kept(Filter::RandomPerDocument(1), stream);
            assert_eq!(kept.len(), 3);
            kept.into_iter().for_each(|i| seen[i] += 1);
        }
        assert_eq!((seen[1], seen[5], seen[6]), (0, 2000, 0));
        for i in [0, 2, 3, 4] {
            assert!((900..1100).contains(&seen[i]), "{seen:?}");
        }
        assert_eq!(kept(Filter::RandomFraction(0.4), 3).len(), 3);
    }

    #[test]
    fn a_penalty_is_for_stopping_without_an_answer() {
        let reward = |stopped, answered| solver_reward(0.0, Ending { stopped, answered }, -0.5);
        assert_eq!(
            [reward(true, false), reward(true, true), reward(false, false)],
            [-0.5, 0.0, 0.0]
        );
    }

    /// Documents of 8, 4 and 2 questions, as in the published code's own test.
    #[test]
    fn documents_are_spread_evenly() {
        let documents = [[0; 8].as_slice(), &[1; 4], &[2; 2]].concat();
        let order = [0, 8, 1, 12, 2, 9, 3, 4, 10, 5, 13, 6, 11, 7];
        assert_eq!(stratified(&documents), order);
    }
}
