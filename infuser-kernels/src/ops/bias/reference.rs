//! The plain f64 twin of [`super`].

/// `y + bias` for every row.
pub fn forward(bias: &[f64], y: &[f64]) -> Vec<f64> {
    y.iter().enumerate().map(|(i, y)| y + bias[i % bias.len()]).collect()
}

/// `Σ_t dy_t` for rows of `width` elements.
pub fn backward(dy: &[f64], width: usize) -> Vec<f64> {
    let mut dbias = vec![0.0; width];
    for (i, dy) in dy.iter().enumerate() {
        dbias[i % width] += dy;
    }
    dbias
}
