//! The plain f64 twin of [`super`].

/// Logits over temperature of every row, `[N][V]`.
fn scores(x: &[f64], w: &[f64], width: usize, temperature: f64) -> Vec<Vec<f64>> {
    let dot = |x: &[f64], w: &[f64]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>();
    x.chunks(width).map(|x| w.chunks(width).map(|w| dot(x, w) / temperature).collect()).collect()
}

fn log_sum_exp(z: &[f64]) -> f64 {
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + z.iter().map(|z| (z - top).exp()).sum::<f64>().ln()
}

/// `[logp, entropy, lse]`.
pub fn forward(
    x: &[f64],
    w: &[f64],
    targets: &[u32],
    width: usize,
    temperature: f64,
) -> [Vec<f64>; 3] {
    let mut out = [Vec::new(), Vec::new(), Vec::new()];
    for (z, &target) in scores(x, w, width, temperature).iter().zip(targets) {
        let lse = log_sum_exp(z);
        out[0].push(z[target as usize] - lse);
        out[1].push(z.iter().map(|z| (z - lse).exp() * (lse - z)).sum());
        out[2].push(lse);
    }
    out
}

/// `(dx, dw)` for the gradients of log-probability and entropy.
pub fn backward(
    [x, w]: [&[f64]; 2],
    targets: &[u32],
    width: usize,
    temperature: f64,
    [dlogp, dentropy]: [&[f64]; 2],
) -> (Vec<f64>, Vec<f64>) {
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    let [_, entropy, lse] = forward(x, w, targets, width, temperature);
    for (n, z) in scores(x, w, width, temperature).iter().enumerate() {
        for (j, z) in z.iter().enumerate() {
            let log_p = z - lse[n];
            let hit = if j == targets[n] as usize { 1.0 } else { 0.0 };
            let through_entropy = dentropy[n] * log_p.exp() * (log_p + entropy[n]);
            let dz = (dlogp[n] * (hit - log_p.exp()) - through_entropy) / temperature;
            for e in 0..width {
                dx[n * width + e] += dz * w[j * width + e];
                dw[j * width + e] += dz * x[n * width + e];
            }
        }
    }
    (dx, dw)
}
