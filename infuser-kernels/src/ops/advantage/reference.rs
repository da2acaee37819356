//! The plain f64 twin of [`super`].

use super::{EPSILON, Normalisation, Singleton};

/// Unbiased standard deviation; 0 for fewer than two values.
fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    if values.len() < 2 { 0.0 } else { (squares / (n - 1.0)).sqrt() }
}

/// `(μ, σ)` of one group; `σ` is exactly 0 if its rewards are equal.
fn statistics(group: &[f64], singleton: Singleton) -> (f64, f64) {
    if group.len() == 1 && singleton == Singleton::Raw {
        (0.0, 1.0)
    } else if group.iter().all(|x| *x == group[0]) {
        (group[0], 0.0)
    } else {
        (group.iter().sum::<f64>() / group.len() as f64, deviation(group))
    }
}

/// The advantages, each row looking up its group anew.
pub fn normalise(
    rewards: &[f64],
    groups: &[u32],
    normalisation: Normalisation,
    singleton: Singleton,
) -> Vec<f64> {
    let of = |id: u32| -> (f64, f64) {
        let members = rewards.iter().zip(groups).filter(|(_, group)| **group == id);
        statistics(&members.map(|(reward, _)| *reward).collect::<Vec<_>>(), singleton)
    };
    let ids: std::collections::BTreeSet<u32> = groups.iter().copied().collect();
    let varying: Vec<f64> = ids.into_iter().map(|id| of(id).1).filter(|std| *std > 0.0).collect();
    let shared = varying.iter().sum::<f64>() / varying.len().max(1) as f64;
    let centred: Vec<f64> = rewards.iter().zip(groups).map(|(r, g)| r - of(*g).0).collect();
    let batch = deviation(&centred);
    let scaled = centred.iter().zip(groups).map(|(centred, group)| match normalisation {
        Normalisation::GroupStd => centred / (of(*group).1 + EPSILON),
        Normalisation::DualStd => centred / (of(*group).1 + shared + EPSILON),
        Normalisation::BatchStd => centred / (batch + EPSILON),
        Normalisation::Centred => *centred,
    });
    scaled.collect()
}
