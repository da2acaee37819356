//! The plain f64 twin of [`super`].

/// `y = x · r · w` and `r`, one row after the other.
pub fn forward(x: &[f64], weight: &[f64], epsilon: f64) -> (Vec<f64>, Vec<f64>) {
    let width = weight.len();
    let mut y = Vec::with_capacity(x.len());
    let mut rstd = Vec::new();
    for row in x.chunks(width) {
        let mean = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
        let r = 1.0 / (mean + epsilon).sqrt();
        y.extend(row.iter().zip(weight).map(|(x, w)| x * r * w));
        rstd.push(r);
    }
    (y, rstd)
}

/// `(dx, dw)` for the output gradient `dy`.
pub fn backward(dy: &[f64], x: &[f64], weight: &[f64], epsilon: f64) -> (Vec<f64>, Vec<f64>) {
    let width = weight.len();
    let (_, rstd) = forward(x, weight, epsilon);
    let mut dx = Vec::with_capacity(x.len());
    let mut dw = vec![0.0; width];
    for ((dy, x), r) in dy.chunks(width).zip(x.chunks(width)).zip(rstd) {
        let pull: f64 =
            (0..width).map(|j| dy[j] * weight[j] * x[j] * r).sum::<f64>() / width as f64;
        for j in 0..width {
            dx.push(r * (dy[j] * weight[j] - x[j] * r * pull));
            dw[j] += dy[j] * x[j] * r;
        }
    }
    (dx, dw)
}
