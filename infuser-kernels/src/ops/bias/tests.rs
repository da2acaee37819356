use super::*;
use crate::testing::{Tolerance, assert_close, buffer, hard_values, on_threads};

#[test]
fn forward_adds_to_every_row_and_backward_sums_them() {
    for (rows, width) in [(0, 3), (1, 1), (5, 7), (600, 33)] {
        let (y, bias) = (hard_values(1, rows * width), hard_values(2, width));
        let (bias_buffer, mut out) = (buffer(&bias, &[width]), buffer(&y, &[rows, width]));
        forward(bias_buffer.view(), out.view_mut()).unwrap();
        let want: Vec<f32> = y.iter().enumerate().map(|(i, y)| y + bias[i % width]).collect();
        assert_eq!(out.to_f32().unwrap(), want);

        let dy = buffer(&y, &[rows, width]);
        let mut dbias = buffer(&vec![1.0; width], &[width]);
        backward(dy.view(), dbias.view_mut()).unwrap();
        let column = |j: usize| (0..rows).map(|t| f64::from(y[t * width + j])).sum::<f64>();
        let want: Vec<f64> = (0..width).map(|j| 1.0 + column(j)).collect();
        let tolerance = Tolerance { absolute: 1e-3, ..Tolerance::F32_SUM };
        assert_close("dbias", &dbias.to_f32().unwrap(), &want, tolerance);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let dy = buffer(&hard_values(3, 2000 * 17), &[2000, 17]);
    let run = || {
        let mut dbias = buffer(&[0.0; 17], &[17]);
        backward(dy.view(), dbias.view_mut()).unwrap();
        dbias
    };
    assert_eq!(on_threads(1, run), on_threads(5, run));
}

#[test]
fn a_wrong_shape_names_the_tensor() {
    let (bias, mut y) = (buffer(&[0.0; 2], &[2]), buffer(&[0.0; 6], &[2, 3]));
    let error = forward(bias.view(), y.view_mut()).unwrap_err();
    assert_eq!(error.to_string(), "bias::forward: `bias` has shape [2], expected [3]");
}
