//! The same distribution by its definition, in f64.

use super::Sampling;

/// The probability with which each token is drawn, filters included.
pub fn distribution(
    logits: &[f32],
    sampling: Sampling,
    penalty: Option<(f32, &[u32])>,
) -> Vec<f64> {
    let penalised = |(i, z): (usize, &f32)| {
        let z = f64::from(*z);
        match penalty {
            Some((r, seen)) if seen.contains(&(i as u32)) => {
                if z > 0.0 {
                    z / f64::from(r)
                } else {
                    z * f64::from(r)
                }
            }
            _ => z,
        }
    };
    let z: Vec<f64> = logits.iter().enumerate().map(penalised).collect();
    let mut order: Vec<usize> = (0..z.len()).collect();
    order.sort_by(|a, b| z[*b].total_cmp(&z[*a]).then(a.cmp(b)));
    let mut p = vec![0.0; z.len()];
    let Sampling::Random { temperature, top_k, top_p, min_p } = sampling else {
        p[order[0]] = 1.0;
        return p;
    };
    let weight = |i: &usize| ((z[*i] - z[order[0]]) / f64::from(temperature)).exp();
    let mut kept = order.clone();
    kept.truncate(top_k.unwrap_or(z.len()));
    let total: f64 = kept.iter().map(weight).sum();
    let mut before = 0.0;
    kept.retain(|i| {
        let keep = before < f64::from(top_p) * total;
        before += weight(i);
        keep
    });
    kept.retain(|i| weight(i) >= f64::from(min_p));
    let total: f64 = kept.iter().map(weight).sum();
    kept.iter().for_each(|i| p[*i] = weight(i) / total);
    p
}
