//! Clipped and dual-clip PPO.

use serde::{Deserialize, Serialize};

use super::{Loss, Term, Tokens, sum};
use crate::{error::Result, reduce::Divisor};

/// Where the ratio is cut.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Clip {
    /// The ratio counts no lower than `1 − low`.
    pub low: f64,
    /// The ratio counts no higher than `1 + high`.
    pub high: f64,
    /// `c > 1`: with a negative advantage the loss is at most `−c A`; `None` for plain PPO.
    pub dual: Option<f64>,
}

impl Default for Clip {
    /// The values of the paper.
    fn default() -> Self {
        Self { low: 0.2, high: 0.2, dual: Some(3.0) }
    }
}

/// Proximal policy optimisation (Schulman et al. 2017) with the dual clip of Ye et al. (2020):
///
/// ```text
/// ℓ = max(−A ρ, −A clip(ρ, 1 − low, 1 + high));      if A < 0: ℓ = min(ℓ, −A c)
/// ```
///
/// At a tie the unclipped side counts, so that a ratio of 1 has a gradient. Where the two sides are
/// equal for good (`A = 0`) the gradient is 0.
///
/// # Errors
/// [`crate::Error::Length`].
pub fn clipped(tokens: &Tokens<'_>, clip: &Clip, divisor: Divisor) -> Result<Loss> {
    tokens.check()?;
    Ok(sum(tokens, divisor, |t| {
        let advantage = f64::from(tokens.advantages[t]);
        let (ratio, moves) = tokens.ratio(t);
        let plain = -advantage * ratio;
        let bounded = -advantage * ratio.clamp(1.0 - clip.low, 1.0 + clip.high);
        let upper = plain.max(bounded);
        let floor = clip.dual.map(|c| -advantage * c).filter(|_| advantage < 0.0);
        let acts = floor.is_some_and(|floor| upper > floor);
        let value = if acts { floor.unwrap_or(upper) } else { upper };
        let inside = plain >= bounded && !acts && moves;
        Term {
            value,
            slope: if inside { plain } else { 0.0 },
            clipped: bounded > plain,
            clipped_lower: acts,
        }
    }))
}
