//! `adamw.cu` and `grad_norm.cu` against [`crate::ops::adamw`] and [`crate::ops::grad_norm`].

use super::*;
use crate::{
    Error,
    cuda::{
        Kernel,
        adamw::{self as cuda, State},
        grad_norm,
    },
    ops::{
        adamw::{self as cpu, AdamW},
        grad_norm as cpu_norm,
    },
    testing::buffer,
};

const HYPER: AdamW =
    AdamW { learning_rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };

/// Nothing, one element, what no access is wide enough for, an access, one more, a chunk of the norm
/// and a bit.
const COUNTS: [usize; 7] = [0, 1, 7, 8, 9, 4099, 16 * 1024 + 13];

/// Weight, mean, mean square.
type Held = [Vec<f32>; 3];

fn cpu_step(hyper: &AdamW, t: u64, scale: f32, gradient: &[f32], held: &mut Held) {
    let n = gradient.len();
    let mut buffers = held.each_ref().map(|values| buffer(values, &[n]));
    let [weight, exp_avg, exp_avg_sq] = buffers.each_mut().map(crate::Buffer::view_mut);
    let state = cpu::State { weight, exp_avg, exp_avg_sq, rounded: None };
    cpu::step(hyper, t, scale, buffer(gradient, &[n]).view(), state).unwrap();
    *held = buffers.map(|buffer| buffer.to_f32().unwrap());
}

/// Three steps of both, with the ends of the range of gradients in front, and both kinds of lerp.
pub(super) fn check_steps(driver: &Driver) {
    let coarse = AdamW { beta1: 0.3, beta2: 0.95, epsilon: 1e-5, weight_decay: 0.0, ..HYPER };
    for (hyper, scale) in [(HYPER, 1.0), (coarse, 0.37)] {
        for count in COUNTS {
            let mut want = [hard_values(1, count), vec![0.0; count], vec![0.0; count]];
            let mut held = want.each_ref().map(|values| up(driver, values));
            let mut rounded = Memory::<bf16>::unset(driver, count).unwrap();
            for t in 1..=3 {
                let mut gradient = hard_values(100 + t, count);
                let ends = [0.0, -0.0, 1e-30, 1e-12, -1e15, 3e38];
                gradient.iter_mut().zip(ends).for_each(|(g, end)| *g = end);
                cpu_step(&hyper, t, scale, &gradient, &mut want);
                let gradient = up(driver, &gradient);
                let [weight, exp_avg, exp_avg_sq] = held.each_mut().map(Memory::slice_mut);
                // In turn: both kernels must do the same.
                let rounded = (t != 2).then_some(rounded.slice_mut());
                let state = State { weight, exp_avg, exp_avg_sq, rounded };
                cuda::step(driver, &hyper, t, scale, gradient.slice(), state).unwrap();
            }
            let got = held.each_ref().map(|memory| memory.download().unwrap());
            for (name, (got, want)) in
                ["weight", "exp_avg", "exp_avg_sq"].into_iter().zip(got.iter().zip(&want))
            {
                tolerance::check(Kernel::AdamWF32, name, got, want);
            }
            let rounded = wide(&rounded.download().unwrap());
            let exact: Vec<bf16> = got[0].iter().map(|&w| bf16::from_f32(w)).collect();
            tolerance::check(Kernel::AdamWBf16, "rounded", &rounded, &wide(&exact));
        }
    }
}

pub(super) fn check_norm(driver: &Driver) {
    for count in COUNTS {
        // Plain values, then squares that f32 does not have, at both ends, which hide all others.
        for ends in [&[][..], &[1e30, 1e-30]] {
            let mut values = hard_values(7, count);
            values.iter_mut().zip(ends).for_each(|(value, end)| *value = *end);
            let want = 1.0 + cpu_norm::sum_of_squares(&[buffer(&values, &[count]).view()]).unwrap();
            let (x, mut total) = (up(driver, &values), up(driver, &[1.0f64]));
            grad_norm::add_sum_of_squares(driver, x.slice(), total.slice_mut()).unwrap();
            tolerance::check_f64(
                Kernel::GradNorm,
                "total",
                &total.download().unwrap(),
                &[want],
                want,
            );
        }
    }
    // Every turn of a chunk and the last element of all count.
    let n = 16 * 1024 + 13;
    for at in [0, 2047, 2048, 16 * 1024 - 1, n - 1] {
        let mut values = vec![0.0f32; n];
        values[at] = 3.0;
        let (x, mut total) = (up(driver, &values), up(driver, &[1.0f64]));
        grad_norm::add_sum_of_squares(driver, x.slice(), total.slice_mut()).unwrap();
        tolerance::check_f64(Kernel::GradNorm, "total", &total.download().unwrap(), &[10.0], 10.0);
    }
}

#[test]
fn steps_equal_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_steps(&driver(order)));
}

#[test]
fn the_norm_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_norm(&driver(order)));
}

#[test]
fn the_norm_does_not_depend_on_the_order_of_threads() {
    let all = ORDERS.map(|order| {
        let driver = driver(order);
        let (x, mut total) = (up(&driver, &hard_values(7, 70_001)), up(&driver, &[0.0f64]));
        grad_norm::add_sum_of_squares(&driver, x.slice(), total.slice_mut()).unwrap();
        total.download().unwrap()[0].to_bits()
    });
    assert!(all.iter().all(|one| *one == all[0]));
}

#[test]
fn what_is_not_finite_shows_in_the_norm() {
    let driver = driver(Order::Forward);
    let mut values = hard_values(1, 40_000);
    let mut norm = |at: usize, value: f32| {
        values[at] = value;
        let (x, mut total) = (up(&driver, &values), up(&driver, &[0.0f64]));
        grad_norm::add_sum_of_squares(&driver, x.slice(), total.slice_mut()).unwrap();
        total.download().unwrap()[0]
    };
    assert_eq!(norm(39_999, f32::NEG_INFINITY), f64::INFINITY);
    assert!(norm(3, f32::NAN).is_nan());
}

#[test]
fn what_cannot_be_a_step_is_an_error_value() {
    let driver = driver(Order::Forward);
    let gradient = up(&driver, &[1.0f32; 3]);
    let refused = |hyper: &AdamW, t, lengths: [usize; 3]| {
        let mut held = lengths.map(|n| up(&driver, &vec![0.5f32; n]));
        let [weight, exp_avg, exp_avg_sq] = held.each_mut().map(Memory::slice_mut);
        let state = State { weight, exp_avg, exp_avg_sq, rounded: None };
        cuda::step(&driver, hyper, t, 1.0, gradient.slice(), state).unwrap_err()
    };
    let error = refused(&HYPER, 1, [3, 3, 2]);
    assert!(matches!(error, Error::Shape { tensor: "exp_avg_sq", .. }), "{error}");
    assert!(refused(&HYPER, 0, [3; 3]).to_string().contains("step is 0"));
    assert!(refused(&AdamW { beta1: 1.0, ..HYPER }, 1, [3; 3]).to_string().contains("beta1 is 1"));
}
