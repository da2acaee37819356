//! Inverse frequencies, plain and rescaled for contexts longer than the trained one.
//!
//! The formulas and every rounding to f32 are those of `modeling_rope_utils` in Hugging Face
//! transformers 4.57; only the powers are rounded from f64 and not by a vector library.

use std::f64::consts::TAU;

/// How the frequencies are rescaled. The names in brackets are those of `rope_scaling` in a
/// Hugging Face `config.json`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    /// As trained: `f_i = θ^(−2i/E)`.
    None,
    /// Llama 3.1: waves longer than the trained context are slowed by `factor`, short ones kept,
    /// those between interpolated.
    Llama3 {
        /// How many times slower the slow waves get (`factor`).
        factor: f64,
        /// Waves of more than `original_positions / low_frequency_factor` positions are slow
        /// (`low_freq_factor`).
        low_frequency_factor: f64,
        /// Waves of less than `original_positions / high_frequency_factor` positions are kept
        /// (`high_freq_factor`).
        high_frequency_factor: f64,
        /// The context of the first training (`original_max_position_embeddings`).
        original_positions: usize,
    },
    /// YaRN (Peng et al., 2023): a linear ramp over the lanes from kept to slowed waves.
    Yarn {
        /// How many times slower the slow waves get (`factor`).
        factor: f64,
        /// What cosines and sines are multiplied by; for [`tables`](super::tables), the
        /// frequencies do not depend on it. By default `0.1 ln(factor) + 1` (`attention_factor`).
        attention_factor: f64,
        /// Lanes that turn more often than this over the original context are kept (`beta_fast`).
        beta_fast: f64,
        /// Lanes that turn less often than this over the original context are slow (`beta_slow`).
        beta_slow: f64,
        /// The context of the first training (`original_max_position_embeddings`).
        original_positions: usize,
        /// Whether the ends of the ramp are rounded outwards to whole lanes (`truncate`).
        truncate: bool,
    },
}

/// The `width / 2` angles per position, in radians, of the lane pairs of a head of `width` lanes.
///
/// ```
/// use infuser_kernels::ops::rope::{Scaling, inverse_frequencies};
///
/// assert_eq!(inverse_frequencies(10_000.0, 4, &Scaling::None), [1.0, 0.01]);
/// ```
pub fn inverse_frequencies(theta: f64, width: usize, scaling: &Scaling) -> Vec<f32> {
    let periods = periods(theta, width);
    match *scaling {
        Scaling::None => periods.iter().map(|period| 1.0 / period).collect(),
        Scaling::Llama3 {
            factor,
            low_frequency_factor,
            high_frequency_factor,
            original_positions,
        } => {
            let factors = [low_frequency_factor, high_frequency_factor];
            let frequency =
                |period: &f32| llama3(1.0 / period, factor, factors, original_positions);
            periods.iter().map(frequency).collect()
        }
        Scaling::Yarn { factor, beta_fast, beta_slow, original_positions, truncate, .. } => {
            let turns = original_positions as f64 / TAU;
            // The lane pair, as a real number, that turns `beta` times over the original context.
            let lane = |beta: f64| width as f64 * (turns / beta).ln() / (2.0 * theta.ln());
            let (mut low, mut high) = (lane(beta_fast), lane(beta_slow));
            if truncate {
                (low, high) = (low.floor(), high.ceil());
            }
            yarn(&periods, factor, low.max(0.0), high.min(width as f64 - 1.0))
        }
    }
}

/// `θ^(2i/E)`.
fn periods(theta: f64, width: usize) -> Vec<f32> {
    let power = |i: usize| (2 * i) as f32 / width as f32;
    let theta = f64::from(theta as f32);
    (0..width / 2).map(|i| theta.powf(f64::from(power(i))) as f32).collect()
}

fn llama3(frequency: f32, factor: f64, [low, high]: [f64; 2], positions: usize) -> f32 {
    let positions = positions as f64;
    let wave = TAU as f32 / frequency;
    if wave > (positions / low) as f32 {
        frequency / factor as f32
    } else if wave < (positions / high) as f32 {
        frequency
    } else {
        let keep = (positions as f32 / wave - low as f32) / (high - low) as f32;
        (1.0 - keep) * frequency / factor as f32 + keep * frequency
    }
}

fn yarn(periods: &[f32], factor: f64, low: f64, high: f64) -> Vec<f32> {
    let high = if low == high { high + 0.001 } else { high };
    let lane = |(i, period): (usize, &f32)| {
        let ramp = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
        let keep = 1.0 - ramp;
        1.0 / (factor as f32 * period) * (1.0 - keep) + 1.0 / period * keep
    };
    periods.iter().enumerate().map(lane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Tolerance, assert_close, widen};

    /// Literals below are what transformers 4.57 computes, whose powers may be one f32 step off.
    fn assert_same(name: &str, got: &[f32], want: &[f32]) {
        let bound = Tolerance { absolute: 0.0, relative: 2.4e-7 };
        assert_close(name, got, &widen(want), bound);
    }

    fn yarn(theta: f64, factor: f64, original_positions: usize, truncate: bool) -> Vec<f32> {
        let scaling = Scaling::Yarn {
            factor,
            attention_factor: 1.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_positions,
            truncate,
        };
        inverse_frequencies(theta, 16, &scaling)
    }

    #[test]
    fn plain_frequencies() {
        let want = [1.0, 0.31622776, 0.1, 0.03162278, 0.01, 0.0031622779, 0.001, 0.0003162278];
        assert_same("theta 1e4", &inverse_frequencies(1e4, 16, &Scaling::None), &want);
        assert!(inverse_frequencies(1e4, 0, &Scaling::None).is_empty());
    }

    #[test]
    fn llama3_frequencies() {
        let scaling = Scaling::Llama3 {
            factor: 32.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_positions: 8192,
        };
        let want = [
            1.0,
            0.19392276,
            0.03760603,
            0.007292665,
            0.0004295567,
            8.570256e-6,
            1.6619674e-6,
            3.222933e-7,
        ];
        assert_same("llama3", &inverse_frequencies(5e5, 16, &scaling), &want);
    }

    #[test]
    fn yarn_frequencies() {
        let want = [
            1.0,
            0.19392276,
            0.03760603,
            0.0051656375,
            0.0005892556,
            3.4281024e-5,
            6.6478697e-6,
            1.2891732e-6,
        ];
        assert_same("factor 8", &yarn(5e5, 8.0, 8192, true), &want);
        let mut want = [
            1.0,
            0.225418,
            0.050813273,
            0.0077554653,
            0.00091445434,
            1.8188337e-5,
            4.0999785e-6,
            9.2420896e-7,
        ];
        assert_same("truncated", &yarn(1.5e5, 32.0, 4096, true), &want);
        (want[3], want[4]) = (0.0067949593, 0.00045648392);
        assert_same("not truncated", &yarn(1.5e5, 32.0, 4096, false), &want);
    }

    #[test]
    fn yarn_slows_the_slow_lanes_by_its_factor() {
        let (plain, slowed) = (yarn(1e4, 1.0, 4096, true), yarn(1e4, 16.0, 4096, true));
        assert_same("factor 1", &plain, &inverse_frequencies(1e4, 16, &Scaling::None));
        assert_eq!((plain[0], plain[7] / 16.0), (slowed[0], slowed[7]));
        assert!(plain.iter().zip(&slowed).all(|(plain, slowed)| slowed <= plain));
    }
}
