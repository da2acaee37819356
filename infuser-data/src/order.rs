//! Seeded orders. A permutation depends on its key alone: never on a state, a thread or what was
//! drawn before, so nothing has to be replayed to resume.

use sha2::{Digest, Sha256};

/// The order of `len` things under a key: a list of their indices.
///
/// Each index is ranked by SHA-256 of the key's parts (each with its length) and itself, so the
/// order is the same on every machine and in every version of this crate.
pub fn permutation(key: &[&[u8]], len: usize) -> Vec<usize> {
    let base = keyed(key);
    let rank = |i: usize| base.clone().chain_update((i as u64).to_le_bytes()).finalize();
    let mut order: Vec<_> = (0..len).map(|i| (rank(i), i)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, i)| i).collect()
}

/// Places `first` to `first + count` of an endless walk over `len` things: all of them again and
/// again, each time in another order. Nothing if there is nothing to walk over.
pub fn walk(key: &[&[u8]], len: usize, first: u64, count: usize) -> Vec<usize> {
    let mut found = Vec::with_capacity(count);
    if len == 0 {
        return found;
    }
    let mut round = None;
    for place in first..first + count as u64 {
        let (number, within) = (place / len as u64, (place % len as u64) as usize);
        let (_, order) = match round.take().filter(|(known, _)| *known == number) {
            Some(known) => round.insert(known),
            None => {
                let bytes = number.to_le_bytes();
                let key: Vec<&[u8]> = key.iter().copied().chain([&bytes[..]]).collect();
                round.insert((number, permutation(&key, len)))
            }
        };
        found.push(order[within]);
    }
    found
}

/// The first eight bytes of SHA-256 of the key's parts, as a seed or a short name.
pub fn digest(key: &[&[u8]]) -> u64 {
    let bytes = keyed(key).finalize();
    bytes.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn keyed(key: &[&[u8]]) -> Sha256 {
    let mut hash = Sha256::new();
    for part in key {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_permutation_of_its_key_alone() {
        let order = permutation(&[b"choices", b"7"], 50);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert_eq!(order, permutation(&[b"choices", b"7"], 50));
        assert_ne!(order, permutation(&[b"choices", b"8"], 50));
        assert_ne!(order, permutation(&[b"choices7", b""], 50), "parts do not run together");
    }

    #[test]
    fn a_walk_passes_everything_once_a_round_wherever_it_is_cut() {
        let whole = walk(&[b"w"], 7, 0, 21);
        for round in whole.chunks(7) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..7).collect::<Vec<_>>());
        }
        assert_ne!(whole[..7], whole[7..14]);
        assert_eq!(walk(&[b"w"], 7, 5, 9), whole[5..14]);
        assert!(walk(&[b"w"], 0, 5, 9).is_empty());
    }

    /// Orders are part of what a seed promises; the values are those of a few lines of Python.
    #[test]
    fn orders_and_digests_stay() {
        assert_eq!(permutation(&[b"a"], 8), [3, 6, 0, 4, 1, 5, 2, 7]);
        assert_eq!(digest(&[b"a"]), 12_565_361_580_560_438_774);
    }
}
