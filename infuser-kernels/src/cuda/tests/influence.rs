//! `influence.cu` against [`crate::ops::influence`], question by question.

use super::*;
use crate::{
    Error,
    cuda::{
        Kernel,
        influence::{Against, QuestionSums},
    },
    ops::influence::{self as cpu, Preconditioner, Sums},
    testing::buffer,
};

const ADAM: Preconditioner = Preconditioner { beta2: 0.999, epsilon: 1e-8, step: 3 };

/// Questions, elements: nothing, one element, what no access is wide enough for, a width of four and not
/// of eight, a tile, a tile and a bit, more than one turn of the second stage.
const SHAPES: [(usize, usize); 9] =
    [(3, 0), (1, 1), (2, 7), (3, 8), (2, 4100), (3, 4096), (5, 8200), (1, 12_289), (2, 140_000)];

/// The gradients of all questions, mean square and target.
struct Case {
    questions: usize,
    gradients: Vec<f32>,
    exp_avg_sq: Vec<f32>,
    target: Vec<f32>,
}

impl Case {
    fn new((questions, n): (usize, usize), scale: f32) -> Self {
        let gradients = hard_values(1, questions * n).into_iter().map(|g| g * scale).collect();
        let exp_avg_sq = hard_values(2, n).into_iter().map(|x| x * x * scale * scale).collect();
        Self { questions, gradients, exp_avg_sq, target: hard_values(3, n) }
    }

    fn cpu(&self, preconditioner: &Preconditioner, stepped: bool) -> Vec<Sums> {
        let n = self.target.len();
        let [v, m] = [&self.exp_avg_sq, &self.target].map(|values| buffer(values, &[n]));
        let one = |question: usize| {
            let g = buffer(&self.gradients[question * n..][..n], &[n]);
            cpu::sums(g.view(), stepped.then_some(v.view()), m.view(), preconditioner).unwrap()
        };
        (0..self.questions).map(one).collect()
    }

    fn cuda(&self, driver: &Driver, preconditioner: Preconditioner, stepped: bool) -> Vec<Sums> {
        let [g, v, m] =
            [&self.gradients, &self.exp_avg_sq, &self.target].map(|values| up(driver, values));
        let mut sums = QuestionSums::zeros(driver, self.questions).unwrap();
        let exp_avg_sq = stepped.then_some(v.slice());
        let against = Against { target: m.slice(), exp_avg_sq, preconditioner };
        sums.add(driver, 0..self.questions, g.slice(), &against).unwrap();
        sums.download(0..self.questions).unwrap()
    }

    fn check(&self, driver: &Driver, preconditioner: Preconditioner, stepped: bool) {
        let got = self.cuda(driver, preconditioner, stepped);
        assert_same(&got, &self.cpu(&preconditioner, stepped), &self.target);
    }
}

/// Each sum within its share of the norms that it is made of (Cauchy-Schwarz bounds the dots).
#[track_caller]
fn assert_same(got: &[Sums], want: &[Sums], target: &[f32]) {
    assert_eq!(got.len(), want.len());
    let m = target.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    for (got, want) in got.iter().zip(want) {
        let close = |name: &str, got: f64, want: f64, size: f64| {
            tolerance::check_f64(Kernel::InfluenceSums, name, &[got], &[want], size);
        };
        close("gradient_sq", got.gradient_sq, want.gradient_sq, want.gradient_sq);
        close("dot", got.dot, want.dot, want.gradient_sq.sqrt() * m);
        close("gamma_sq", got.gamma_sq, want.gamma_sq, want.gamma_sq);
        close("gamma_dot", got.gamma_dot, want.gamma_dot, want.gamma_sq.sqrt() * m);
    }
}

pub(super) fn check(driver: &Driver) {
    for shape in SHAPES {
        let case = Case::new(shape, 1.0);
        case.check(driver, ADAM, true);
        case.check(driver, Preconditioner { step: 0, ..ADAM }, false);
        case.check(driver, Preconditioner { beta2: 0.0, epsilon: 0.0, step: 2 }, true);
    }
}

