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
        let (mut y, mut dx, mut dw) = (poison(&[m, n]), poison(&[m, k]), poison(&[n, k]));
        nt(x.view(), w.view(), y.view_mut(), Write::Overwrite).unwrap();
        nn(y.view(), w.view(), dx.view_mut(), Write::Overwrite).unwrap();
        tn(y.view(), x.view(), dw.view_mut(), Write::Overwrite).unwrap();
        (y, dx, dw)
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
fn an_element_is_one_chain_of_multiply_adds_where_vectors_compute_it() {
    for [m, n, k] in SHAPES {
        let (x, w) = (hard_values(1, m * k), hard_values(2, n * k));
        let panels = rows::Panels::new(&w, [n, k]).unwrap();
        let mut y = vec![f32::NAN; m * n];
        rows::product([m, n, k], &x, &panels, &mut y, Write::Overwrite);
        let chain = |start: f32, i: usize, j: usize| {
            (0..k).fold(start, |sum, at| x[i * k + at].mul_add(w[j * k + at], sum))
        };
        let once: Vec<f32> = (0..m * n).map(|at| chain(0.0, at / n, at % n)).collect();
        assert_eq!(y, once, "{m} x {n} x {k}");
        rows::product([m, n, k], &x, &panels, &mut y, Write::Add);
        let twice: Vec<f32> = (0..m * n).map(|at| chain(once[at], at / n, at % n)).collect();
        assert_eq!(y, twice, "{m} x {n} x {k}, added");
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_a_weight_the_same_laid_out_or_not() {
    for [m, n, k] in SHAPES {
        let (x, w) = (hard_values(1, m * k), hard_values(2, n * k));
        let (xb, wb) = (buffer(&x, &[m, k]), buffer(&w, &[n, k]));
        let packed = Packed::new(wb.view()).unwrap();
        let (mut all, mut laid_out) = (poison(&[m, n]), poison(&[m, n]));
        nt(xb.view(), wb.view(), all.view_mut(), Write::Overwrite).unwrap();
        nt_packed(xb.view(), &packed, laid_out.view_mut(), Write::Overwrite).unwrap();
        assert_eq!(all, laid_out, "{m} x {n} x {k}");
        for row in [0, m / 2, m - 1] {
            let mut alone = poison(&[1, n]);
            let x = xb.view().rows(row..row + 1).unwrap();
            nt_packed(x, &packed, alone.view_mut(), Write::Overwrite).unwrap();
            let same = all.view().rows(row..row + 1).unwrap();
            assert_eq!(alone.to_f32().unwrap(), same.f32("test", "row").unwrap());
        }
    }
}

#[test]
fn products_at_once_have_the_bits_of_one_after_another() {
    for [m, n, k] in SHAPES {
        let x = buffer(&hard_values(1, m * k), &[m, k]);
        let widths = [n, n.div_ceil(2), 3];
        let weights = widths
            .map(|n| Packed::new(buffer(&hard_values(n as u64, n * k), &[n, k]).view()).unwrap());
        let [a, b, c] = &weights;
        let mut each = widths.map(|n| poison(&[m, n]));
        let [y_a, y_b, y_c] = &mut each;
        let products = [(a, y_a.view_mut()), (b, y_b.view_mut()), (c, y_c.view_mut())];
        nt_packed_each(x.view(), products).unwrap();
        for ((w, n), y) in weights.iter().zip(widths).zip(&each) {
            let mut alone = poison(&[m, n]);
            nt_packed(x.view(), w, alone.view_mut(), Write::Overwrite).unwrap();
            assert_eq!(*y, alone, "{m} x {n} x {k}");
        }
    }
    let (x, w) = (poison(&[2, 3]), Packed::new(poison(&[4, 5]).view()).unwrap());
    let error = nt_packed_each(x.view(), [(&w, poison(&[2, 4]).view_mut())]).unwrap_err();
    assert!(error.to_string().contains("`x` has shape [2, 3], expected [2, 5]"), "{error}");
}
