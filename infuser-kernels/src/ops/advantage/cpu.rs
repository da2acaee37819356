//! The CPU side of [`super`]: one thread, as a batch has thousands of rows and not millions.

use super::{EPSILON, Normalisation, Singleton};

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Mean and unbiased deviation; equal values have exactly their value and zero.
fn moments(values: &[f64]) -> (f64, f64) {
    let Some((&first, rest)) = values.split_first() else {
        return (0.0, 0.0);
    };
    if rest.iter().all(|&value| value == first) {
        return (first, 0.0);
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, (squares / rest.len() as f64).sqrt())
}

/// The batch, group by group and sorted within a group, so that sums do not depend on row order.
struct Grouped {
    /// The row in the batch.
    rows: Vec<usize>,
    /// `r_i − μ_g` of each of `rows`.
    centred: Vec<f64>,
    /// `σ_g` of each of `rows`.
    deviation: Vec<f64>,
    /// `σ_g` of each group that varies.
    varying: Vec<f64>,
}

impl Grouped {
    fn new(rewards: &[f32], groups: &[u32], singleton: Singleton) -> Self {
        let mut rows: Vec<usize> = (0..rewards.len()).collect();
        rows.sort_unstable_by(|&a, &b| {
            groups[a].cmp(&groups[b]).then(rewards[a].total_cmp(&rewards[b]))
        });
        let (mut centred, mut deviation) = (Vec::new(), Vec::new());
        let mut varying = Vec::new();
        for group in rows.chunk_by(|&a, &b| groups[a] == groups[b]) {
            let values: Vec<f64> = group.iter().map(|&row| rewards[row].into()).collect();
            let (mean, std) = match (singleton, values.len()) {
                (Singleton::Raw, 1) => (0.0, 1.0),
                _ => moments(&values),
            };
            if std > 0.0 {
                varying.push(std);
            }
            centred.extend(values.iter().map(|value| value - mean));
            deviation.extend(values.iter().map(|_| std));
        }
        Self { rows, centred, deviation, varying }
    }
}

pub(super) fn normalise(
    rewards: &[f32],
    groups: &[u32],
    normalisation: Normalisation,
    singleton: Singleton,
    out: &mut [f32],
) {
    let Grouped { rows, centred, deviation, varying } = Grouped::new(rewards, groups, singleton);
    let shared = match normalisation {
        Normalisation::DualStd => mean(&varying),
        Normalisation::BatchStd => moments(&centred).1,
        Normalisation::GroupStd | Normalisation::Centred => 0.0,
    };
    let limit = f64::from(f32::MAX);
    for ((row, centred), deviation) in rows.into_iter().zip(centred).zip(deviation) {
        let divisor = match normalisation {
            Normalisation::GroupStd | Normalisation::DualStd => deviation + shared + EPSILON,
            Normalisation::BatchStd => shared + EPSILON,
            Normalisation::Centred => 1.0,
        };
        out[row] = (centred / divisor).clamp(-limit, limit) as f32;
    }
}