/// Both ends of the range of f32, with a state and without, and without ε to fall back on.
pub(super) fn check_scales(driver: &Driver) {
    for scale in [1e-12, 1e-25, 1e-38, 0.0, 1e12, 1e36] {
        let mut case = Case::new((2, 1003), scale);
        case.exp_avg_sq.iter_mut().for_each(|v| *v = v.min(3e38));
        case.check(driver, ADAM, true);
        case.check(driver, Preconditioner { epsilon: 0.0, ..ADAM }, true);
        let fresh = Preconditioner { step: 0, ..ADAM };
        case.check(driver, fresh, false);
        case.check(driver, Preconditioner { epsilon: 0.0, ..fresh }, false);
    }
    // Huge outliers in each of the three tensors.
    let mut case = Case::new((2, 5001), 1.0);
    (case.gradients[5], case.exp_avg_sq[2000], case.target[5000]) = (3e38, 3e38, -3e38);
    case.check(driver, ADAM, true);
}

#[test]
fn sums_equal_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check(&driver(order)));
}

#[test]
fn tiny_zero_and_huge_gradients_count_as_the_formula_says() {
    check_scales(&driver(Order::Forward));
}

#[test]
fn tiles_add_up_to_the_tensor() {
    let driver = driver(Order::Forward);
    let (case, n) = (Case::new((1, 20_000), 1.0), 20_000);
    let [g, v, m] =
        [&case.gradients, &case.exp_avg_sq, &case.target].map(|values| up(&driver, values));
    let mut sums = QuestionSums::zeros(&driver, 1).unwrap();
    for range in [0..4, 4..8192, 8192..n] {
        let exp_avg_sq = Some(v.slice().range(range.clone()).unwrap());
        let target = m.slice().range(range.clone()).unwrap();
        let against = Against { target, exp_avg_sq, preconditioner: ADAM };
        sums.add(&driver, 0..1, g.slice().range(range).unwrap(), &against).unwrap();
    }
    assert_same(&sums.download(0..1).unwrap(), &case.cpu(&ADAM, true), &case.target);
    let error = g.slice().range(5..n + 1).unwrap_err();
    assert!(error.to_string().contains("elements 5..20001 of 20000"), "{error}");
}

#[test]
fn a_question_has_the_same_bits_in_any_company_and_any_order_of_threads() {
    let case = Case::new((5, 8200), 1.0);
    let all = ORDERS.map(|order| case.cuda(&driver(order), ADAM, true));
    assert!(all.iter().all(|one| one == &all[0]));
    let last = Case { questions: 1, gradients: case.gradients[4 * 8200..].to_vec(), ..case };
    assert_eq!(last.cuda(&driver(Order::Forward), ADAM, true)[0], all[0][4]);
}

#[test]
fn what_is_not_finite_shows() {
    let driver = driver(Order::Forward);
    let mut case = Case::new((1, 100), 1.0);
    case.exp_avg_sq[3] = f32::NAN;
    assert!(case.cuda(&driver, ADAM, true)[0].gamma_sq.is_nan());
    case.exp_avg_sq[3] = 0.0;
    for value in [f32::NAN, f32::INFINITY] {
        case.gradients[3] = value;
        let sums = case.cuda(&driver, ADAM, true)[0];
        assert!(!sums.dot.is_finite() && sums.gamma_sq.is_nan(), "{sums:?}");
    }
}

#[test]
fn what_has_no_sums_is_an_error_value() {
    let driver = driver(Order::Forward);
    let (g, short) = (up(&driver, &[1.0f32; 6]), up(&driver, &[1.0f32; 2]));
    let mut sums = QuestionSums::zeros(&driver, 2).unwrap();
    let mut refused = |exp_avg_sq, preconditioner| {
        let target = g.slice().range(0..3).unwrap();
        let against = Against { target, exp_avg_sq, preconditioner };
        sums.add(&driver, 0..2, g.slice(), &against).unwrap_err()
    };
    let error = refused(Some(short.slice()), ADAM);
    assert!(matches!(error, Error::Shape { tensor: "exp_avg_sq", .. }), "{error}");
    assert!(refused(None, ADAM).to_string().contains("step is 3 without an `exp_avg_sq`"));
    let beta2 = Preconditioner { beta2: 1.0, step: 0, ..ADAM };
    assert!(refused(None, beta2).to_string().contains("beta2 is 1"));
    // Off the 16 bytes of a wide access.
    let target = g.slice().range(1..4).unwrap();
    let against =
        Against { target, exp_avg_sq: None, preconditioner: Preconditioner { step: 0, ..ADAM } };
    let error = sums.add(&driver, 0..2, g.slice(), &against).unwrap_err();
    assert!(error.to_string().contains("`target` does not start at a multiple"), "{error}");
}
