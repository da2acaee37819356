//! The plain f64 twin of [`super`].

/// `x wᵀ` for `x [M, K]` and `w [N, K]`.
pub fn nt(x: &[f64], w: &[f64], k: usize) -> Vec<f64> {
    let rows = x.chunks(k);
    rows.flat_map(|x| w.chunks(k).map(|w| x.iter().zip(w).map(|(x, w)| x * w).sum())).collect()
}

/// `dy w` for `dy [M, N]` and `w [N, K]`.
pub fn nn(dy: &[f64], w: &[f64], n: usize, k: usize) -> Vec<f64> {
    let mut dx = vec![0.0; dy.len() / n * k];
    for (dx, dy) in dx.chunks_mut(k).zip(dy.chunks(n)) {
        for (dy, w) in dy.iter().zip(w.chunks(k)) {
            dx.iter_mut().zip(w).for_each(|(dx, w)| *dx += dy * w);
        }
    }
    dx
}

/// `dyᵀ x` for `dy [M, N]` and `x [M, K]`.
pub fn tn(dy: &[f64], x: &[f64], n: usize, k: usize) -> Vec<f64> {
    let mut dw = vec![0.0; n * k];
    for (dy, x) in dy.chunks(n).zip(x.chunks(k)) {
        for (dw, dy) in dw.chunks_mut(k).zip(dy) {
            dw.iter_mut().zip(x).for_each(|(dw, x)| *dw += dy * x);
        }
    }
    dw
}
