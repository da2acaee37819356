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
