//! `sample.cu` against [`crate::ops::sample`]: the same tokens for the same draws.

use super::*;
use crate::{
    Error,
    cuda::{
        Kernel,
        sample::{self as cuda, Draw},
    },
    ops::sample::{self as cpu, Drawn, Sampling},
    rng::Stream,
    testing::{buffer, normal_values},
};

fn random(temperature: f32, top_k: Option<usize>, top_p: f32, min_p: f32) -> Sampling {
    Sampling::Random { temperature, top_k, top_p, min_p }
}

fn settings() -> Vec<Sampling> {
    vec![
        Sampling::Greedy,
        random(1.0, None, 1.0, 0.0),
        random(0.7, None, 1.0, 0.0),
        random(1.6, Some(1), 1.0, 0.0),
        random(1.6, Some(20), 1.0, 0.0),
        random(1.0, None, 0.5, 0.0),
        random(1.3, None, 0.99, 0.0),
        random(1.0, None, 1e-6, 0.0),
        random(1.0, None, 1.0, 0.05),
        random(1.0, None, 1.0, 1.0),
        random(0.9, Some(100), 0.9, 0.01),
        random(30.0, Some(7), 0.6, 0.3),
    ]
}

/// Rows of logits: one token; fewer than a warp; ties, whole rows and in groups; a negative zero before
/// a zero; a token that is certain; tokens that cannot be; more tokens than chunks; more than threads.
fn rows() -> Vec<Vec<f32>> {
    let none = f32::NEG_INFINITY;
    let peaked = |seed, n, scale: f32| normal_values(seed, n).iter().map(|z| scale * z).collect();
    vec![
        vec![7.0],
        [0.1f32, 0.2, 0.3, 0.4].iter().map(|p| 0.5 * p.ln()).collect(),
        vec![1.0; 5],
        vec![-0.0, 0.0, -1.0, 0.0],
        (0..300).map(|i| (i % 4) as f32).collect(),
        vec![0.0, 500.0, 0.0],
        vec![none, 2.0, none, 2.0],
        peaked(1, 33, 2.0),
        peaked(2, 1031, 3.0),
        peaked(3, 40_000, 1.0),
    ]
}

