use super::*;
use crate::testing::{buffer, hard_values, normal_values, on_threads, poison, widen};

const ADAM: Preconditioner = Preconditioner { beta2: 0.999, epsilon: 1e-8, step: 3 };
const FRESH: Preconditioner = Preconditioner { step: 0, ..ADAM };

/// Gradient, mean square and target.
type Case = [Vec<f32>; 3];

fn case(n: usize) -> Case {
    let squares = hard_values(2, n).iter().map(|x| x * x).collect();
    [hard_values(1, n), squares, hard_values(3, n)]
}

fn run([g, v, m]: &Case, preconditioner: &Preconditioner) -> Sums {
    let [g, v, m] = [g, v, m].map(|values| buffer(values, &[values.len()]));
    sums(g.view(), Some(v.view()), m.view(), preconditioner).unwrap()
}

fn run_fresh([g, _, m]: &Case, preconditioner: &Preconditioner) -> Sums {
    let [g, m] = [g, m].map(|values| buffer(values, &[values.len()]));
    sums(g.view(), None, m.view(), preconditioner).unwrap()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// Agreement to 12 digits of the norms that the sums are made of (Cauchy-Schwarz bounds the dots);
/// over a million terms the plain sum of the twin is itself off by 1e-13.
#[track_caller]
fn assert_same(got: Sums, want: Sums, target: &[f32]) {
    let close = |name, got: f64, want: f64, size: f64| {
        assert!((got - want).abs() <= 1e-12 * size, "{name}: {got:e}, want {want:e} ({size:e})");
    };
    let m = norm(target);
    close("gradient_sq", got.gradient_sq, want.gradient_sq, want.gradient_sq);
    close("gamma_sq", got.gamma_sq, want.gamma_sq, want.gamma_sq);
    close("dot", got.dot, want.dot, want.gradient_sq.sqrt() * m);
    close("gamma_dot", got.gamma_dot, want.gamma_dot, want.gamma_sq.sqrt() * m);
}

#[track_caller]
fn check(case: &Case, preconditioner: &Preconditioner) -> Sums {
    let [g, v, m] = case.each_ref().map(|values| widen(values));
    let (got, want) = (run(case, preconditioner), reference::sums(&g, &v, &m, preconditioner));
    assert_same(got, want, &case[2]);
    got
}

#[test]
fn sums_match_the_reference_at_every_length() {
    for n in [1, 7, 15, 16, 17, 1000, 16 * 1024, 16 * 1024 + 1, 1_000_003] {
        let case = case(n);
        for step in [0, 1, 3, 1000, u64::MAX] {
            check(&case, &Preconditioner { step, ..ADAM });
        }
        check(&case, &Preconditioner { beta2: 0.0, epsilon: 0.0, step: 2 });
    }
    assert_eq!(run(&case(0), &ADAM), Sums::default());
}

#[test]
fn an_empty_state_is_a_state_of_zeros_and_gives_the_sign() {
    let mut case = case(50_001);
    case[1].fill(0.0);
    let got = check(&case, &FRESH);
    assert_eq!(got, run_fresh(&case, &FRESH));
    let sign: f64 = case[0].iter().zip(&case[2]).map(|(g, &m)| f64::from(m.copysign(g * m))).sum();
    assert!((got.gamma_dot - sign).abs() <= 1e-6 * norm(&case[2]) * norm(&[1.0; 50_001]));
    assert!((got.gamma_sq - 50_001.0).abs() < 1.0);
}

#[test]
fn tiny_zero_and_huge_gradients_count_as_the_formula_says() {
    for scale in [1e-12, 1e-25, 1e-38, 0.0, 1e12, 1e36] {
        let mut case = case(1003);
        case[0].iter_mut().for_each(|g| *g *= scale);
        check(&case, &ADAM);
        case[1].fill(0.0);
        check(&case, &FRESH);
        check(&case, &Preconditioner { epsilon: 0.0, ..ADAM });
    }
    // One tiny gradient without a state: Γ = g / (|g| + ε).
    let got = run_fresh(&[vec![1e-12], vec![], vec![2.0]], &FRESH);
    let g = f64::from(1e-12f32);
    assert!((got.gamma_dot / (2.0 * g / (g + 1e-8)) - 1.0).abs() < 1e-13);
    // Huge outliers in each of the three tensors.
    let mut case = case(40_001);
    (case[0][5], case[1][20_000], case[2][40_000]) = (3e38, 3e38, -3e38);
    check(&case, &ADAM);
}

#[test]
fn a_zero_gradient_over_a_zero_state_adds_nothing_even_without_epsilon() {
    let case = [vec![0.0; 5], vec![0.0; 5], normal_values(1, 5)];
    assert_eq!(run(&case, &Preconditioner { epsilon: 0.0, ..ADAM }), Sums::default());
}

#[test]
fn what_is_not_finite_shows() {
    let mut case = case(100);
    case[1][3] = f32::NAN;
    assert!(run(&case, &ADAM).gamma_sq.is_nan());
    case[0][3] = f32::NAN;
    assert!(run(&case, &ADAM).dot.is_nan());
}

#[test]
fn parts_add_up_to_the_whole() {
    let whole = case(70_001);
    for cut in [0, 1, 17, 16 * 1024, 50_000] {
        let parts = [0..cut, cut..70_001];
        let mut total = Sums::default();
        for part in parts {
            total += run(&whole.each_ref().map(|values| values[part.clone()].to_vec()), &ADAM);
        }
        assert_same(total, run(&whole, &ADAM), &whole[2]);
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    let case = case(5 * 16 * 1024 + 77);
    let one = on_threads(1, || (run(&case, &ADAM), run_fresh(&case, &FRESH)));
    for threads in [2, 5] {
        let other = on_threads(threads, || (run(&case, &ADAM), run_fresh(&case, &FRESH)));
        assert_eq!(one, other);
    }
}

#[test]
fn what_has_no_sums_is_an_error_value() {
    let x = poison(&[2, 3]);
    let flat = poison(&[6]);
    let message = |v, m, p: Preconditioner| sums(x.view(), v, m, &p).unwrap_err().to_string();
    let (v, m) = (Some(x.view()), x.view());
    assert_eq!(
        message(v, flat.view(), ADAM),
        "influence::sums: `target` has shape [6], expected [2, 3]"
    );
    let shape = message(Some(flat.view()), m, ADAM);
    assert_eq!(shape, "influence::sums: `exp_avg_sq` has shape [6], expected [2, 3]");
    assert!(message(v, m, Preconditioner { beta2: 1.0, ..ADAM }).contains("beta2 is 1"));
    assert!(message(v, m, Preconditioner { epsilon: f64::NAN, ..ADAM }).contains("epsilon is NaN"));
    let missing = message(None, m, ADAM);
    assert_eq!(missing, "influence::sums: step is 3 without an `exp_avg_sq`, expected 0");
}
