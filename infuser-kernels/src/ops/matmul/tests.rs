use super::*;
use crate::{
    Buffer, Error,
    testing::{Tolerance, assert_close, buffer, hard_values, on_threads, poison, widen},
};

/// Row counts on both sides of every switch of kernel, and sizes no tile divides.
const SHAPES: [[usize; 3]; 14] = [
    [1, 1, 1],
    [1, 70, 65],
    [2, 9, 32],
    [3, 5, 31],
    [4, 1, 64],
    [5, 17, 100],
    [6, 8, 33],
    [7, 7, 7],
    [8, 300, 257],
    [9, 33, 65],
    [127, 129, 33],
    [130, 70, 40],
    [300, 33, 129],
    [513, 260, 19],
];

/// Dot products of `k` values up to 20: rounding is relative to partial sums of products up to 1600.
fn tolerance(k: usize) -> Tolerance {
    let absolute = 1600.0 * (k as f64).sqrt() * f64::from(f32::EPSILON);
    Tolerance { absolute, ..Tolerance::F32_SUM }
}

fn check_both_writes(
    name: &str,
    axes: [usize; 2],
    depth: usize,
    want: &[f64],
    op: impl Fn(&mut Buffer, Write),
) {
    let mut out = poison(&axes);
    op(&mut out, Write::Overwrite);
    assert_close(name, &out.to_f32().unwrap(), want, tolerance(depth));
    op(&mut out, Write::Add);
    let twice: Vec<f64> = want.iter().map(|x| 2.0 * x).collect();
    assert_close(name, &out.to_f32().unwrap(), &twice, tolerance(depth));
}

#[test]
fn all_three_match_the_reference() {
    for [m, n, k] in SHAPES {
        let (x, w, dy) = (hard_values(1, m * k), hard_values(2, n * k), hard_values(3, m * n));
        let (xb, wb, dyb) = (buffer(&x, &[m, k]), buffer(&w, &[n, k]), buffer(&dy, &[m, n]));
        let (x, w, dy) = (widen(&x), widen(&w), widen(&dy));
        check_both_writes("nt", [m, n], k, &reference::nt(&x, &w, k), |y, write| {
            nt(xb.view(), wb.view(), y.view_mut(), write).unwrap();
        });
        check_both_writes("nn", [m, k], n, &reference::nn(&dy, &w, n, k), |dx, write| {
            nn(dyb.view(), wb.view(), dx.view_mut(), write).unwrap();
        });
        check_both_writes("tn", [n, k], m, &reference::tn(&dy, &x, n, k), |dw, write| {
            tn(dyb.view(), xb.view(), dw.view_mut(), write).unwrap();
        });
    }
}

#[test]
fn empty_products_write_zeros() {
    let (x, w) = (buffer(&[], &[2, 0]), buffer(&[], &[3, 0]));
    let mut y = poison(&[2, 3]);
    nt(x.view(), w.view(), y.view_mut(), Write::Overwrite).unwrap();
    assert_eq!(y.to_f32().unwrap(), [0.0; 6]);
    let (dy, x) = (buffer(&[], &[0, 2]), buffer(&[], &[0, 3]));
    let mut dw = buffer(&[1.0; 6], &[2, 3]);
    tn(dy.view(), x.view(), dw.view_mut(), Write::Add).unwrap();
    assert_eq!(dw.to_f32().unwrap(), [1.0; 6]);
    tn(dy.view(), x.view(), dw.view_mut(), Write::Overwrite).unwrap();
    assert_eq!(dw.to_f32().unwrap(), [0.0; 6]);
}

#[test]
fn threads_do_not_change_a_bit() {
    let [m, n, k] = [700, 300, 130];
    let (x, w) = (buffer(&hard_values(1, m * k), &[m, k]), buffer(&hard_values(2, n * k), &[n, k]));
    let run = || {
        let (mut y, mut dw) = (poison(&[m, n]), poison(&[n, k]));
        nt(x.view(), w.view(), y.view_mut(), Write::Overwrite).unwrap();
        tn(y.view(), x.view(), dw.view_mut(), Write::Overwrite).unwrap();
        (y, dw)
    };
    let one = on_threads(1, run);
    assert_eq!(on_threads(2, run), one);
    assert_eq!(on_threads(5, run), one);
}

#[test]
fn a_wrong_shape_names_the_tensor() {
    let (x, w) = (poison(&[2, 3]), poison(&[4, 5]));
    let mut y = poison(&[2, 4]);
    let error = nt(x.view(), w.view(), y.view_mut(), Write::Overwrite).unwrap_err();
    assert_eq!(error.to_string(), "matmul::nt: `w` has shape [4, 5], expected [4, 3]");
    let error = nt(x.view(), x.view(), y.view_mut(), Write::Overwrite).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "y", .. }));
}

#[test]
fn an_element_of_nt_is_one_chain_of_multiply_adds() {
    for [m, n, k] in SHAPES {
        let (x, w) = (hard_values(1, m * k), hard_values(2, n * k));
        let mut y = poison(&[m, n]);
        let (xb, wb) = (buffer(&x, &[m, k]), buffer(&w, &[n, k]));
        let packed = Packed::new(wb.view()).unwrap();
        nt_packed(xb.view(), &packed, y.view_mut(), Write::Overwrite).unwrap();
        let chain = |start: f32, i: usize, j: usize| {
            (0..k).fold(start, |sum, at| x[i * k + at].mul_add(w[j * k + at], sum))
        };
        let once: Vec<f32> = (0..m * n).map(|at| chain(0.0, at / n, at % n)).collect();
        assert_eq!(y.to_f32().unwrap(), once, "{m} x {n} x {k}");
        nt(xb.view(), wb.view(), y.view_mut(), Write::Add).unwrap();
        let twice: Vec<f32> = (0..m * n).map(|at| chain(once[at], at / n, at % n)).collect();
        assert_eq!(y.to_f32().unwrap(), twice, "{m} x {n} x {k}, added");
    }
}
