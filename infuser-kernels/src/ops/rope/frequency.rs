//! The rotation frequency of each pair of lanes, and how it is scaled for longer contexts.

use std::f64::consts::TAU;

/// Changes to the plain frequencies `θ^(−2i/E)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    /// None.
    None,
    /// Llama 3.1: wavelengths beyond the original context are stretched by `factor`, short ones kept,
    /// those between blended.
    Llama3 {
        /// Stretch of the longest wavelengths.
        factor: f64,
        /// Wavelengths above `original_positions / low_frequency_factor` are stretched fully.
        low_frequency_factor: f64,
        /// Wavelengths below `original_positions / high_frequency_factor` are kept.
        high_frequency_factor: f64,
        /// Context length of the first training.
        original_positions: usize,
    },
    /// YaRN (Peng et al., 2023): a linear ramp over lanes between kept and stretched.
    Yarn {
        /// Stretch of the slow lanes.
        factor: f64,
        /// Factor on the rotated vectors; applied by [`super::tables`], not here.
        attention_factor: f64,
        /// Lanes with more rotations than this over the original context are kept.
        beta_fast: f64,
        /// Lanes with fewer are stretched fully.
        beta_slow: f64,
        /// Context length of the first training.
        original_positions: usize,
        /// Whether the ends of the ramp are rounded outwards to whole lanes.
        truncate: bool,
    },
}

/// The E/2 frequencies for a head of `width` lanes, in f32 as the reference code has them.
///
/// ```
/// use infuser_kernels::ops::rope::{Scaling, inverse_frequencies};
/// assert_eq!(inverse_frequencies(10_000.0, 4, &Scaling::None), [1.0, 0.01]);
/// ```
pub fn inverse_frequencies(theta: f64, width: usize, scaling: &Scaling) -> Vec<f32> {
    let plain = (0..width / 2).map(|i| (1.0 / theta.powf((2 * i) as f64 / width as f64)) as f32);
    match *scaling {
        Scaling::None => plain.collect(),
        Scaling::Llama3 {
            factor,
            low_frequency_factor: low,
            high_frequency_factor: high,
            original_positions,
        } => {
            let original = original_positions as f64;
            plain.map(|f| llama3(f.into(), factor, [low, high], original) as f32).collect()
        }
        Scaling::Yarn { factor, beta_fast, beta_slow, original_positions, truncate, .. } => {
            let lane = |rotations: f64| {
                let turns = original_positions as f64 / (rotations * TAU);
                width as f64 * turns.ln() / (2.0 * theta.ln())
            };
            let (mut from, mut to) = (lane(beta_fast), lane(beta_slow));
            if truncate {
                (from, to) = (from.floor(), to.ceil());
            }
            let (from, mut to) = (from.max(0.0), to.min((width - 1) as f64));
            if from == to {
                // The reference code's guard against a ramp of no length.
                to += 0.001;
            }
            let stretched = |(i, f): (usize, f32)| {
                let ramp = ((i as f64 - from) / (to - from)).clamp(0.0, 1.0);
                let f = f64::from(f);
                (f / factor * ramp + f * (1.0 - ramp)) as f32
            };
            plain.enumerate().map(stretched).collect()
        }
    }
}

fn llama3(frequency: f64, factor: f64, [low, high]: [f64; 2], original: f64) -> f64 {
    let wavelength = TAU / frequency;
    if wavelength < original / high {
        frequency
    } else if wavelength > original / low {
        frequency / factor
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Tolerance, assert_close};

    const TIGHT: Tolerance = Tolerance { absolute: 0.0, relative: 3e-7 };

    fn yarn(factor: f64, [beta_fast, beta_slow]: [f64; 2], truncate: bool) -> Vec<f32> {
        let scaling = Scaling::Yarn {
            factor,
            attention_factor: 1.0,
            beta_fast,
            beta_slow,
            original_positions: 64,
            truncate,
        };
        inverse_frequencies(10_000.0, 16, &scaling)
    }

    /// Frequencies that transformers 4.57 computes for the same settings.
    #[test]
    fn scaled_frequencies_match_the_reference_code() {
        let llama3 = Scaling::Llama3 {
            factor: 8.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_positions: 64,
        };
        let want = [
            1.0,
            0.079_403_012_990_951_54,
            0.004_700_753_837_823_868,
            0.000_911_583_134_438_842_5,
            0.000_176_776_680_746_115_74,
            3.428_102_354_519_069e-5,
            6.647_869_668_086_059e-6,
            1.289_173_155_782_919e-6,
        ];
        assert_close("llama3", &inverse_frequencies(500_000.0, 16, &llama3), &want, TIGHT);
        let tail = [
            0.007_905_694_656_074_047,
            0.002_499_999_944_120_645_5,
            0.000_790_569_465_607_404_7,
            0.000_250_000_011_874_361_8,
            7.905_694_656_074_047e-5,
        ];
        let with_tail = |head: [f64; 3]| -> Vec<f64> { head.into_iter().chain(tail).collect() };
        let want = with_tail([1.0, 0.237_170_815_467_834_47, 0.049_999_997_019_767_76]);
        assert_close("yarn", &yarn(4.0, [32.0, 1.0], true), &want, TIGHT);
        let want = with_tail([1.0, 0.198_583_528_399_467_47, 0.025_595_249_608_159_065]);
        assert_close("yarn, not truncated", &yarn(4.0, [32.0, 1.0], false), &want, TIGHT);
        let want = [
            1.0,
            0.221_359_431_743_621_83,
            0.039_999_999_105_930_33,
            0.012_649_111_449_718_475,
            0.004_000_000_189_989_805,
            0.001_264_911_144_971_847_5,
            0.000_399_999_989_895_150_07,
            0.000_126_491_111_586_801_7,
        ];
        assert_close("yarn, other betas", &yarn(2.5, [16.0, 2.0], true), &want, TIGHT);
    }
}
