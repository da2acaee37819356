//! The n-grams of all items, found by their hash and compared as text.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::words::{Words, run_hashes};

/// The different n-grams of some questions.
pub(super) struct Index {
    questions: Vec<Words>,
    ngrams: Vec<Ngram>,
    /// The n-grams of each question, without repetition, in their order.
    of_question: Vec<Vec<u32>>,
    /// The lengths that occur: n, and those of shorter questions.
    lengths: BTreeSet<usize>,
    /// The last n-gram of each length and hash.
    by_hash: HashMap<(usize, u64), u32>,
    filter: Filter,
}

struct Ngram {
    /// A question that holds it, and the word there at which it begins.
    question: u32,
    start: u32,
    count: u32,
    /// Another n-gram of the same length and hash.
    next: Option<u32>,
}

/// Says of most hashes quickly that no n-gram has them.
struct Filter(Vec<u64>);

impl Filter {
    fn new(ngrams: usize) -> Self {
        // Sixteen bits an n-gram, so that one in sixteen strangers passes.
        Self(vec![0; (ngrams / 4).next_power_of_two()])
    }

    /// The word and the bit of a hash. The multiplication spreads the length.
    fn place(&self, count: usize, hash: u64) -> (usize, u64) {
        let mixed = (hash ^ (count as u64) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        ((mixed >> 6) as usize & (self.0.len() - 1), 1 << (mixed & 63))
    }

    fn insert(&mut self, count: usize, hash: u64) {
        let (word, bit) = self.place(count, hash);
        self.0[word] |= bit;
    }

    fn may_hold(&self, count: usize, hash: u64) -> bool {
        let (word, bit) = self.place(count, hash);
        self.0[word] & bit != 0
    }
}

impl Index {
    pub(super) fn new(questions: &[&str], n: usize) -> Self {
        let questions: Vec<Words> = questions.iter().map(|text| Words::of(text)).collect();
        let most = questions.iter().map(Words::len).sum();
        let mut index = Self {
            questions: Vec::new(),
            ngrams: Vec::new(),
            of_question: Vec::new(),
            lengths: BTreeSet::new(),
            by_hash: HashMap::new(),
            filter: Filter::new(most),
        };
        for words in questions {
            index.add(words, n);
        }
        index
    }

    fn add(&mut self, words: Words, n: usize) {
        let count = n.min(words.len());
        let question = self.questions.len() as u32;
        let hashes = words.hashes();
        self.questions.push(words);
        let mut ids = Vec::new();
        if count > 0 {
            self.lengths.insert(count);
            for (start, hash) in run_hashes(&hashes, count).enumerate() {
                let text = self.questions[question as usize].run(start, count);
                let known = self.lookup(count, hash, text);
                ids.push(known.unwrap_or_else(|| self.insert(question, start, count, hash)));
            }
        }
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(*id));
        self.of_question.push(ids);
    }

    fn insert(&mut self, question: u32, start: usize, count: usize, hash: u64) -> u32 {
        let id = self.ngrams.len() as u32;
        let next = self.by_hash.insert((count, hash), id);
        self.ngrams.push(Ngram { question, start: start as u32, count: count as u32, next });
        self.filter.insert(count, hash);
        id
    }

    fn lookup(&self, count: usize, hash: u64, text: &str) -> Option<u32> {
        if !self.filter.may_hold(count, hash) {
            return None;
        }
        let mut candidate = self.by_hash.get(&(count, hash)).copied();
        while let Some(id) = candidate {
            if self.text(id) == text {
                return Some(id);
            }
            candidate = self.ngrams[id as usize].next;
        }
        None
    }

    /// The n-grams that stand in a text, sorted.
    pub(super) fn find(&self, text: &str) -> Vec<u32> {
        let words = Words::of(text);
        let hashes = words.hashes();
        let mut found = Vec::new();
        for &count in &self.lengths {
            for (start, hash) in run_hashes(&hashes, count).enumerate() {
                if self.filter.may_hold(count, hash) {
                    found.extend(self.lookup(count, hash, words.run(start, count)));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// How many n-grams there are; they are numbered from 0.
    pub(super) fn ngrams(&self) -> usize {
        self.ngrams.len()
    }

    pub(super) fn ngrams_of(&self, question: usize) -> &[u32] {
        &self.of_question[question]
    }

    pub(super) fn words_of(&self, question: usize) -> usize {
        self.questions[question].len()
    }

    /// The words of an n-gram.
    pub(super) fn text(&self, ngram: u32) -> &str {
        let Ngram { question, start, count, .. } = self.ngrams[ngram as usize];
        self.questions[question as usize].run(start as usize, count as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ngrams_are_one() {
        let index = Index::new(&["a b c a b", "A, B!", "b c a b", "", "x"], 2);
        // ab bc ca | ab | bc ca ab | | x
        assert_eq!((index.ngrams(), index.lengths.clone()), (4, BTreeSet::from([1, 2])));
        assert_eq!(index.ngrams_of(0), [0, 1, 2]);
        assert_eq!(index.ngrams_of(1), [0]);
        assert_eq!(index.ngrams_of(2), [1, 2, 0]);
        assert!(index.ngrams_of(3).is_empty());
        assert_eq!((index.text(index.ngrams_of(4)[0]), index.words_of(3)), ("x", 0));
        assert_eq!(index.find("zz. B c; c a x"), [1, 2, 3]);
    }

    /// Two texts under one hash are told apart.
    #[test]
    fn equal_hashes_are_compared_as_text() {
        let mut index = Index::new(&["a b", "c d"], 2);
        let other = index.by_hash.iter().find(|(_, id)| **id == 1).map(|(key, _)| *key).unwrap();
        let id = index.insert(0, 0, 2, other.1);
        assert_eq!(index.lookup(2, other.1, "c d"), Some(1));
        assert_eq!(index.lookup(2, other.1, "a b"), Some(id));
        assert_eq!(index.lookup(2, other.1, "e f"), None);
    }
}
