use super::*;
use crate::{
    Buffer,
    testing::{
        Tolerance, assert_close, buffer, hard_values, normal_values, on_threads, poison, widen,
    },
};

const HYPER: AdamW =
    AdamW { learning_rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };

/// Weight, mean and mean square, owned.
#[derive(Debug, PartialEq)]
struct Held([Buffer; 3]);

impl Held {
    fn new(weight: &[f32]) -> Self {
        let n = weight.len();
        let zeros = || buffer(&vec![0.0; n], &[n]);
        Self([buffer(weight, &[n]), zeros(), zeros()])
    }

    fn step(&mut self, hyper: &AdamW, t: u64, scale: f32, gradient: &[f32]) -> Result<()> {
        let gradient = buffer(gradient, &[gradient.len()]);
        let [weight, exp_avg, exp_avg_sq] = self.0.each_mut().map(Buffer::view_mut);
        let state = State { weight, exp_avg, exp_avg_sq, rounded: None };
        step(hyper, t, scale, gradient.view(), state)
    }

    fn values(&self) -> [Vec<f32>; 3] {
        self.0.each_ref().map(|held| held.to_f32().unwrap())
    }
}

/// Twenty steps of the op and of its twin, from the same weights.
fn twenty_steps(hyper: &AdamW, scale: f32, n: usize) -> ([Vec<f32>; 3], [Vec<f64>; 3]) {
    let weight = hard_values(1, n);
    let mut held = Held::new(&weight);
    let mut want = [widen(&weight), vec![0.0; n], vec![0.0; n]];
    for t in 1..=20 {
        let gradient = hard_values(100 + t, n);
        held.step(hyper, t, scale, &gradient).unwrap();
        let state = (&want[0][..], &want[1][..], &want[2][..]);
        want = reference::step(hyper, t, scale.into(), &widen(&gradient), state).into();
    }
    (held.values(), want)
}

#[test]
fn twenty_steps_match_the_reference() {
    let coarse = AdamW { beta1: 0.3, beta2: 0.95, epsilon: 1e-5, weight_decay: 0.0, ..HYPER };
    let memoryless = AdamW { beta1: 0.0, beta2: 0.0, ..HYPER };
    for hyper in [HYPER, coarse, memoryless] {
        for (n, scale) in [(0, 1.0), (1, 1.0), (33, 0.37), (16 * 1024 + 5, 1.0)] {
            let (got, want) = twenty_steps(&hyper, scale, n);
            assert_close("weight", &got[0], &want[0], Tolerance::F32_SUM);
            assert_close("exp_avg", &got[1], &want[1], Tolerance::F32_SUM);
            assert_close("exp_avg_sq", &got[2], &want[2], Tolerance::F32_SUM);
        }
    }
}

#[test]
fn the_first_step_is_the_sign_of_the_gradient_down_to_epsilon() {
    let gradient = [1e-3, -1e-6, 1e-12, -1e-12, 1e-30, 0.0, -0.0, 1e15];
    let hyper = AdamW { weight_decay: 0.0, ..HYPER };
    let mut held = Held::new(&[0.0; 8]);
    held.step(&hyper, 1, 1.0, &gradient).unwrap();
    // g / (|g| + ε), except that the square of 1e-30 is zero in f32: the denominator is ε alone.
    let want = gradient.map(|g| {
        let g = f64::from(g);
        if g == 0.0 { 0.0 } else { -1e-2 * g / (g.abs() + 1e-8) }
    });
    let tolerance = Tolerance { absolute: 0.0, relative: 1e-6 };
    assert_close("weight", &held.values()[0], &want, tolerance);
}

#[test]
fn a_zero_gradient_leaves_only_the_decay() {
    let weight = hard_values(1, 50);
    let mut held = Held::new(&weight);
    for t in 1..=3 {
        held.step(&HYPER, t, 1.0, &[0.0; 50]).unwrap();
    }
    let want: Vec<f64> = weight.iter().map(|&w| f64::from(w) * 0.999f64.powi(3)).collect();
    assert_close("weight", &held.values()[0], &want, Tolerance::F32);
    let mut still = Held::new(&weight);
    still.step(&AdamW { weight_decay: 0.0, ..HYPER }, 1, 0.0, &hard_values(2, 50)).unwrap();
    assert_eq!(still.values()[0], weight);
}

#[test]
fn a_late_step_and_a_gradient_past_the_square_root_of_f32_stay_finite() {
    let mut held = Held::new(&[1.0, 1.0]);
    held.step(&HYPER, u64::MAX, 1.0, &[1.0, 3e38]).unwrap();
    let [weight, ..] = held.values();
    assert!(weight.iter().all(|w| w.is_finite()), "{weight:?}");
    assert_eq!(weight[1], 0.999);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let n = 5 * 16 * 1024 + 77;
    let run = |threads| {
        on_threads(threads, || {
            let mut held = Held::new(&hard_values(1, n));
            held.step(&HYPER, 3, 0.5, &normal_values(2, n)).unwrap();
            held
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
fn what_cannot_be_a_step_is_an_error_value() {
    let mut held = Held::new(&[0.5; 3]);
    let mut problem = |hyper: AdamW, t| {
        let before = Held(held.0.each_ref().map(|buffer| buffer.copy().unwrap()));
        let error = held.step(&hyper, t, 1.0, &[1.0; 3]).unwrap_err();
        assert_eq!(held, before);
        assert!(matches!(error, Error::Argument { op: "adamw::step", .. }), "{error}");
        error.to_string()
    };
    assert!(problem(HYPER, 0).contains("step is 0"));
    let wrong = problem(AdamW { beta1: 1.0, ..HYPER }, 1);
    assert_eq!(wrong, "adamw::step: beta1 is 1, expected a value in [0, 1)");
    assert!(problem(AdamW { beta2: -0.1, ..HYPER }, 1).contains("beta2 is -0.1"));
    assert!(problem(AdamW { beta2: f64::NAN, ..HYPER }, 1).contains("beta2 is NaN"));
    assert!(problem(AdamW { epsilon: -1e-8, ..HYPER }, 1).contains("epsilon is -0.00000001"));
    assert!(problem(AdamW { learning_rate: f64::INFINITY, ..HYPER }, 1).contains("learning_rate"));
    assert!(problem(AdamW { weight_decay: -1.0, ..HYPER }, 1).contains("weight_decay is -1"));
}

#[test]
fn a_wrong_shape_names_the_tensor() {
    let (gradient, mut weight) = (poison(&[2, 3]), poison(&[2, 3]));
    let (mut exp_avg, mut exp_avg_sq) = (poison(&[2, 3]), poison(&[3, 2]));
    let state = State {
        weight: weight.view_mut(),
        exp_avg: exp_avg.view_mut(),
        exp_avg_sq: exp_avg_sq.view_mut(),
        rounded: None,
    };
    let error = step(&HYPER, 1, 1.0, gradient.view(), state).unwrap_err();
    assert_eq!(error.to_string(), "adamw::step: `exp_avg_sq` has shape [3, 2], expected [2, 3]");
}
