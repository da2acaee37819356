//! Other members of the family, for comparison with what others run.

use super::{Clip, Counts, Loss, Term, Tokens, sum};
use crate::{
    error::Result,
    reduce::{Divisor, ranges},
};

/// `ℓ = −A logp`: REINFORCE (Williams 1992), as group policy gradient uses it.
///
/// # Errors
/// [`crate::Error::Length`].
pub fn reinforce(tokens: &Tokens<'_>, divisor: Divisor) -> Result<Loss> {
    tokens.check()?;
    Ok(sum(tokens, divisor, |t| {
        let advantage = f64::from(tokens.advantages[t]);
        let value = -advantage * f64::from(tokens.logp[t]);
        Term { value, slope: -advantage, clipped: false, clipped_lower: false }
    }))
}

/// `ℓ = −A sg(clip(ρ, 1 − low, 1 + high)) logp`: the ratio is cut, the gradient is not (CISPO,
/// MiniMax-M1 2025).
///
/// # Errors
/// [`crate::Error::Length`].
pub fn cispo(tokens: &Tokens<'_>, clip: &Clip, divisor: Divisor) -> Result<Loss> {
    tokens.check()?;
    Ok(sum(tokens, divisor, |t| {
        let advantage = f64::from(tokens.advantages[t]);
        let (ratio, _) = tokens.ratio(t);
        let cut = ratio.clamp(1.0 - clip.low, 1.0 + clip.high);
        let value = -advantage * cut * f64::from(tokens.logp[t]);
        Term { value, slope: -advantage * cut, clipped: cut != ratio, clipped_lower: false }
    }))
}

/// How steep the gates of [`sapo`] are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gates {
    /// For positive advantages.
    pub positive: f64,
    /// For others.
    pub negative: f64,
}

/// `ℓ = −A (4/τ) sigmoid(τ (ρ − 1))`: a soft gate in place of the clip (SAPO, 2025).
///
/// # Errors
/// [`crate::Error::Length`].
pub fn sapo(tokens: &Tokens<'_>, gates: &Gates, divisor: Divisor) -> Result<Loss> {
    tokens.check()?;
    Ok(sum(tokens, divisor, |t| {
        let advantage = f64::from(tokens.advantages[t]);
        let tau = if advantage > 0.0 { gates.positive } else { gates.negative };
        let (ratio, moves) = tokens.ratio(t);
        let gate = 1.0 / (1.0 + (-tau * (ratio - 1.0)).exp());
        let slope = if moves { -advantage * 4.0 * gate * (1.0 - gate) * ratio } else { 0.0 };
        Term { value: -advantage * gate * 4.0 / tau, slope, clipped: false, clipped_lower: false }
    }))
}

/// The clipped loss with one ratio for a response, the geometric mean of its tokens' (GSPO, Zheng et
/// al. 2025). Each token's gradient goes through its own log-probability. `divisor` should divide
/// means of responses.
///
/// # Errors
/// [`crate::Error::Length`].
pub fn gspo(tokens: &Tokens<'_>, clip: &Clip, divisor: Divisor) -> Result<Loss> {
    /// Larger ratios are cut, as in the paper's code.
    const MAX_LOG: f64 = 10.0;
    tokens.check()?;
    let mut logs = Vec::with_capacity(tokens.logp.len());
    for range in ranges(tokens.lengths) {
        let len = range.len().max(1) as f64;
        let mean = range.clone().map(|t| tokens.log_ratio(t)).sum::<f64>() / len;
        logs.extend(range.map(|_| mean));
    }
    Ok(sum(tokens, divisor, |t| {
        let advantage = f64::from(tokens.advantages[t]);
        let ratio = logs[t].min(MAX_LOG).exp();
        let plain = -advantage * ratio;
        let bounded = -advantage * ratio.clamp(1.0 - clip.low, 1.0 + clip.high);
        let inside = plain >= bounded && logs[t] <= MAX_LOG;
        Term {
            value: plain.max(bounded),
            slope: if inside { plain } else { 0.0 },
            clipped: bounded > plain,
            clipped_lower: false,
        }
    }))
}

/// One term a response: minus its mean advantage times the geometric mean of its ratios, each cut
/// where it would help (GMPO, Zhao et al. 2025). `divisor` counts responses. Weights enter as their
/// geometric mean.
///
/// # Errors
/// [`crate::Error::Length`].
pub fn geometric_mean(tokens: &Tokens<'_>, clip: &Clip, divisor: Divisor) -> Result<Loss> {
    tokens.check()?;
    let mut loss =
        Loss { value: 0.0, dlogp: vec![0.0; tokens.logp.len()], counts: Counts::default() };
    for range in ranges(tokens.lengths).filter(|range| !range.is_empty()) {
        let len = range.len() as f64;
        let (mut log, mut advantage, mut weight) = (0.0, 0.0, 0.0);
        let mut moving = Vec::with_capacity(range.len());
        for t in range.clone() {
            let own = f64::from(tokens.advantages[t]);
            let ratio = tokens.log_ratio(t);
            let cut = ratio.clamp(-clip.low, clip.high);
            // The smaller gain counts: a ratio that moved in the advantage's favour is cut.
            let kept = if own.is_sign_negative() { ratio.max(cut) } else { ratio.min(cut) };
            let kept = if own == 0.0 { 0.0 } else { kept };
            moving.push(kept == ratio && own != 0.0);
            log += kept / len;
            advantage += own / len;
            weight += tokens.weight(t).max(1e-10).ln() / len;
            loss.counts.add(&Counts {
                tokens: 1,
                clipped: usize::from(cut != ratio && own > 0.0),
                clipped_lower: usize::from(cut != ratio && own < 0.0),
                kl: -ratio,
            });
        }
        let term = -advantage * log.exp() * weight.exp() / divisor.count();
        loss.value += term;
        for (t, _) in range.zip(&moving).filter(|(_, moves)| **moves) {
            loss.dlogp[t] = (term / len) as f32;
        }
    }
    Ok(loss)
}
