//! The plain f64 twin of [`super`]: complex numbers turned, no tables.

use super::Direction;

/// The rotated `x` of shape `[positions.len(), heads, 2 · frequencies.len()]`. The angle is rounded
/// to f32 here too: it is part of what the op computes.
pub fn apply(
    x: &[f64],
    heads: usize,
    positions: &[u32],
    frequencies: &[f32],
    attention_factor: f64,
    direction: Direction,
) -> Vec<f64> {
    let half = frequencies.len();
    let mut out = vec![0.0; x.len()];
    for (t, &position) in positions.iter().enumerate() {
        for head in 0..heads {
            for (i, frequency) in frequencies.iter().enumerate() {
                let angle = f64::from(position as f32 * frequency);
                let (sin, cos) = match direction {
                    Direction::Forward => angle.sin_cos(),
                    Direction::Backward => (-angle).sin_cos(),
                };
                let low = (t * heads + head) * 2 * half + i;
                let high = low + half;
                out[low] = attention_factor * (x[low] * cos - x[high] * sin);
                out[high] = attention_factor * (x[high] * cos + x[low] * sin);
            }
        }
    }
    out
}