/// Both on the same draws.
fn both(
    driver: &Driver,
    logits: &[f32],
    rows: usize,
    draws: &[Draw<'_>],
) -> (Vec<Drawn>, Vec<Drawn>) {
    let shape = [rows, logits.len() / rows];
    let memory = up(driver, logits);
    let got = cuda::draw(driver, memory.slice(), shape, draws).unwrap().download().unwrap();
    let on_cpu: Vec<cpu::Draw<'_>> = draws.iter().map(Draw::on_cpu).collect();
    (got, cpu::draw(buffer(logits, &shape).view(), &on_cpu).unwrap())
}

#[track_caller]
fn assert_same(name: &str, (got, want): (Vec<Drawn>, Vec<Drawn>)) {
    let tokens = |drawn: &[Drawn]| drawn.iter().map(|drawn| drawn.token).collect::<Vec<u32>>();
    assert_eq!(tokens(&got), tokens(&want), "tokens of {name}");
    for (i, output) in ["logp", "raw_logp", "entropy"].into_iter().enumerate() {
        let of = |drawn: &Drawn| [drawn.logp, drawn.raw_logp, drawn.entropy][i];
        let [got, want] = [&got, &want].map(|all| all.iter().map(of).collect::<Vec<f32>>());
        tolerance::check(Kernel::Sample, output, &got, &want);
    }
}

pub(super) fn check(driver: &Driver) {
    for (r, logits) in rows().iter().enumerate() {
        // Large vocabularies take long on the emulator.
        let count = if logits.len() > 10_000 { 2 } else { 12 };
        for (s, sampling) in settings().into_iter().enumerate() {
            let stream = Stream::new(r as u64).child(s as u64);
            let draw = |index| Draw { row: 0, sampling, stream, index, penalty: None };
            let draws: Vec<Draw<'_>> = (0..count).map(draw).collect();
            assert_same(&format!("row {r}, {sampling:?}"), both(driver, logits, 1, &draws));
        }
    }
}

/// Rows and settings mixed in one call, with penalties; tokens seen twice are punished once.
pub(super) fn check_penalty(driver: &Driver) {
    let logits: Vec<f32> = normal_values(5, 3 * 70).iter().map(|z| 2.0 * z).collect();
    let seen: Vec<u32> = (0..40).map(|i| i * 7 % 70).chain([3, 3, 69]).collect();
    let stream = Stream::new(11);
    let draw = |(i, sampling): (usize, Sampling)| {
        let penalty = [None, Some((1.3, &seen[..])), Some((0.5, &seen[..9]))][i / 3 % 3];
        Draw { row: i % 3, sampling, stream, index: 1 << 40 | i as u64, penalty }
    };
    let all = settings();
    let draws: Vec<Draw<'_>> = all.iter().cycle().copied().take(60).enumerate().map(draw).collect();
    assert_same("penalties", both(driver, &logits, 3, &draws));
}

/// Every setting once: what the thread sanitizer has the time for.
pub(super) fn check_settings(driver: &Driver) {
    let (logits, stream) = (normal_values(8, 45), Stream::new(4));
    let penalty = Some((1.2, &[3, 44, 3][..]));
    let draw = |(i, sampling)| Draw { row: 0, sampling, stream, index: i as u64, penalty };
    let draws: Vec<Draw<'_>> = settings().into_iter().enumerate().map(draw).collect();
    assert_same("each setting", both(driver, &logits, 1, &draws));
}

#[test]
fn one_token_of_each_setting_is_that_of_the_cpu_op() {
    check_settings(&driver(Order::Random(5)));
}

#[test]
fn tokens_are_those_of_the_cpu_op() {
    check(&driver(Order::Forward));
}

#[test]
fn penalised_tokens_are_those_of_the_cpu_op_in_any_order_of_threads() {
    ORDERS.into_iter().for_each(|order| check_penalty(&driver(order)));
}

#[test]
fn a_result_does_not_depend_on_the_order_of_threads() {
    let (rows, stream) = (rows(), Stream::new(3));
    for logits in &rows[3..9] {
        let draw =
            |(i, sampling)| Draw { row: 0, sampling, stream, index: i as u64, penalty: None };
        let draws: Vec<Draw<'_>> = settings().into_iter().enumerate().map(draw).collect();
        let all = ORDERS.map(|order| both(&driver(order), logits, 1, &draws).0);
        assert!(all.iter().all(|one| one == &all[0]));
    }
}

#[test]
fn what_is_not_a_number_shows_in_the_log_probability() {
    let driver = driver(Order::Forward);
    for logits in [[f32::NAN, 1.0], [1.0, f32::NAN], [f32::INFINITY, 1.0], [f32::NEG_INFINITY; 2]] {
        for sampling in settings() {
            let draw = Draw { row: 0, sampling, stream: Stream::new(0), index: 0, penalty: None };
            let (got, _) = both(&driver, &logits, 1, &[draw]);
            assert!(
                !got[0].logp.is_finite() && got[0].token < 2,
                "{logits:?} {sampling:?}: {got:?}"
            );
        }
    }
}

#[test]
fn values_outside_their_range_are_refused() {
    let driver = driver(Order::Forward);
    let logits = up(&driver, &[1.0f32, 2.0]);
    let (stream, sampling) = (Stream::new(0), Sampling::Greedy);
    let good = Draw { row: 0, sampling, stream, index: 0, penalty: None };
    for (draw, says) in [
        (Draw { row: 1, ..good }, "row 1 of logits [1, 2]"),
        (Draw { sampling: random(0.0, None, 1.0, 0.0), ..good }, "temperature 0 is not above 0"),
        (Draw { penalty: Some((0.0, &[])), ..good }, "penalty 0"),
        (Draw { penalty: Some((1.0, &[2])), ..good }, "token 2"),
    ] {
        let error = cuda::draw(&driver, logits.slice(), [1, 2], &[draw]).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let error = cuda::draw(&driver, logits.slice(), [1, 3], &[good]).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "logits", .. }), "{error}");
}
