//! The plain f64 twin of [`super`].

/// Turns `x [T, H, E]`; `turn` is 1 forward and −1 backward.
pub fn apply(
    x: &[f64],
    positions: &[u32],
    frequencies: &[f32],
    [heads, attention_factor, turn]: [f64; 3],
) -> Vec<f64> {
    let (half, mut out) = (frequencies.len(), x.to_vec());
    for (t, head) in out.chunks_mut(2 * half).enumerate() {
        let position = positions[t / heads as usize];
        for i in 0..half {
            let angle = f64::from(position as f32 * frequencies[i]);
            let (cos, sin) =
                (attention_factor * angle.cos(), attention_factor * angle.sin() * turn);
            let (a, b) = (head[i], head[i + half]);
            (head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
        }
    }
    out
}
