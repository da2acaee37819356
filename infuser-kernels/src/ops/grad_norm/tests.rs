use super::*;
use crate::testing::{buffer, hard_values, on_threads, widen};

fn sum(values: &[f32]) -> f64 {
    sum_of_squares(&[buffer(values, &[values.len()]).view()]).unwrap()
}

#[track_caller]
fn check(values: &[f32]) {
    let (got, want) = (sum(values), reference::sum_of_squares(&widen(values)));
    assert!((got - want).abs() <= 1e-13 * want, "{} values: {got:e}, want {want:e}", values.len());
}

#[test]
fn sums_match_the_reference_at_every_length() {
    for n in [1, 7, 31, 32, 33, 1000, 16 * 1024, 16 * 1024 + 1, 100_003] {
        check(&hard_values(n as u64, n));
    }
    assert_eq!(sum(&[]), 0.0);
    assert!(sum(&[]).is_sign_positive());
    assert_eq!(sum(&[0.0, -0.0, 3.0, -4.0]), 25.0);
}

#[test]
fn no_size_of_values_overflows_or_vanishes() {
    let mut values = hard_values(1, 50_001);
    values[777] = 1e30;
    values[40_000] = -1e30;
    check(&values);
    check(&vec![f32::MAX; 1001]);
    check(&vec![1e-30; 1001]);
    check(&vec![f32::from_bits(1); 1001]);
}

#[test]
fn ten_million_elements_keep_every_digit() {
    // 1e7 equal terms: an f32 running sum would stop growing at 2^24 times the term.
    let n = 10_000_000;
    let want = n as f64 * f64::from(0.1f32).powi(2);
    assert!((sum(&vec![0.1; n]) / want - 1.0).abs() < 1e-13);
    let mut outlier = vec![1e-3f32; n];
    outlier[n / 2] = 1e4;
    let want = 1e8 + (n - 1) as f64 * f64::from(1e-3f32).powi(2);
    assert!((sum(&outlier) / want - 1.0).abs() < 1e-13);
}

#[test]
fn what_is_not_finite_shows() {
    let mut values = hard_values(1, 40_000);
    values[39_999] = f32::NEG_INFINITY;
    assert_eq!(sum(&values), f64::INFINITY);
    values[3] = f32::NAN;
    assert!(sum(&values).is_nan());
}

#[test]
fn the_number_of_threads_and_the_shape_do_not_show() {
    let values = hard_values(5, 7 * 30_001);
    let one = on_threads(1, || sum(&values));
    for threads in [2, 5] {
        assert_eq!(one.to_bits(), on_threads(threads, || sum(&values)).to_bits());
    }
    let shaped = buffer(&values, &[7, 30_001]);
    assert_eq!(one, sum_of_squares(&[shaped.view()]).unwrap());
    let parts = [0..3, 3..3, 3..7].map(|rows| shaped.rows(rows).unwrap());
    let own = parts.map(|part| sum_of_squares(&[part]).unwrap());
    assert_eq!(sum_of_squares(&parts).unwrap(), own[0] + own[1] + own[2]);
    assert_eq!(sum_of_squares(&[]).unwrap(), 0.0);
}

#[test]
fn the_factor_is_that_of_torch() {
    assert_eq!(clip_factor(0.0, 1.0), 1.0);
    assert_eq!(clip_factor(1.0, 1.0), (1.0 / (1.0 + 1e-6)) as f32);
    assert_eq!(clip_factor(8.0, 1.0), (1.0 / 8.000_001) as f32);
    assert_eq!(clip_factor(8.0, f64::INFINITY), 1.0);
    assert_eq!(clip_factor(f64::INFINITY, 1.0), 0.0);
    assert!(clip_factor(f64::NAN, 1.0).is_nan());
}

#[test]
fn a_wrong_type_names_the_tensor() {
    let ids = Device::Cpu.upload_u32(vec![1, 2]).unwrap();
    let error = sum_of_squares(&[ids.view()]).unwrap_err();
    assert_eq!(error.to_string(), "grad_norm::sum_of_squares: `x` holds u32, expected f32");
}
