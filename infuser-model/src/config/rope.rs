//! Rotary settings of `config.json`, in all their spellings.

use serde::Deserialize;

use super::RopeScaling;

/// One rotary embedding: base and scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// The base θ.
    pub theta: f64,
    /// How frequencies are changed for longer contexts.
    pub scaling: RopeScaling,
}

impl Rope {
    /// Factor on the rotated queries and keys (1 but for yarn).
    pub fn attention_factor(&self) -> f32 {
        match self.scaling {
            RopeScaling::Yarn { attention_factor, .. } => attention_factor as f32,
            _ => 1.0,
        }
    }
}

/// `rope_scaling` (transformers 4) or one entry of `rope_parameters` (transformers 5).
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct RawRope {
    rope_type: Option<String>,
    /// The older name of `rope_type`.
    #[serde(rename = "type")]
    old_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
    partial_rotary_factor: Option<f64>,
}

impl RawRope {
    /// The typed form; `theta` is the base if the entry itself names none.
    pub(super) fn resolve(&self, theta: f64, max_positions: usize) -> Result<Rope, String> {
        let theta = self.rope_theta.unwrap_or(theta);
        if !(theta > 1.0 && theta.is_finite()) {
            return Err(format!("`rope_theta` is {theta}, expected a finite number above 1"));
        }
        if self.partial_rotary_factor.is_some_and(|share| share != 1.0) {
            return Err("`partial_rotary_factor` other than 1 is not supported".into());
        }
        let kind = self.rope_type.as_deref().or(self.old_type.as_deref()).unwrap_or("default");
        let scaling = match kind {
            "default" => RopeScaling::None,
            "llama3" => self.llama3()?,
            "yarn" => self.yarn(max_positions)?,
            other => {
                return Err(format!(
                    "rope scaling `{other}` is not supported; known: default, llama3, yarn"
                ));
            }
        };
        Ok(Rope { theta, scaling })
    }

    fn positive(name: &str, value: Option<f64>) -> Result<f64, String> {
        match value {
            Some(value) if value > 0.0 && value.is_finite() => Ok(value),
            Some(value) => Err(format!("rope `{name}` is {value}, expected a positive number")),
            None => Err(format!("rope scaling needs `{name}`")),
        }
    }

    fn llama3(&self) -> Result<RopeScaling, String> {
        let low = Self::positive("low_freq_factor", self.low_freq_factor)?;
        let high = Self::positive("high_freq_factor", self.high_freq_factor)?;
        if high <= low {
            return Err(format!(
                "rope `high_freq_factor` {high} is not above `low_freq_factor` {low}"
            ));
        }
        Ok(RopeScaling::Llama3 {
            factor: Self::positive("factor", self.factor)?,
            low_frequency_factor: low,
            high_frequency_factor: high,
            original_positions: self
                .original_max_position_embeddings
                .filter(|&positions| positions > 0)
                .ok_or("rope scaling needs `original_max_position_embeddings` above 0")?,
        })
    }

    /// Yarn (Peng et al., 2023) with the defaults of the reference code: β 32 and 1, and an attention
    /// factor of `0.1 ln(factor) + 1`, or the ratio of the two mscale terms if both are given.
    fn yarn(&self, max_positions: usize) -> Result<RopeScaling, String> {
        let factor = Self::positive("factor", self.factor)?;
        let mscale = |m: f64| if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 };
        let inferred = match (self.mscale, self.mscale_all_dim) {
            (Some(a), Some(b)) if a != 0.0 && b != 0.0 => mscale(a) / mscale(b),
            _ => mscale(1.0),
        };
        // Absent and zero both mean the default, as in the reference code.
        let or_default = |name: &str, value: Option<f64>, default: f64| match value {
            None | Some(0.0) => Ok(default),
            value => Self::positive(name, value),
        };
        Ok(RopeScaling::Yarn {
            factor,
            attention_factor: or_default("attention_factor", self.attention_factor, inferred)?,
            beta_fast: or_default("beta_fast", self.beta_fast, 32.0)?,
            beta_slow: or_default("beta_slow", self.beta_slow, 1.0)?,
            original_positions: self
                .original_max_position_embeddings
                .filter(|&positions| positions > 0)
                .unwrap_or(max_positions),
            truncate: self.truncate.unwrap_or(true),
        })
    }
}
