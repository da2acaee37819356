//! Which evaluation items stand in a training pool: their word n-grams, looked for in every text.
//!
//! Texts are compared as lower-case words of letters and digits. The n-grams of the items are held in
//! memory, the pool passes by. What is reported was compared as text, so no hit is a coincidence of
//! hashes. The report does not depend on the number of threads.

mod index;
mod pool;
mod words;

use rayon::prelude::*;

use crate::{Error, Result, suite::Item};
use index::Index;

pub use pool::{Pool, Text};

/// How many words are compared together, unless another number is asked for.
pub const DEFAULT_N: usize = 13;
/// The most words that are compared together.
pub const MAX_N: usize = 100;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Words of an n-gram.
    pub n: usize,
    /// Texts of the pool.
    pub texts: usize,
    /// One entry an item, in their order.
    pub items: Vec<Overlap>,
}

/// How much of an item stands in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The item's id.
    pub id: String,
    /// Words of its question. One of fewer than n words is compared whole, as a single n-gram.
    pub words: usize,
    /// Different n-grams of its question; 0 if it has no words.
    pub ngrams: usize,
    /// How many of them the pool holds.
    pub shared: usize,
    /// One of those.
    pub example: Option<Example>,
}

/// An n-gram and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The words, in lower case.
    pub ngram: String,
    /// The name of a text that holds it: of all texts the one in which most of the item's shared
    /// n-grams were met first.
    pub text: String,
}

impl Overlap {
    /// The part of its n-grams that the pool holds, from 0 to 1; 0 if it has none.
    pub fn fraction(&self) -> f64 {
        if self.ngrams == 0 { 0.0 } else { self.shared as f64 / self.ngrams as f64 }
    }
}

impl Report {
    /// The items that share anything: by the part that is shared, then by its length.
    pub fn affected(&self) -> Vec<&Overlap> {
        let mut affected: Vec<&Overlap> = self.items.iter().filter(|i| i.shared > 0).collect();
        // Stable: equal ones keep the order of the items.
        affected.sort_by(|a, b| {
            b.fraction().total_cmp(&a.fraction()).then_with(|| b.shared.cmp(&a.shared))
        });
        affected
    }
}

/// Looks for the questions of `items` in the texts of `pool`, by n-grams of `n` words. The choices
/// and the answers of the items are not compared.
///
/// Time is linear in the words of the items and of the pool, for each length of item below `n`.
///
/// # Errors
/// An `n` that is not from 1 to [`MAX_N`]; the first error of the pool.
pub fn check<P>(pool: P, items: &[Item], n: usize) -> Result<Report>
where
    P: IntoIterator<Item = Result<Text>>,
{
    if !(1..=MAX_N).contains(&n) {
        let problem = format!("n-grams of {n} words; the number must be from 1 to {MAX_N}");
        return Err(Error::Setting(problem));
    }
    let questions: Vec<&str> = items.iter().map(|item| item.question.text()).collect();
    let index = Index::new(&questions, n);
    let mut found = Found { first: vec![None; index.ngrams()], names: Vec::new(), texts: 0 };
    let mut pool = pool.into_iter();
    loop {
        let batch = next_batch(&mut pool)?;
        if batch.is_empty() {
            break;
        }
        let hits: Vec<Vec<u32>> = batch.par_iter().map(|text| index.find(&text.text)).collect();
        for (text, hits) in batch.iter().zip(hits) {
            found.add(&text.name, &hits);
        }
    }
    Ok(found.report(&index, items, n))
}

/// As many texts as are worth a parallel pass.
fn next_batch(pool: &mut impl Iterator<Item = Result<Text>>) -> Result<Vec<Text>> {
    const TEXTS: usize = 4096;
    const BYTES: usize = 32 << 20;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < TEXTS && bytes < BYTES {
        let Some(text) = pool.next().transpose()? else { break };
        bytes += text.text.len();
        batch.push(text);
    }
    Ok(batch)
}

/// What the pool has shown so far.
struct Found {
    /// For every n-gram the text that held it first, as an index into `names`.
    first: Vec<Option<usize>>,
    /// Names of the texts that held an n-gram first.
    names: Vec<String>,
    texts: usize,
}

impl Found {
    fn add(&mut self, name: &str, hits: &[u32]) {
        self.texts += 1;
        let place = self.names.len();
        let mut new = false;
        for hit in hits {
            let first = &mut self.first[*hit as usize];
            if first.is_none() {
                *first = Some(place);
                new = true;
            }
        }
        if new {
            self.names.push(name.to_string());
        }
    }

    fn report(&self, index: &Index, items: &[Item], n: usize) -> Report {
        let overlap = |(i, item): (usize, &Item)| {
            let ngrams = index.ngrams_of(i);
            let shared: Vec<(u32, usize)> = ngrams
                .iter()
                .filter_map(|ngram| Some((*ngram, self.first[*ngram as usize]?)))
                .collect();
            let example = most(shared.iter().map(|(_, place)| *place)).and_then(|place| {
                let (ngram, _) = shared.iter().find(|(_, first)| *first == place)?;
                let ngram = index.text(*ngram).to_string();
                Some(Example { ngram, text: self.names[place].clone() })
            });
            let (id, words) = (item.id.clone(), index.words_of(i));
            Overlap { id, words, ngrams: ngrams.len(), shared: shared.len(), example }
        };
        let items = items.iter().enumerate().map(overlap).collect();
        Report { n, texts: self.texts, items }
    }
}

/// The value that stands most often; of several the smallest.
fn most(values: impl Iterator<Item = usize>) -> Option<usize> {
    let mut sorted: Vec<usize> = values.collect();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a == b);
    let longest = runs.reduce(|best, run| if run.len() > best.len() { run } else { best })?;
    longest.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_and_then_the_smallest() {
        assert_eq!(most([5, 3, 5, 3, 9].into_iter()), Some(3));
        assert_eq!(most([5, 3, 5].into_iter()), Some(5));
        assert_eq!(most([].into_iter()), None);
    }
}
