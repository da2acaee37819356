use super::*;
use crate::testing::{buffer, hard_values, on_threads};

#[test]
fn sums_are_right_for_outliers_and_do_not_overflow() {
    for n in [0, 1, 15, 17, TASK - 1, 3 * TASK + 5] {
        let x = hard_values(1, n);
        let want: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
        let xb = buffer(&x, &[n]);
        let got = sum_of_squares(xb.view()).unwrap();
        assert!((got - want).abs() <= 1e-12 * want, "{got} {want}");
        assert_eq!(on_threads(5, || sum_of_squares(xb.view()).unwrap()), got);
    }
    let huge = buffer(&[1e30, -1e30], &[2]);
    let got = sum_of_squares(huge.view()).unwrap().sqrt();
    assert!((got / 1e30 - 2f64.sqrt()).abs() < 1e-6);
    let broken = buffer(&[1.0, f32::NAN], &[2]);
    assert!(sum_of_squares(broken.view()).unwrap().is_nan());
}

#[test]
fn clipping_only_shrinks() {
    assert_eq!(clip_factor(0.0, 1.0), 1.0);
    assert!((clip_factor(10.0, 1.0) - 0.1).abs() < 1e-6);
    assert!(clip_factor(f64::NAN, 1.0).is_nan());
    assert_eq!(clip_factor(f64::INFINITY, 1.0), 0.0);
}
