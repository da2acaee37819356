//! The CPU side of [`super`]: a task a draw.

use rayon::prelude::*;

use super::{Draw, Drawn, Sampling};
use crate::{
    ops::head,
    simd::{exp, max, simd, sum},
};

pub(super) fn draw(logits: &[f32], vocab: usize, draws: &[Draw<'_>]) -> Vec<Drawn> {
    let scratch = || (vec![0.0; vocab], vec![0.0; vocab]);
    draws
        .par_iter()
        .map_init(scratch, |(scaled, p), draw| {
            let raw = &logits[draw.row * vocab..(draw.row + 1) * vocab];
            one(raw, draw, scaled, p)
        })
        .collect()
}

/// One draw; `z` becomes the penalised logits over the temperature.
fn one(raw: &[f32], draw: &Draw<'_>, z: &mut [f32], p: &mut [f32]) -> Drawn {
    z.copy_from_slice(raw);
    if let Some((penalty, seen)) = draw.penalty {
        for &token in seen {
            // From `raw`, so that a token that was seen twice is punished once.
            let logit = raw[token as usize];
            z[token as usize] = if logit > 0.0 { logit / penalty } else { logit * penalty };
        }
    }
    let (lse, entropy) = head::statistics(z, draw.sampling.temperature());
    let token = match draw.sampling {
        Sampling::Greedy => argmax(z),
        Sampling::Random { top_k, top_p, min_p, .. } => {
            simd(
                #[inline(always)]
                || p.iter_mut().zip(&*z).for_each(|(p, z)| *p = exp(*z - lse)),
            );
            if top_k.is_none_or(|k| k >= z.len()) && top_p >= 1.0 && min_p == 0.0 {
                pick(p, draw.uniform.value())
            } else {
                let kept = kept(z, p, top_k, f64::from(top_p), min_p);
                pick_of(&kept, p, draw.uniform.value())
            }
        }
    };
    let logp = z[token] - lse;
    let plain = draw.penalty.is_none() && draw.sampling.temperature() == 1.0;
    let raw_logp = if plain {
        logp
    } else {
        z.copy_from_slice(raw);
        raw[token] - head::statistics(z, 1.0).0
    };
    Drawn { token: token as u32, logp, raw_logp, entropy }
}

/// The first of the largest values.
fn argmax(z: &[f32]) -> usize {
    let top = simd(
        #[inline(always)]
        || max(z),
    );
    z.iter().position(|value| *value == top).unwrap_or(0)
}

/// The ids that the filters keep, in their order.
fn kept(z: &[f32], p: &[f32], top_k: Option<usize>, top_p: f64, min_p: f32) -> Vec<u32> {
    let before = |a: &u32, b: &u32| z[*b as usize].total_cmp(&z[*a as usize]).then(a.cmp(b));
    let mut ids: Vec<u32> = (0..z.len() as u32).collect();
    if let Some(k) = top_k.filter(|k| *k < ids.len()) {
        ids.select_nth_unstable_by(k - 1, before);
        ids.truncate(k);
        ids.sort_unstable();
    }
    if top_p < 1.0 {
        let total: f64 = ids.iter().map(|id| f64::from(p[*id as usize])).sum();
        let enough = nucleus(&mut ids, p, top_p * total, before);
        ids.truncate(enough);
    }
    if min_p > 0.0 {
        let top = p[argmax(z)];
        ids.retain(|id| p[*id as usize] >= min_p * top);
    }
    ids.sort_unstable();
    ids
}

/// Brings the most probable ids to the front until they reach `mass`; how many those are.
fn nucleus(
    ids: &mut [u32],
    p: &[f32],
    mass: f64,
    before: impl Fn(&u32, &u32) -> std::cmp::Ordering,
) -> usize {
    let (mut sorted, mut step, mut reached) = (0, 64, 0.0);
    while sorted < ids.len() {
        let rest = &mut ids[sorted..];
        let count = step.min(rest.len());
        if count < rest.len() {
            rest.select_nth_unstable_by(count - 1, &before);
        }
        rest[..count].sort_unstable_by(&before);
        for (i, id) in rest[..count].iter().enumerate() {
            reached += f64::from(p[*id as usize]);
            if reached >= mass {
                return sorted + i + 1;
            }
        }
        sorted += count;
        step *= 4;
    }
    ids.len()
}

/// The first token at which the running sum of all probabilities passes `uniform` of their total.
fn pick(p: &[f32], uniform: f64) -> usize {
    /// Tokens whose sum is taken at once.
    const CHUNK: usize = 256;
    let sums: Vec<f64> = p
        .chunks(CHUNK)
        .map(|chunk| {
            f64::from(simd(
                #[inline(always)]
                || sum(chunk),
            ))
        })
        .collect();
    let mut left = uniform * sums.iter().sum::<f64>();
    for (i, sum) in sums.iter().enumerate() {
        if left < *sum {
            // The sum of a chunk is rounded, so its end may come before the last of it is reached.
            let chunk = &p[i * CHUNK..(i * CHUNK + CHUNK).min(p.len())];
            let inside = chunk.iter().position(|p| {
                left -= f64::from(*p);
                left < 0.0
            });
            let last = || chunk.iter().rposition(|p| *p > 0.0).unwrap_or(0);
            return i * CHUNK + inside.unwrap_or_else(last);
        }
        left -= sum;
    }
    p.iter().rposition(|p| *p > 0.0).unwrap_or(0)
}

/// [`pick`] among `kept`.
fn pick_of(kept: &[u32], p: &[f32], uniform: f64) -> usize {
    let p = |id: &u32| f64::from(p[*id as usize]);
    let mut left = uniform * kept.iter().map(p).sum::<f64>();
    let found = kept.iter().find(|id| {
        left -= p(id);
        left < 0.0
    });
    let last = || kept.iter().rev().find(|id| p(id) > 0.0);
    found.or_else(last).map_or(0, |id| *id as usize)
}
