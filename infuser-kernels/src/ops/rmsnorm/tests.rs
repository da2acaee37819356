use super::*;
use crate::{
    Error,
    testing::{
        Tolerance, assert_close, assert_gradient, buffer, hard_values, normal_values, poison, widen,
    },
};

const EPSILON: f32 = 1e-6;

/// Rows, width: one element, odd sizes, more rows than one task takes.
const SHAPES: [(usize, usize); 5] = [(1, 1), (3, 7), (5, 33), (130, 129), (700, 64)];

#[test]
fn forward_matches_the_reference() {
    for (rows, width) in SHAPES {
        let (x, w) = (hard_values(1, rows * width), hard_values(2, width));
        let (mut y, mut rstd) = (poison(&[rows, width]), poison(&[rows]));
        let (xb, wb) = (buffer(&x, &[rows, width]), buffer(&w, &[width]));
        forward(xb.view(), wb.view(), EPSILON, y.view_mut(), rstd.view_mut()).unwrap();
        let (y_want, rstd_want) = reference::forward(&widen(&x), &widen(&w), EPSILON.into());
        assert_close("y", &y.to_f32().unwrap(), &y_want, Tolerance::F32);
        assert_close("rstd", &rstd.to_f32().unwrap(), &rstd_want, Tolerance::F32);
    }
}

#[test]
fn the_fused_add_is_the_add_and_the_norm() {
    let (rows, width) = (130, 129);
    let (x, s) = (hard_values(1, rows * width), hard_values(3, rows * width));
    let w = buffer(&normal_values(2, width), &[width]);
    let sum: Vec<f32> = x.iter().zip(&s).map(|(x, s)| s + x).collect();
    let (mut y, mut rstd) = (poison(&[rows, width]), poison(&[rows]));
    let (residual, mut stream) = (buffer(&s, &[rows, width]), poison(&[rows, width]));
    let xb = buffer(&x, &[rows, width]);
    let outputs = AddOutputs { sum: stream.view_mut(), y: y.view_mut(), rstd: rstd.view_mut() };
    add_forward(xb.view(), residual.view(), w.view(), EPSILON, outputs).unwrap();
    assert_eq!(stream.to_f32().unwrap(), sum);
    let (mut y2, mut rstd2) = (poison(&[rows, width]), poison(&[rows]));
    forward(stream.view(), w.view(), EPSILON, y2.view_mut(), rstd2.view_mut()).unwrap();
    assert_eq!((y, rstd), (y2, rstd2));
}

#[test]
fn zero_rows_and_tiny_variance_stay_finite() {
    let x = buffer(&[0.0, 0.0, 1e-20, -1e-20, 1e18, 1e18], &[3, 2]);
    let w = buffer(&[1.0, 1.0], &[2]);
    let (mut y, mut rstd) = (poison(&[3, 2]), poison(&[3]));
    forward(x.view(), w.view(), EPSILON, y.view_mut(), rstd.view_mut()).unwrap();
    let y = y.to_f32().unwrap();
    assert_eq!(y[..2], [0.0, 0.0]);
    assert!(y.iter().all(|y| y.is_finite()), "{y:?}");
}

#[test]
fn backward_matches_the_reference() {
    for (rows, width) in SHAPES {
        let (x, w) = (hard_values(1, rows * width), hard_values(2, width));
        let dy = normal_values(3, rows * width);
        let (xb, wb) = (buffer(&x, &[rows, width]), buffer(&w, &[width]));
        let dyb = buffer(&dy, &[rows, width]);
        let (mut y, mut rstd) = (poison(&[rows, width]), poison(&[rows]));
        forward(xb.view(), wb.view(), EPSILON, y.view_mut(), rstd.view_mut()).unwrap();

        let (dx_want, dw_want) =
            reference::backward(&widen(&dy), &widen(&x), &widen(&w), EPSILON.into());
        let mut dx = poison(&[rows, width]);
        let r = rstd.view();
        backward(dyb.view(), xb.view(), wb.view(), r, dx.view_mut(), Write::Overwrite).unwrap();
        assert_close("dx", &dx.to_f32().unwrap(), &dx_want, Tolerance::F32_SUM);
        backward(dyb.view(), xb.view(), wb.view(), r, dx.view_mut(), Write::Add).unwrap();
        let twice: Vec<f64> = dx_want.iter().map(|g| 2.0 * g).collect();
        assert_close("2 dx", &dx.to_f32().unwrap(), &twice, Tolerance::F32_SUM);

        let mut dw = buffer(&vec![1.0; width], &[width]);
        backward_weight(dyb.view(), xb.view(), r, dw.view_mut()).unwrap();
        let one_more: Vec<f64> = dw_want.iter().map(|g| 1.0 + g).collect();
        assert_close("dw", &dw.to_f32().unwrap(), &one_more, Tolerance::F32_SUM);
    }
}

#[test]
fn the_reference_gradient_is_the_derivative() {
    let (rows, width) = (3, 5);
    let (x, w) = (widen(&hard_values(1, rows * width)), widen(&normal_values(2, width)));
    let dy = widen(&normal_values(3, rows * width));
    let loss = |x: &[f64], w: &[f64]| -> f64 {
        reference::forward(x, w, 1e-6).0.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
    };
    let (dx, dw) = reference::backward(&dy, &x, &w, 1e-6);
    assert_gradient("dx", |x| loss(x, &w), &x, &dx);
    assert_gradient("dw", |w| loss(&x, w), &w, &dw);
}

#[test]
fn a_wrong_shape_names_the_tensor() {
    let x = buffer(&[0.0; 6], &[2, 3]);
    let w = buffer(&[0.0; 2], &[2]);
    let (mut y, mut rstd) = (poison(&[2, 3]), poison(&[2]));
    let error = forward(x.view(), w.view(), EPSILON, y.view_mut(), rstd.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "weight", .. }));
    assert_eq!(error.to_string(), "rmsnorm::forward: `weight` has shape [2], expected [3]");
}
