//! Products through a driver against plain f64 loops.

use super::*;
use crate::{
    Error, Write,
    cuda::matmul::{Output, nn, nt, tn},
    testing::{Tolerance, assert_close},
};

/// M, N, K: one of each, sizes nothing divides, and whole tiles.
const SHAPES: [[usize; 3]; 4] = [[1, 1, 1], [3, 5, 7], [17, 33, 70], [64, 128, 32]];

/// Products of bf16 are exact in f32; a sum of `terms` with outliers of 20 · 20 rounds as its largest.
fn tolerance<T: Output>(terms: usize) -> Tolerance {
    let relative = if T::IS_F32 { 2e-6 } else { 1.0 / 256.0 };
    Tolerance { absolute: 1e-4 * (terms as f64).sqrt(), relative }
}

/// `Σ_i a(row, i) b(i, col)`, after what stood there.
fn product(
    [rows, cols, inner]: [usize; 3],
    before: f64,
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f64> {
    let dot =
        |row, col| (0..inner).map(|i| f64::from(a(row, i)) * f64::from(b(i, col))).sum::<f64>();
    (0..rows)
        .flat_map(|row| (0..cols).map(move |col| (row, col)))
        .map(|(row, col)| before + dot(row, col))
        .collect()
}

fn check_output<T: Output>(driver: &Driver, two: T, read: fn(&[T]) -> Vec<f32>) {
    for sizes @ [m, n, k] in SHAPES {
        let [(x, xs), (w, ws), (dy, dys)] =
            [(1, m * k), (2, n * k), (3, m * n)].map(|(seed, len)| hard_bf16(seed, len));
        let [x, w, dy] = [x, w, dy].map(|values| up(driver, &values));
        for write in [Write::Overwrite, Write::Add] {
            let before = if write == Write::Add { 2.0 } else { 0.0 };
            let fresh = |len| up(driver, &vec![two; len]);
            let verify = |name, got: Memory<T>, want: Vec<f64>, terms| {
                let got = read(&got.download().unwrap());
                assert_close(name, &got, &want, tolerance::<T>(terms));
            };
            let mut y = fresh(m * n);
            nt(driver, sizes, x.slice(), w.slice(), y.slice_mut(), write).unwrap();
            let want = product([m, n, k], before, |r, i| xs[r * k + i], |i, c| ws[c * k + i]);
            verify("nt", y, want, k);
            let mut dx = fresh(m * k);
            nn(driver, sizes, dy.slice(), w.slice(), dx.slice_mut(), write).unwrap();
            let want = product([m, k, n], before, |r, i| dys[r * n + i], |i, c| ws[i * k + c]);
            verify("nn", dx, want, n);
            let mut dw = fresh(n * k);
            tn(driver, sizes, dy.slice(), x.slice(), dw.slice_mut(), write).unwrap();
            let want = product([n, k, m], before, |r, i| dys[i * n + r], |i, c| xs[i * k + c]);
            verify("tn", dw, want, m);
        }
    }
}

/// A few outputs of very many terms, which a library cuts in parts: of integers, so that every part of a sum
/// is exact in f32 in any order, and only the whole is in bf16. A part rounded to bf16 is off by hundreds.
fn check_long_sums(driver: &Driver) {
    const HALF: usize = 4096;
    let sizes @ [rows, cols, inner] = [16, 32, 2 * HALF + 8];
    let term = |row: usize, i: usize| ((row * 31 + i * 97) % 127 + 1) as f32;
    let x = |row: usize, i: usize| match i {
        0..HALF => term(row, i),
        // In another order, so that no two parts cancel.
        _ if i < 2 * HALF => -term(row, (i * 5) % HALF),
        _ if i == 2 * HALF => row as f32,
        _ => 0.0,
    };
    let w = |col: usize| (col % 3 + 1) as f32;
    let each = |rows: usize, of: &dyn Fn(usize, usize) -> f32| -> Vec<bf16> {
        (0..rows * inner).map(|at| bf16::from_f32(of(at / inner, at % inner))).collect()
    };
    let [xs, ws] = [each(rows, &x), each(cols, &|col, _| w(col))].map(|values| up(driver, &values));
    let mut y = up(driver, &vec![bf16::NAN; rows * cols]);
    nt(driver, sizes, xs.slice(), ws.slice(), y.slice_mut(), Write::Overwrite).unwrap();
    let want: Vec<f32> = (0..rows * cols).map(|at| (at / cols) as f32 * w(at % cols)).collect();
    assert_eq!(wide(&y.download().unwrap()), want);
}

pub(super) fn check(driver: &Driver) {
    check_output(driver, 2.0f32, |values| values.to_vec());
    check_output(driver, bf16::from_f32(2.0), wide);
    check_long_sums(driver);
}

#[test]
fn products_equal_plain_sums() {
    check(&driver(Order::Forward));
}

#[test]
fn what_does_not_fit_is_named() {
    let driver = driver(Order::Forward);
    let (x, w) = (up(&driver, &[bf16::ONE; 6]), up(&driver, &[bf16::ONE; 4]));
    let mut y = up(&driver, &[1.0f32; 6]);
    let write = Write::Overwrite;
    let error = nt(&driver, [3, 2, 2], x.slice(), x.slice(), y.slice_mut(), write).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "w", .. }), "{error}");
    nt(&driver, [3, 2, 2], x.slice(), w.slice(), y.slice_mut(), write).unwrap();
    assert_eq!(y.download().unwrap(), [2.0; 6]);
    let empty = up(&driver, &[bf16::ONE; 0]);
    let error = nt(&driver, [3, 2, 0], empty.slice(), empty.slice(), y.slice_mut(), write);
    assert!(error.unwrap_err().to_string().contains("no terms"));
    let foreign = up(&super::driver(Order::Forward), &[bf16::ONE; 4]);
    let error = nt(&driver, [3, 2, 2], x.slice(), foreign.slice(), y.slice_mut(), write);
    assert!(error.unwrap_err().to_string().contains("another driver"));
}
