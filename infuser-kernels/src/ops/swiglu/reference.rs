//! The plain f64 twin of [`super`].

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `g · σ(g) · u`, one element after the other.
pub fn forward(gate: &[f64], up: &[f64]) -> Vec<f64> {
    gate.iter().zip(up).map(|(g, u)| g * sigmoid(*g) * u).collect()
}

/// `(dgate, dup)` for the output gradient `dout`.
pub fn backward(dout: &[f64], gate: &[f64], up: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let element = |((d, g), u): ((&f64, &f64), &f64)| {
        let s = sigmoid(*g);
        (d * u * s * (1.0 + g * (1.0 - s)), d * g * s)
    };
    dout.iter().zip(gate).zip(up).map(element).unzip()
}
