//! Questions that a generated question must not repeat.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

/// Words that are compared together.
const RUN: usize = 5;
/// Shared runs that a near copy has at the least; fewer are phrases that many questions share.
const FEWEST: usize = 6;
/// The part of the shorter question's runs that a near copy shares at the least.
const PART: f64 = 0.6;

/// Questions, ready to be compared with.
///
/// A question repeats one of them if both read the same but for case, spaces and punctuation, or if
/// they share runs of five words: at least six different ones that are at least 60 % of those of the
/// shorter question. In runs all numbers are alike: a question with other numbers is a copy.
#[derive(Debug, Clone, Default)]
pub struct Seeds {
    /// By normalised text.
    texts: HashMap<String, usize>,
    /// By the hash of a run of words.
    runs: HashMap<u64, Vec<usize>>,
    /// Different runs of each question.
    counts: Vec<usize>,
}

impl Seeds {
    /// Takes the texts of questions.
    pub fn new<'a>(questions: impl IntoIterator<Item = &'a str>) -> Self {
        let mut seeds = Self::default();
        for (index, question) in questions.into_iter().enumerate() {
            let text = normal(question);
            let runs = runs(&text);
            seeds.counts.push(runs.len());
            for run in runs {
                seeds.runs.entry(run).or_default().push(index);
            }
            seeds.texts.entry(text).or_insert(index);
        }
        seeds
    }

    /// The first of the questions that `question` repeats.
    pub fn repeated(&self, question: &str) -> Option<usize> {
        let text = normal(question);
        if let Some(&index) = self.texts.get(&text) {
            return Some(index);
        }
        let runs = runs(&text);
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for &index in runs.iter().filter_map(|run| self.runs.get(run)).flatten() {
            *shared.entry(index).or_default() += 1;
        }
        let near = |(&index, &shared): (&usize, &usize)| {
            let shorter = runs.len().min(self.counts[index]);
            (shared >= FEWEST && shared as f64 >= PART * shorter as f64).then_some(index)
        };
        shared.iter().filter_map(near).min()
    }
}

/// Lower case, words with one space between them. Signs that change what a formula says stay.
fn normal(text: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || "+-*/^=<>".contains(c);
    let lower: String =
        text.chars().flat_map(char::to_lowercase).map(|c| if keep(c) { c } else { ' ' }).collect();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The hashes of the runs of words; those of a text that is shorter than one are none.
fn runs(normal: &str) -> HashSet<u64> {
    let number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let words: Vec<&str> =
        normal.split(' ').map(|word| if number(word) { "0" } else { word }).collect();
    let hash = |run: &[&str]| {
        let mut hasher = DefaultHasher::new();
        run.hash(&mut hasher);
        hasher.finish()
    };
    words.windows(RUN).map(hash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_found_and_relatives_are_not() {
        let seeds = Seeds::new([
            "What is the capital of France?",
            "A train leaves Oslo at noon and covers 480 km in 6 hours with one stop of 20 minutes; how fast was it on average?",
            "x + 1 = 2?",
        ]);
        for (question, found) in [
            ("what is the CAPITAL of france", Some(0)),
            ("What is the capital of Spain?", None),
            (
                "A train leaves Oslo at noon and covers 360 km in 5 hours with one stop of 10 minutes; how fast was it on average?",
                Some(1),
            ),
            (
                "Think first. A train leaves Oslo at noon and covers 480 km in 6 hours with one stop of 20 minutes; how slow?",
                Some(1),
            ),
            (
                "A train leaves Bergen at dawn with 40 passengers; how many seats of its 3 coaches stay free on average?",
                None,
            ),
            ("x + 1 = 3?", None),
            ("x - 1 = 2?", None),
            ("X  +  1  =  2", Some(2)),
            ("", None),
        ] {
            assert_eq!(seeds.repeated(question), found, "{question}");
        }
        assert_eq!(Seeds::default().repeated("What is the capital of France?"), None);
    }

    #[test]
    fn long_texts_are_fine() {
        let long = "word ".repeat(100_000);
        let seeds = Seeds::new([&long[..], "a b c d e f g h i j k"]);
        assert_eq!(seeds.repeated(&long), Some(0));
        assert_eq!(seeds.repeated("0 a b c d e f g h i j k"), Some(1));
    }
}
