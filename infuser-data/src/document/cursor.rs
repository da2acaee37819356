//! The order in which documents are used: each once an epoch, and never twice in a batch.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Pool;
use crate::{Error, Result, order};

/// A place in the endless order of a pool's documents under a seed.
///
/// Each epoch is a permutation of its own. A batch that reaches over the end of an epoch passes over
/// the documents of the new epoch that it holds already; they come first in the next batch.
#[derive(Debug, Clone)]
pub struct Cursor {
    state: State,
    /// Of the current epoch: indices of documents.
    order: Vec<usize>,
}

/// All of a cursor that must be kept to go on from where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The seed of the order.
    pub seed: u64,
    /// The current epoch, from 0.
    pub epoch: u64,
    /// How much of the epoch's permutation was used or passed over.
    pub position: usize,
    /// What was passed over and is still to come in this epoch, first come first.
    pub passed: Vec<usize>,
    /// [`Pool::fingerprint`] of the pool.
    pub pool: String,
}

impl Cursor {
    /// The beginning of the order under `seed`.
    pub fn new(pool: &Pool, seed: u64) -> Self {
        let pool_name = pool.fingerprint().to_string();
        let state = State { seed, epoch: 0, position: 0, passed: Vec::new(), pool: pool_name };
        Self { order: epoch_order(seed, 0, pool.documents().len()), state }
    }

    /// Goes on from a state that was kept.
    ///
    /// # Errors
    /// A state of another pool; one that no cursor can have been in.
    pub fn resume(pool: &Pool, state: State) -> Result<Self> {
        if state.pool != pool.fingerprint() {
            return Err(Error::Setting(format!(
                "the place in the documents was kept for the pool {}, but this pool is {}; resume \
                 with the documents that the run began with",
                crate::json::quoted(&state.pool),
                pool.fingerprint()
            )));
        }
        let len = pool.documents().len();
        let order = epoch_order(state.seed, state.epoch, len);
        let seen = order.get(..state.position).map(|seen| seen.iter().collect::<HashSet<_>>());
        let distinct: HashSet<_> = state.passed.iter().collect();
        let possible = seen.is_some_and(|seen| distinct.is_subset(&seen));
        if !possible || distinct.len() != state.passed.len() {
            return Err(Error::Setting(format!(
                "the place in the documents is damaged: position {} with {} passed over, of {len}",
                state.position,
                state.passed.len()
            )));
        }
        Ok(Self { state, order })
    }

    /// What [`Cursor::resume`] needs to go on from here.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The next `size` documents as indices into [`Pool::documents`], no two the same.
    ///
    /// # Errors
    /// A batch that is larger than the pool, or empty. The cursor stays where it is.
    pub fn next_batch(&mut self, size: usize) -> Result<Vec<usize>> {
        let len = self.order.len();
        if size == 0 || size > len {
            return Err(Error::Setting(format!(
                "a batch of {size} documents from a pool of {len}: expected 1 to {len}, so that no \
                 document comes twice in a batch"
            )));
        }
        let State { position, passed, .. } = &mut self.state;
        let mut batch: Vec<_> = passed.drain(..passed.len().min(size)).collect();
        let end = len.min(*position + size - batch.len());
        batch.extend(&self.order[*position..end]);
        *position = end;
        if batch.len() < size {
            self.fill_from_next_epoch(&mut batch, size);
        }
        Ok(batch)
    }

    /// The old epoch is used up. The new one holds enough that is not in the batch, as the batch is
    /// not larger than the pool.
    fn fill_from_next_epoch(&mut self, batch: &mut Vec<usize>, size: usize) {
        let held: HashSet<_> = batch.iter().copied().collect();
        self.state.epoch = self.state.epoch.saturating_add(1);
        self.state.position = 0;
        self.order = epoch_order(self.state.seed, self.state.epoch, self.order.len());
        for &index in &self.order {
            if batch.len() == size {
                break;
            }
            self.state.position += 1;
            let to = if held.contains(&index) { &mut self.state.passed } else { &mut *batch };
            to.push(index);
        }
    }
}

