use super::*;
use crate::{
    Error,
    testing::{
        Tolerance, assert_close, assert_gradient, buffer, hard_values, normal_values, on_threads,
        widen,
    },
};

/// Rows, width: nothing, one element, odd sizes, more rows than one task takes.
const SHAPES: [(usize, usize); 7] =
    [(0, 3), (3, 0), (1, 1), (3, 7), (5, 33), (131, 257), (2000, 65)];

#[test]
fn forward_matches_the_reference() {
    for (rows, width) in SHAPES {
        let (b, y) = (hard_values(1, width), hard_values(2, rows * width));
        let mut out = buffer(&y, &[rows, width]);
        forward(buffer(&b, &[width]).view(), out.view_mut()).unwrap();
        let want = reference::forward(&widen(&b), &widen(&y));
        assert_close("y", &out.to_f32().unwrap(), &want, Tolerance::F32);
    }
}

#[test]
fn backward_matches_the_reference() {
    for (rows, width) in SHAPES {
        let dy = hard_values(1, rows * width);
        let mut dbias = buffer(&vec![1.0; width], &[width]);
        backward(buffer(&dy, &[rows, width]).view(), dbias.view_mut()).unwrap();
        let mut want = reference::backward(&widen(&dy), width);
        want.iter_mut().for_each(|sum| *sum += 1.0);
        // Up to 2000 values, outliers of 20 among them, may cancel to nearly nothing.
        let bound = Tolerance { absolute: 1e-3, ..Tolerance::F32_SUM };
        assert_close("dbias", &dbias.to_f32().unwrap(), &want, bound);
    }
}

#[test]
fn the_reference_gradient_is_the_derivative() {
    let (b, y) = (widen(&hard_values(1, 5)), widen(&hard_values(2, 15)));
    let dy = widen(&normal_values(3, 15));
    let loss = |b: &[f64], y: &[f64]| -> f64 {
        reference::forward(b, y).iter().zip(&dy).map(|(y, dy)| y * dy).sum()
    };
    assert_gradient("dbias", |b| loss(b, &y), &b, &reference::backward(&dy, 5));
    assert_gradient("dy", |y| loss(&b, y), &y, &dy);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let (b, y) = (hard_values(1, 65), hard_values(2, 2000 * 65));
    let run = || {
        let (mut out, mut dbias) = (buffer(&y, &[2000, 65]), buffer(&b, &[65]));
        backward(out.view(), dbias.view_mut()).unwrap();
        forward(dbias.view(), out.view_mut()).unwrap();
        (out, dbias)
    };
    let one = on_threads(1, run);
    assert!(one == on_threads(2, run) && one == on_threads(5, run));
}

#[test]
fn a_wrong_shape_names_the_tensor() {
    let (b, mut y) = (buffer(&[0.0; 2], &[2]), buffer(&[0.0; 6], &[2, 3]));
    let error = forward(b.view(), y.view_mut()).unwrap_err();
    assert_eq!(error.to_string(), "bias::forward: `bias` has shape [2], expected [3]");
    let (dy, mut dbias) = (buffer(&[0.0; 6], &[6]), buffer(&[0.0; 2], &[2]));
    let error = backward(dy.view(), dbias.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Rank { tensor: "dy", expected: 2, .. }));
    let error = backward(y.view(), dbias.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "dbias", .. }));
}
