//! The plain f64 twin of [`super`].

use super::{Preconditioner, Sums};

/// The four sums, one element after the other; `exp_avg_sq` is zeros before the first step.
pub fn sums(
    gradient: &[f64],
    exp_avg_sq: &[f64],
    target: &[f64],
    preconditioner: &Preconditioner,
) -> Sums {
    let Preconditioner { beta2, epsilon, step } = *preconditioner;
    let mut sums = Sums::default();
    for ((g, v), m) in gradient.iter().zip(exp_avg_sq).zip(target) {
        let v_next = beta2 * v + (1.0 - beta2) * g * g;
        let v_hat = v_next / (1.0 - beta2.powf(step as f64 + 1.0));
        let gamma = if v_hat == 0.0 && epsilon == 0.0 { 0.0 } else { g / (v_hat.sqrt() + epsilon) };
        sums +=
            Sums { dot: g * m, gradient_sq: g * g, gamma_dot: gamma * m, gamma_sq: gamma * gamma };
    }
    sums
}