fn epoch_order(seed: u64, epoch: u64, len: usize) -> Vec<usize> {
    order::permutation(&[b"documents", &seed.to_le_bytes(), &epoch.to_le_bytes()], len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::Document;

    fn pool(len: usize) -> Pool {
        let document = |i| Document {
            doc_id: format!("d{i}"),
            source_number: None,
            position: None,
            content: format!("text {i}"),
            title_path: None,
            field: None,
            source: None,
            token_count: None,
            prompt_type: None,
        };
        Pool::new((0..len).map(document).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn batches_hold_no_document_twice_and_an_epoch_each_once(
            len in 1_usize..30, seed: u64, sizes in prop::collection::vec(1_usize..30, 1..40),
        ) {
            let pool = pool(len);
            let mut cursor = Cursor::new(&pool, seed);
            let mut counts = vec![0_usize; len];
            for size in sizes {
                let size = 1 + (size - 1) % len;
                let batch = cursor.next_batch(size).unwrap();
                prop_assert_eq!(batch.len(), size);
                prop_assert_eq!(batch.iter().collect::<HashSet<_>>().len(), size);
                for index in batch {
                    counts[index] += 1;
                }
                // In the middle of epoch e a document came e times, or once more if it came already.
                let State { epoch, position, passed, .. } = cursor.state();
                let came: HashSet<_> = cursor.order[..*position]
                    .iter()
                    .filter(|index| !passed.contains(index))
                    .collect();
                for (index, &count) in counts.iter().enumerate() {
                    prop_assert_eq!(count as u64, epoch + u64::from(came.contains(&index)));
                }
            }
        }

        #[test]
        fn a_kept_place_goes_on_exactly(
            len in 1_usize..30, seed: u64, sizes in prop::collection::vec(1_usize..30, 1..40),
        ) {
            let pool = pool(len);
            let mut whole = Cursor::new(&pool, seed);
            let mut state = serde_json::to_string(whole.state()).unwrap();
            for size in sizes {
                let size = 1 + (size - 1) % len;
                let kept = serde_json::from_str(&state).unwrap();
                let mut resumed = Cursor::resume(&pool, kept).unwrap();
                prop_assert_eq!(resumed.next_batch(size).unwrap(), whole.next_batch(size).unwrap());
                prop_assert_eq!(resumed.state(), whole.state());
                state = serde_json::to_string(resumed.state()).unwrap();
            }
        }
    }

    #[test]
    fn batches_that_are_too_large_and_foreign_places_are_refused() {
        let (five, six) = (pool(5), pool(6));
        let mut cursor = Cursor::new(&five, 1);
        for size in [0, 6] {
            let message = cursor.next_batch(size).unwrap_err().to_string();
            assert!(message.contains("expected 1 to 5"), "{message}");
        }
        assert_eq!(cursor.state(), Cursor::new(&five, 1).state());
        let state = cursor.state().clone();
        let message = Cursor::resume(&six, state.clone()).unwrap_err().to_string();
        assert!(message.contains(five.fingerprint()) && message.contains(six.fingerprint()));
        let unread = cursor.order[2];
        for (position, passed) in [(6, vec![]), (2, vec![unread]), (5, vec![0, 0]), (0, vec![9])] {
            let damaged = State { position, passed, ..state.clone() };
            let message = Cursor::resume(&five, damaged).unwrap_err().to_string();
            assert!(message.contains("damaged"), "{message}");
        }
    }

    /// The order is part of what a seed promises: a change would break every kept place.
    #[test]
    fn the_order_stays() {
        let mut cursor = Cursor::new(&pool(8), 42);
        let batches: Vec<_> = (0..3).map(|_| cursor.next_batch(5).unwrap()).collect();
        assert_eq!(batches, EXPECTED);
    }

    const EXPECTED: [[usize; 5]; 3] = [[7, 3, 0, 2, 5], [4, 6, 1, 7, 3], [1, 6, 4, 0, 2]];
}
