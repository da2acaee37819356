//! The plain f64 twin of [`super`].

use super::AdamW;

/// `(w, m, v)` after step `step` (from 1) with this gradient.
pub fn step(
    hyper: &AdamW,
    step: u64,
    gradient_scale: f64,
    gradient: &[f64],
    (weight, exp_avg, exp_avg_sq): (&[f64], &[f64], &[f64]),
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let AdamW { learning_rate, beta1, beta2, epsilon, weight_decay } = *hyper;
    let (mut w, mut m, mut v) = (weight.to_vec(), exp_avg.to_vec(), exp_avg_sq.to_vec());
    for i in 0..gradient.len() {
        let g = gradient_scale * gradient[i];
        w[i] -= learning_rate * weight_decay * w[i];
        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
        v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
        let m_hat = m[i] / (1.0 - beta1.powf(step as f64));
        let v_hat = v[i] / (1.0 - beta2.powf(step as f64));
        w[i] -= learning_rate * m_hat / (v_hat.sqrt() + epsilon);
    }
    (w, m, v)
}
