use super::*;
use crate::{
    Error,
    testing::{buffer, hard_values, on_threads},
};

/// No element, a scalar, one element, odd sizes, more than one task takes.
const SHAPES: [&[usize]; 6] = [&[0, 3], &[], &[1], &[3, 7, 5], &[2, 3, 5, 7], &[301, 127]];

#[test]
fn add_adds_every_element_once() {
    for axes in SHAPES {
        let len = axes.iter().product();
        let (x, y) = (hard_values(1, len), hard_values(2, len));
        let mut out = buffer(&y, axes);
        add(buffer(&x, axes).view(), out.view_mut()).unwrap();
        let exact = |(x, y): (&f32, &f32)| (f64::from(*x) + f64::from(*y)) as f32;
        let want: Vec<f32> = x.iter().zip(&y).map(exact).collect();
        assert_eq!(out.to_f32().unwrap(), want);
    }
}

#[test]
fn scale_multiplies_every_element_once() {
    for axes in SHAPES {
        let x = hard_values(1, axes.iter().product());
        for factor in [0.0, 1.0, -0.3, 1e30] {
            let mut out = buffer(&x, axes);
            scale(factor, out.view_mut()).unwrap();
            let exact = |x: &f32| (f64::from(*x) * f64::from(factor)) as f32;
            let want: Vec<f32> = x.iter().map(exact).collect();
            assert_eq!(out.to_f32().unwrap(), want);
        }
    }
}

#[test]
fn rows_of_a_tensor_leave_the_others_alone() {
    let mut out = buffer(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2]);
    add(buffer(&[10.0, 20.0], &[1, 2]).view(), out.rows_mut(1..2).unwrap()).unwrap();
    scale(-1.0, out.rows_mut(2..3).unwrap()).unwrap();
    assert_eq!(out.to_f32().unwrap(), [1.0, 2.0, 13.0, 24.0, -5.0, -6.0]);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let (x, y) = (hard_values(1, 301 * 127), hard_values(2, 301 * 127));
    let x = buffer(&x, &[301, 127]);
    let run = || {
        let mut out = buffer(&y, &[301, 127]);
        scale(0.3, out.view_mut()).unwrap();
        add(x.view(), out.view_mut()).unwrap();
        out
    };
    let one = on_threads(1, run);
    assert!(one == on_threads(2, run) && one == on_threads(5, run));
}

#[test]
fn a_wrong_shape_or_type_names_the_tensor() {
    let (x, mut out) = (buffer(&[0.0; 6], &[3, 2]), buffer(&[0.0; 6], &[2, 3]));
    let error = add(x.view(), out.view_mut()).unwrap_err();
    assert_eq!(error.to_string(), "add::add: `x` has shape [3, 2], expected [2, 3]");
    let mut ids = Device::Cpu.upload_u32(vec![1, 2]).unwrap();
    let error = scale(2.0, ids.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Dtype { tensor: "x", .. }));
}
