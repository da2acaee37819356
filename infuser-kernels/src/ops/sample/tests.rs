use super::*;
use crate::{
    Buffer, Write,
    ops::{head, matmul},
    rng::Stream,
    testing::{buffer, normal_values, on_threads, poison},
};

fn random(temperature: f32, top_k: Option<usize>, top_p: f32, min_p: f32) -> Sampling {
    Sampling::Random { temperature, top_k, top_p, min_p }
}

fn draws(logits: &[f32], sampling: Sampling, count: u64, seed: u64) -> Vec<Drawn> {
    let stream = Stream::new(seed);
    let draw = |i| Draw { row: 0, sampling, uniform: Uniform::Of(stream, i), penalty: None };
    let draws: Vec<Draw<'_>> = (0..count).map(draw).collect();
    draw_all(&buffer(logits, &[1, logits.len()]), &draws)
}

fn draw_all(logits: &Buffer, draws: &[Draw<'_>]) -> Vec<Drawn> {
    draw(logits.view(), draws).unwrap()
}

/// Pearson's statistic against the exact distribution, over its degrees of freedom, in standard
/// deviations from what chance gives (Wilson and Hilferty). Cells are joined until 8 are expected.
fn surprise(counts: &[u64], p: &[f64]) -> f64 {
    let n: u64 = counts.iter().sum();
    let (mut statistic, mut cells) = (0.0, 0.0);
    let (mut seen, mut expected) = (0.0, 0.0);
    for (count, p) in counts.iter().zip(p) {
        assert!(*p > 0.0 || *count == 0, "a token that is not kept was drawn");
        seen += *count as f64;
        expected += p * n as f64;
        if expected >= 8.0 {
            statistic += (seen - expected).powi(2) / expected;
            cells += 1.0;
            (seen, expected) = (0.0, 0.0);
        }
    }
    if cells < 2.0 {
        return 0.0;
    }
    let freedom = cells - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

#[test]
fn draws_follow_the_exact_distribution() {
    let peaked: Vec<f32> = normal_values(1, 700).iter().map(|z| 2.0 * z).collect();
    let ties: Vec<f32> = (0..300).map(|i| (i % 4) as f32).collect();
    let settings = [
        random(1.0, None, 1.0, 0.0),
        random(0.7, None, 1.0, 0.0),
        random(1.6, Some(20), 1.0, 0.0),
        random(1.0, None, 0.8, 0.0),
        random(1.3, None, 0.99, 0.0),
        random(1.0, None, 1.0, 0.05),
        random(0.9, Some(100), 0.9, 0.01),
    ];
    for (name, logits) in [("peaked", peaked), ("ties", ties)] {
        for (seed, sampling) in settings.into_iter().enumerate() {
            let want = reference::distribution(&logits, sampling, None);
            let mut counts = vec![0; logits.len()];
            for drawn in draws(&logits, sampling, 40_000, seed as u64) {
                counts[drawn.token as usize] += 1;
            }
            // Fourteen tests: five deviations come by chance once in a million runs.
            let surprise = surprise(&counts, &want);
            assert!(surprise.abs() < 5.0, "{name}, {sampling:?}: {surprise} deviations");
        }
    }
}

#[test]
fn filters_keep_what_their_definition_says() {
    // Probabilities 0.1, 0.2, 0.3, 0.4 at temperature 0.5; then equal ones; then one that is certain.
    let logits: Vec<f32> = [0.1f32, 0.2, 0.3, 0.4].iter().map(|p| 0.5 * p.ln()).collect();
    let hot = |top_k, top_p, min_p| random(0.5, top_k, top_p, min_p);
    let none = f32::NEG_INFINITY;
    let table: &[(&[f32], Sampling, &[u32])] = &[
        (&logits, hot(None, 1.0, 0.0), &[0, 1, 2, 3]),
        (&logits, hot(Some(1), 1.0, 0.0), &[3]),
        (&logits, hot(Some(3), 1.0, 0.0), &[1, 2, 3]),
        (&logits, hot(Some(4), 1.0, 0.0), &[0, 1, 2, 3]),
        (&logits, hot(Some(99), 1.0, 0.0), &[0, 1, 2, 3]),
        (&logits, hot(None, 0.01, 0.0), &[3]),
        (&logits, hot(None, 0.6, 0.0), &[2, 3]),
        (&logits, hot(None, 0.75, 0.0), &[1, 2, 3]),
        (&logits, hot(None, 1.0, 0.4), &[1, 2, 3]),
        (&logits, hot(None, 1.0, 0.6), &[2, 3]),
        (&logits, hot(None, 1.0, 1.0), &[3]),
        // Of the three kept, 0.4 is a share of 4/9: top-p counts what top-k left.
        (&logits, hot(Some(3), 0.44, 0.0), &[3]),
        (&logits, hot(Some(3), 0.46, 0.0), &[2, 3]),
        (&logits, hot(Some(2), 1.0, 0.8), &[3]),
        (&[1.0; 5], hot(Some(2), 1.0, 0.0), &[0, 1]),
        (&[1.0; 5], hot(None, 0.5, 0.0), &[0, 1, 2]),
        (&[1.0; 5], hot(None, 1.0, 1.0), &[0, 1, 2, 3, 4]),
        (&[0.0, 500.0, 0.0], hot(None, 1.0, 0.0), &[1]),
        (&[none, 2.0, none, 2.0], hot(None, 1.0, 0.0), &[1, 3]),
        (&[none, 2.0, none, 2.0], hot(Some(3), 1.0, 0.0), &[1, 3]),
        (&[7.0], hot(None, 0.5, 0.5), &[0]),
        (&logits, Sampling::Greedy, &[3]),
        (&[1.0, 4.0, 4.0], Sampling::Greedy, &[1]),
    ];
    for (logits, sampling, want) in table {
        let tokens = |draws: Vec<Drawn>| {
            let mut tokens: Vec<u32> = draws.iter().map(|drawn| drawn.token).collect();
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        };
        assert_eq!(&tokens(draws(logits, *sampling, 400, 3)), want, "{logits:?} {sampling:?}");
        let p = reference::distribution(logits, *sampling, None);
        let kept: Vec<u32> = (0..p.len() as u32).filter(|i| p[*i as usize] > 0.0).collect();
        assert_eq!(&kept, want, "reference, {logits:?} {sampling:?}");
        // Both ends of the interval.
        for uniform in [0.0, 1.0 - f64::EPSILON / 2.0] {
            let uniform_at = Uniform::Given(uniform);
            let end = Draw { row: 0, sampling: *sampling, uniform: uniform_at, penalty: None };
            let drawn = draw_all(&buffer(logits, &[1, logits.len()]), &[end])[0].token;
            let at = if uniform == 0.0 { want.first() } else { want.last() };
            assert_eq!(Some(&drawn), at, "{logits:?} {sampling:?} at {uniform}");
        }
    }
}

#[test]
fn a_penalty_weakens_what_was_seen_once_each() {
    let logits = [2.0, -1.0, 1.5, 0.5];
    let penalty = Some((2.0, &[0u32, 1, 0][..]));
    let (z, sampling) = (buffer(&logits, &[1, 4]), random(0.8, None, 1.0, 0.0));
    let draws: Vec<Draw<'_>> = (0..40)
        .map(|i| Draw { row: 0, sampling, uniform: Uniform::Given(f64::from(i) / 40.0), penalty })
        .collect();
    let want = reference::distribution(&logits, sampling, penalty);
    for drawn in draw_all(&z, &draws) {
        assert!((f64::from(drawn.logp) - want[drawn.token as usize].ln()).abs() < 1e-6);
        let raw = reference::distribution(&logits, Sampling::at(1.0), None);
        assert!((f64::from(drawn.raw_logp) - raw[drawn.token as usize].ln()).abs() < 1e-6);
    }
    let greedy = Draw { sampling: Sampling::Greedy, ..draws[0] };
    assert_eq!(draw_all(&z, &[greedy])[0].token, 2);
}

/// The log-probability of a drawn token is that of the training pass, bit for bit.
#[test]
fn log_probabilities_are_those_of_the_head() {
    let (rows, width, vocab) = (37, 24, 611);
    let (x, w) = (normal_values(5, rows * width), normal_values(6, vocab * width));
    let (x, w) = (buffer(&x, &[rows, width]), buffer(&w, &[vocab, width]));
    let mut logits = poison(&[rows, vocab]);
    matmul::nt(x.view(), w.view(), logits.view_mut(), Write::Overwrite).unwrap();
    for temperature in [1.0, 0.7] {
        let sampling = Sampling::at(temperature);
        let stream = Stream::new(9);
        let draw =
            |row| Draw { row, sampling, uniform: Uniform::Of(stream, row as u64), penalty: None };
        let draws: Vec<Draw<'_>> = (0..rows).map(draw).collect();
        let drawn = on_threads(3, || draw_all(&logits, &draws));
        let targets = drawn.iter().map(|drawn| drawn.token).collect();
        let targets = Device::Cpu.upload_u32(targets).unwrap();
        let [mut logp, mut entropy, mut lse] = [0; 3].map(|_| poison(&[rows]));
        let head =
            head::Head { x: x.view(), weight: w.view(), targets: targets.view(), temperature };
        let outputs = head::Outputs {
            logp: logp.view_mut(),
            entropy: entropy.view_mut(),
            lse: lse.view_mut(),
        };
        head::forward(&head, outputs).unwrap();
        let of = |value: fn(&Drawn) -> f32| drawn.iter().map(value).collect::<Vec<f32>>();
        assert_eq!(of(|drawn| drawn.logp), logp.to_f32().unwrap());
        assert_eq!(of(|drawn| drawn.entropy), entropy.to_f32().unwrap());
    }
}

#[test]
fn what_is_not_a_number_shows_in_the_log_probability() {
    for logits in [[f32::NAN, 1.0], [f32::INFINITY, 1.0], [f32::NEG_INFINITY; 2]] {
        for sampling in [Sampling::Greedy, Sampling::at(1.0), random(1.0, Some(1), 0.5, 0.1)] {
            let drawn = draws(&logits, sampling, 1, 0)[0];
            assert!(!drawn.logp.is_finite(), "{logits:?} {sampling:?}: {drawn:?}");
        }
    }
}

#[test]
fn values_outside_their_range_are_refused() {
    let bad = [
        (random(0.0, None, 1.0, 0.0), "temperature 0 is not above 0"),
        (random(f32::NAN, None, 1.0, 0.0), "temperature"),
        (random(1.0, None, 1.5, 0.0), "top-p 1.5"),
        (random(1.0, None, 0.0, 0.0), "top-p 0"),
        (random(1.0, Some(0), 1.0, 0.0), "top-k 0"),
        (random(1.0, None, 1.0, -0.1), "min-p -0.1"),
    ];
    for (sampling, says) in bad {
        let error = sampling.problem().unwrap();
        assert!(error.contains(says), "{error}");
    }
    let logits = buffer(&[1.0, 2.0], &[1, 2]);
    let good =
        Draw { row: 0, sampling: Sampling::Greedy, uniform: Uniform::Given(0.0), penalty: None };
    for (draw, says) in [
        (Draw { row: 1, ..good }, "row 1"),
        (Draw { uniform: Uniform::Given(1.0), ..good }, "uniform number 1"),
        (Draw { penalty: Some((0.0, &[])), ..good }, "penalty 0"),
        (Draw { penalty: Some((1.0, &[2])), ..good }, "token 2"),
    ] {
        let error = super::draw(logits.view(), &[draw]).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
