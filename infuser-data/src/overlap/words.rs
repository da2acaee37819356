//! A text as words, and hashes of runs of them.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The words of a text in lower case: runs of letters and digits.
pub(super) struct Words {
    /// The words with a space between them.
    text: String,
    /// Where in `text` each word ends.
    ends: Vec<usize>,
}

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let mut words = Self { text: String::with_capacity(text.len()), ends: Vec::new() };
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            if !words.ends.is_empty() {
                words.text.push(' ');
            }
            words.text.extend(word.chars().flat_map(char::to_lowercase));
            words.ends.push(words.text.len());
        }
        words
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// `count` words from word `start` on; both must be inside.
    pub(super) fn run(&self, start: usize, count: usize) -> &str {
        let from = if start == 0 { 0 } else { self.ends[start - 1] + 1 };
        &self.text[from..self.ends[start + count - 1]]
    }

    /// A number for each word, below [`PRIME`].
    pub(super) fn hashes(&self) -> Vec<u64> {
        let hash = |word: usize| {
            let mut hasher = DefaultHasher::new();
            self.run(word, 1).hash(&mut hasher);
            hasher.finish() % PRIME
        };
        (0..self.len()).map(hash).collect()
    }
}

/// The Mersenne prime 2^61 - 1, modulo which runs are hashed.
const PRIME: u64 = (1 << 61) - 1;
/// Any number below the prime that is not small.
const BASE: u64 = 0x1357_9bdf_0246_8ace;

fn product(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    let folded = (wide as u64 & PRIME) + (wide >> 61) as u64;
    if folded >= PRIME { folded - PRIME } else { folded }
}

/// The hash of every run of `count` words, at least 1, from the hashes of words: a polynomial in
/// [`BASE`], to which one word is added and from which one is taken at each step.
pub(super) fn run_hashes(words: &[u64], count: usize) -> impl Iterator<Item = u64> + '_ {
    let top = (1..count).fold(1, |power, _| product(power, BASE));
    let mut hash = 0;
    words.iter().enumerate().filter_map(move |(i, word)| {
        if i >= count {
            hash = (hash + PRIME - product(words[i - count], top)) % PRIME;
        }
        hash = (product(hash, BASE) + word) % PRIME;
        (i + 1 >= count).then_some(hash)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits_in_lower_case() {
        let words = Words::of("  The  fox's 3.5 ÄPFEL—x²\n日本語!");
        assert_eq!(words.run(0, words.len()), "the fox s 3 5 äpfel x² 日本語");
        assert_eq!((words.len(), words.run(1, 2), words.run(5, 1)), (8, "fox s", "äpfel"));
        for blank in ["", " .,!\n"] {
            assert_eq!(Words::of(blank).len(), 0);
        }
    }

    #[test]
    fn rolling_equals_hashing_each_run_afresh() {
        let words: Vec<u64> = (0..50_u64).map(|i| product(i * i + 7, BASE)).collect();
        for count in [1, 2, 7, 50] {
            let afresh = |run: &[u64]| run.iter().fold(0, |h, w| (product(h, BASE) + w) % PRIME);
            let expected: Vec<u64> = words.windows(count).map(afresh).collect();
            assert_eq!(run_hashes(&words, count).collect::<Vec<_>>(), expected);
        }
        assert_eq!(run_hashes(&words, 51).count(), 0);
        assert_eq!(product(PRIME - 1, PRIME - 1), 1);
    }
}
