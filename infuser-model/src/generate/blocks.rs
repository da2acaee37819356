//! Who owns which blocks of the cache, and which hold the beginning of what text.
//!
//! A block is free, owned by one or more sequences, or idle: owned by nobody, but known to hold the
//! keys of certain tokens after certain others, until its place is needed. What is known is a tree:
//! a full block is found by the node of the block before it and its tokens, compared one by one, so
//! there is no hash that two texts could share.

use std::collections::{BTreeMap, HashMap};

/// The node of the block before the first.
pub(super) const ROOT: u64 = 0;

/// Where a known block hangs in the tree.
type Place = (u64, Box<[u32]>);

/// The blocks of one cache.
#[derive(Debug)]
pub(super) struct BlockPool {
    /// Owners of each block.
    owners: Vec<u32>,
    free: Vec<u32>,
    /// Idle blocks by when they became so; the oldest is given away first.
    idle: BTreeMap<u64, u32>,
    /// When each idle block became so.
    idle_since: Vec<u64>,
    clock: u64,
    /// The known blocks, and where each hangs.
    known: HashMap<Place, Known>,
    place: Vec<Option<Place>>,
    next_node: u64,
}

/// A block whose tokens are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) node: u64,
    pub(super) block: u32,
}

impl BlockPool {
    pub(super) fn new(count: usize) -> Self {
        Self {
            owners: vec![0; count],
            free: (0..count as u32).rev().collect(),
            idle: BTreeMap::new(),
            idle_since: vec![0; count],
            clock: 0,
            known: HashMap::new(),
            place: vec![None; count],
            next_node: ROOT + 1,
        }
    }

    /// Blocks in all.
    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Blocks that nobody owns.
    pub(super) fn available(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    /// A block for one owner, if nobody owns all of them; what an idle one held is forgotten.
    pub(super) fn take(&mut self) -> Option<u32> {
        let block = match self.free.pop() {
            Some(block) => block,
            None => {
                let (_, block) = self.idle.pop_first()?;
                if let Some(place) = self.place[block as usize].take() {
                    self.known.remove(&place);
                }
                block
            }
        };
        self.owners[block as usize] = 1;
        Some(block)
    }

    /// One more owner of a block that is owned or idle.
    pub(super) fn share(&mut self, block: u32) {
        let at = block as usize;
        if self.owners[at] == 0 {
            self.idle.remove(&self.idle_since[at]);
        }
        self.owners[at] += 1;
    }

    /// One owner less.
    pub(super) fn release(&mut self, block: u32) {
        let at = block as usize;
        self.owners[at] -= 1;
        if self.owners[at] > 0 {
            return;
        }
        if self.place[at].is_some() {
            self.clock += 1;
            self.idle_since[at] = self.clock;
            self.idle.insert(self.clock, block);
        } else {
            self.free.push(block);
        }
    }

    /// The block that holds `tokens` after `node`.
    pub(super) fn find(&self, node: u64, tokens: &[u32]) -> Option<Known> {
        self.known.get(&(node, tokens.into())).copied()
    }

    /// Makes known that `block` holds `tokens` after `node`, unless another one does; the node of
    /// these tokens.
    pub(super) fn learn(&mut self, node: u64, tokens: &[u32], block: u32) -> u64 {
        let place: Place = (node, tokens.into());
        if let Some(known) = self.known.get(&place) {
            return known.node;
        }
        let node = self.next_node;
        self.next_node += 1;
        self.place[block as usize] = Some(place.clone());
        self.known.insert(place, Known { node, block });
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_by_all_that_came_before_them() {
        let mut pool = BlockPool::new(3);
        let [a, b] = [0; 2].map(|_| pool.take().unwrap());
        let first = pool.learn(ROOT, &[1, 2], a);
        let second = pool.learn(first, &[3, 4], b);
        assert_eq!(pool.learn(ROOT, &[1, 2], b), first);
        assert_eq!(pool.find(ROOT, &[1, 2]).unwrap().block, a);
        assert_eq!(pool.find(first, &[3, 4]).unwrap().node, second);
        assert!(pool.find(ROOT, &[3, 4]).is_none());
        assert!(pool.find(second, &[3, 4]).is_none());
    }

    #[test]
    fn idle_blocks_are_kept_until_their_place_is_needed() {
        let mut pool = BlockPool::new(2);
        let [a, b] = [0; 2].map(|_| pool.take().unwrap());
        assert!(pool.take().is_none());
        let node = pool.learn(ROOT, &[1], a);
        pool.learn(node, &[2], b);
        pool.share(a);
        pool.release(b);
        pool.release(a);
        assert_eq!(pool.available(), 1);
        pool.release(a);
        assert_eq!(pool.available(), 2);
        // The one that was released first goes first, and only it is forgotten.
        assert_eq!(pool.take(), Some(b));
        assert!(pool.find(node, &[2]).is_none());
        pool.share(pool.find(ROOT, &[1]).unwrap().block);
        assert_eq!((pool.available(), pool.take()), (0, None));
        pool.release(b);
        assert_eq!((pool.take(), pool.len()), (Some(b), 2));
    }
}
