use super::*;
use crate::testing::{buffer, hard_values};

#[test]
fn sums_and_scales_every_element() {
    for n in [0, 1, 31, TASK + 3] {
        let (x, y) = (hard_values(1, n), hard_values(2, n));
        let (xb, mut out) = (buffer(&x, &[n]), buffer(&y, &[n]));
        add(xb.view(), out.view_mut()).unwrap();
        let want: Vec<f32> = y.iter().zip(&x).map(|(y, x)| y + x).collect();
        assert_eq!(out.to_f32().unwrap(), want);
        scale(-0.5, out.view_mut()).unwrap();
        let want: Vec<f32> = want.iter().map(|x| x * -0.5).collect();
        assert_eq!(out.to_f32().unwrap(), want);
    }
}

#[test]
fn unequal_shapes_are_refused() {
    let (x, mut out) = (buffer(&[0.0; 6], &[2, 3]), buffer(&[0.0; 6], &[3, 2]));
    let error = add(x.view(), out.view_mut()).unwrap_err();
    assert_eq!(error.to_string(), "add::add: `x` has shape [2, 3], expected [3, 2]");
}
