use infuser_kernels::rng::Stream;
use infuser_rl::{
    loss::{self, Clip, Estimator, Gates, Loss, Tokens, kl},
    reduce::{Divisor, Reduction},
};

const LENGTHS: [usize; 4] = [5, 0, 7, 3];

/// Ratios on both sides of every bound, none at one.
struct Case {
    logp: Vec<f32>,
    old: Vec<f32>,
    advantages: Vec<f32>,
    weights: Vec<f32>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let stream = Stream::new(seed);
        let draw = |which: u64| move |t: u64| stream.child(which).normal(t) as f32;
        let tokens = 0..LENGTHS.iter().sum::<usize>() as u64;
        // Multiples of 1/256, so that a step of 1/1024 to either side is exact in f32.
        let exact = |x: f32| (x * 256.0).round() / 256.0;
        let column = |which| tokens.clone().map(draw(which));
        let logp: Vec<f32> = column(0).map(|x| exact(-1.0 - x.abs())).collect();
        let old = logp.iter().zip(column(1)).map(|(p, x)| exact(p + 0.5 * x)).collect();
        let advantages = column(2).collect();
        let weights = column(3).map(|x| 0.2 + x.abs()).collect();
        Self { logp, old, advantages, weights }
    }

    fn run(&self, logp: &[f32], loss: Kind, divisor: Divisor) -> Loss {
        let tokens = Tokens {
            lengths: &LENGTHS,
            logp,
            old_logp: &self.old,
            advantages: &self.advantages,
            weights: Some(&self.weights),
        };
        loss(&tokens, divisor).unwrap()
    }
}

type Kind = fn(&Tokens<'_>, Divisor) -> infuser_rl::Result<Loss>;

/// Losses whose gradient is the derivative of their value. (GSPO's and CISPO's gradients by intent are
/// not: they hold a part of the value constant.)
const KINDS: [(&str, Kind); 5] = [
    ("clipped", |t, d| loss::clipped(t, &Clip::default(), d)),
    ("plain PPO", |t, d| loss::clipped(t, &Clip { dual: None, ..Clip::default() }, d)),
    ("reinforce", |t, d| loss::reinforce(t, d)),
    ("sapo", |t, d| loss::sapo(t, &Gates { positive: 1.0, negative: 1.05 }, d)),
    ("geometric mean", |t, d| loss::geometric_mean(t, &Clip::default(), d)),
];

#[test]
fn gradients_are_derivatives() {
    const STEP: f32 = 1.0 / 1024.0;
    for seed in 0..8 {
        let case = Case::new(seed);
        for (name, kind) in KINDS {
            for reduction in [Reduction::TokenMean, Reduction::MeanOfMeans] {
                let divisor = reduction.divisor(&LENGTHS);
                let gradient = case.run(&case.logp, kind, divisor).dlogp;
                for t in 0..case.logp.len() {
                    let at = |step: f32| {
                        let mut logp = case.logp.clone();
                        logp[t] += step;
                        let loss = case.run(&logp, kind, divisor);
                        (loss.value, loss.dlogp[t])
                    };
                    let ((above, right), (below, left)) = (at(STEP), at(-STEP));
                    // On a kink the two sides have other slopes, and the derivative does not exist.
                    if (right == 0.0) != (left == 0.0) {
                        continue;
                    }
                    let want = (above - below) / f64::from(2.0 * STEP);
                    let off = (f64::from(gradient[t]) - want).abs();
                    assert!(off <= 1e-6 * want.abs() + 1e-6, "{name} {seed} {t}: {want}");
                }
            }
        }
    }
}

#[test]
fn divergences_have_their_derivatives() {
    const STEP: f32 = 1.0 / 1024.0;
    for estimator in [Estimator::K1, Estimator::Absolute, Estimator::K2, Estimator::K3] {
        let case = Case::new(3);
        let (_, slopes) = kl(&case.logp, &case.old, estimator).unwrap();
        for (t, slope) in slopes.iter().enumerate().filter(|(t, _)| {
            // |d| has no derivative at 0.
            (case.logp[*t] - case.old[*t]).abs() > 2.0 * STEP
        }) {
            let at = |step: f32| {
                let (value, _) = kl(&[case.logp[t] + step], &[case.old[t]], estimator).unwrap();
                f64::from(value[0])
            };
            let want = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
            // Values are rounded to f32: 1e-7 over twice the step.
            let off = (f64::from(*slope) - want).abs();
            assert!(off <= 2e-4 * want.abs().max(1.0), "{estimator:?} {t}: {slope}, {want}");
        }
    }
}

/// Exactly at a bound the unclipped side counts; beyond it nothing moves.
#[test]
fn at_the_clip_boundary() {
    let clip = Clip { low: 0.25, high: 0.5, dual: Some(3.0) };
    let slope = |ratio: f32, advantage: f32| {
        let tokens = Tokens {
            lengths: &[1],
            logp: &[ratio.ln()],
            old_logp: &[0.0],
            advantages: &[advantage],
            weights: None,
        };
        loss::clipped(&tokens, &clip, Divisor::tokens(1.0)).unwrap().dlogp[0]
    };
    // A ratio of 1 moves both ways; a gain beyond the bound does not count, a loss does.
    assert_eq!((slope(1.0, 1.0), slope(1.0, -1.0)), (-1.0, 1.0));
    assert_eq!(slope(1.6, 1.0), 0.0);
    assert!((slope(1.6, -1.0) - 1.6).abs() < 1e-6);
    assert_eq!(slope(0.7, -1.0), 0.0);
    assert!((slope(0.7, 1.0) + 0.7).abs() < 1e-6);
    // The dual bound: a ratio of 3 with a negative advantage is as far as it goes.
    assert!((slope(2.9, -1.0) - 2.9).abs() < 1e-6);
    assert_eq!(slope(3.1, -1.0), 0.0);
}
