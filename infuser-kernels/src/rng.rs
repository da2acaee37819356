//! Random draws keyed by what they are for, not by when they happen.
//!
//! Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
//! bijection of a 128-bit counter under a 64-bit key. A [`Stream`] is a key; children are derived
//! from it by number (run seed, then purpose, role, iteration, item), and draw `i` of a stream is
//! always the same number. So results do not depend on batch composition, threads or resumption.

/// A named source of random numbers; copying it is free and draws nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
}

/// Counter word that separates the derivation of child keys from draws.
const CHILD: u32 = 1;

impl Stream {
    /// The root stream of a run.
    pub fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32] }
    }

    /// The stream for item `index` of this one. Distinct paths give independent streams, up to the
    /// 2⁻⁶⁴ chance that two keys collide.
    pub fn child(&self, index: u64) -> Self {
        let block = philox4x32([index as u32, (index >> 32) as u32, 0, CHILD], self.key);
        Self { key: [block[0], block[1]] }
    }

    /// The key, for kernels that draw themselves.
    pub(crate) fn key(&self) -> [u32; 2] {
        self.key
    }

    /// Draw `index`, as 64 random bits.
    pub fn bits(&self, index: u64) -> u64 {
        let block = philox4x32([index as u32, (index >> 32) as u32, 0, 0], self.key);
        u64::from(block[0]) | u64::from(block[1]) << 32
    }

    /// Draw `index`, uniform in [0, 1) with 53 random bits.
    ///
    /// ```
    /// let stream = infuser_kernels::rng::Stream::new(7).child(3);
    /// assert_eq!(stream.uniform(5), stream.uniform(5));
    /// assert!((0.0..1.0).contains(&stream.uniform(5)));
    /// ```
    pub fn uniform(&self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Draw `index`, standard normal (Box-Muller over the two halves of one block).
    pub fn normal(&self, index: u64) -> f64 {
        let block = philox4x32([index as u32, (index >> 32) as u32, 0, 0], self.key);
        let unit = |word: u32| (f64::from(word) + 0.5) / (1u64 << 32) as f64;
        (-2.0 * unit(block[0]).ln()).sqrt() * (std::f64::consts::TAU * unit(block[1])).cos()
    }
}

/// The Philox4x32-10 block function.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    let (mut c, mut k) = (counter, key);
    for _ in 0..10 {
        let product0 = u64::from(MULTIPLIERS[0]) * u64::from(c[0]);
        let product1 = u64::from(MULTIPLIERS[1]) * u64::from(c[2]);
        c = [
            (product1 >> 32) as u32 ^ c[1] ^ k[0],
            product1 as u32,
            (product0 >> 32) as u32 ^ c[3] ^ k[1],
            product0 as u32,
        ];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers published with the Random123 library.
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(
            philox4x32([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32([ones; 4], [ones; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32(pi, [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn streams_are_apart_and_draws_are_uniform() {
        let root = Stream::new(11);
        assert_ne!(root.child(0).bits(0), root.child(1).bits(0));
        assert_ne!(root.bits(0), root.child(0).bits(0));
        let n = 20_000;
        let mean = (0..n).map(|i| root.uniform(i)).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 4.0 * (1.0f64 / 12.0 / n as f64).sqrt(), "mean {mean}");
        let square = (0..n).map(|i| root.normal(i).powi(2)).sum::<f64>() / n as f64;
        assert!((square - 1.0).abs() < 4.0 * (2.0 / n as f64).sqrt(), "variance {square}");
    }
}
