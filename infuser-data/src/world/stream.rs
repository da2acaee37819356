//! Random numbers of one thing of the world: a document, a question, an example.

use crate::order;

/// A SplitMix64 stream that starts at the digest of a key, so that a thing depends on its key alone.
#[derive(Debug, Clone)]
pub struct Stream(u64);

impl Stream {
    /// The stream of thing `index` among those made for `purpose` under `seed`.
    pub fn new(seed: u64, purpose: &str, index: u64) -> Self {
        Self(order::digest(&[
            b"world",
            &seed.to_le_bytes(),
            purpose.as_bytes(),
            &index.to_le_bytes(),
        ]))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `below` - 1. The bias, `below` in 2⁶⁴, is nothing here.
    pub fn below(&mut self, below: usize) -> usize {
        ((u128::from(self.next()) * below as u128) >> 64) as usize
    }

    /// A number of a range, ends included.
    pub fn within(&mut self, range: std::ops::RangeInclusive<i32>) -> i32 {
        let (from, to) = range.into_inner();
        from + self.below((to - from + 1) as usize) as i32
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) * (1.0 / (1u64 << 53) as f64) < probability
    }

    /// One of several.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Puts things in another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_its_key() {
        let draws = |seed, purpose: &str, index| {
            let mut stream = Stream::new(seed, purpose, index);
            [0; 4].map(|_| stream.below(1000))
        };
        assert_eq!(draws(1, "a", 2), draws(1, "a", 2));
        for other in [draws(2, "a", 2), draws(1, "b", 2), draws(1, "a", 3)] {
            assert_ne!(draws(1, "a", 2), other);
        }
    }

    #[test]
    fn draws_are_even() {
        let mut stream = Stream::new(0, "even", 0);
        let mut counts = [0; 7];
        let mut heads = 0;
        for _ in 0..70_000 {
            counts[(stream.within(-3..=3) + 3) as usize] += 1;
            heads += usize::from(stream.chance(0.3));
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert!((20_300..21_700).contains(&heads), "{heads}");
    }
}
