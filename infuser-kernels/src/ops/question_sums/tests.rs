use super::*;
use crate::{
    Buffer,
    testing::{buffer, hard_values, normal_values, on_threads, poison, widen},
};

const ADAM: Preconditioner = Preconditioner { beta2: 0.999, epsilon: 1e-8, step: 3 };
const FRESH: Preconditioner = Preconditioner { step: 0, ..ADAM };

/// Factors of a batch of questions, and what their gradients are compared with.
struct Case {
    dy: Vec<f32>,
    x: Vec<f32>,
    sizes: [usize; 2],
    questions: Questions,
    target: Vec<f32>,
    exp_avg_sq: Vec<f32>,
}

fn case(rows: usize, [n, k]: [usize; 2], questions: Questions) -> Case {
    Case {
        dy: hard_values(1, rows * n),
        x: hard_values(2, rows * k),
        sizes: [n, k],
        questions,
        target: normal_values(3, n * k),
        exp_avg_sq: hard_values(4, n * k).iter().map(|x| x * x).collect(),
    }
}

impl Case {
    fn rows(&self) -> usize {
        self.dy.len() / self.sizes[0]
    }

    fn run(&self, preconditioner: Preconditioner) -> Vec<Sums> {
        let [n, k] = self.sizes;
        let (dy, x) = (buffer(&self.dy, &[self.rows(), n]), buffer(&self.x, &[self.rows(), k]));
        let (target, v) = (buffer(&self.target, &[n, k]), buffer(&self.exp_avg_sq, &[n, k]));
        let exp_avg_sq = (preconditioner.step > 0).then(|| v.view());
        let against = Against { target: target.view(), exp_avg_sq, preconditioner };
        let mut tally = Tally::new(self.questions.len());
        linear(dy.view(), x.view(), &self.questions, &against, &mut tally).unwrap();
        tally.finish().unwrap()
    }

    fn reference(&self, preconditioner: Preconditioner) -> Vec<Sums> {
        let [dy, x, m, mut v] =
            [&self.dy, &self.x, &self.target, &self.exp_avg_sq].map(|values| widen(values));
        if preconditioner.step == 0 {
            v.fill(0.0);
        }
        reference::linear([&dy, &x], self.sizes, &self.questions, ([&m, &v], preconditioner))
    }
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// The gradient is rounded to f32 once an addition: some 1e-7 of its terms, so of the norms that the
/// sums are made of. The direction of an element that cancels to nearly nothing is that of its
/// rounding: a few such elements make up the rest.
#[track_caller]
fn assert_same(got: &[Sums], want: &[Sums], target: &[f32], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    let m = norm(target);
    for (q, (got, want)) in got.iter().zip(want).enumerate() {
        let close = |name, got: f64, want: f64, size: f64| {
            assert!((got - want).abs() <= tolerance * size, "{q} {name}: {got:e}, want {want:e}");
        };
        close("gradient_sq", got.gradient_sq, want.gradient_sq, want.gradient_sq);
        close("gamma_sq", got.gamma_sq, want.gamma_sq, want.gamma_sq);
        close("dot", got.dot, want.dot, want.gradient_sq.sqrt() * m);
        close("gamma_dot", got.gamma_dot, want.gamma_dot, want.gamma_sq.sqrt() * m);
    }
}

/// Some questions in one piece, some in several, some of nothing.
fn questions(rows: usize) -> Questions {
    let mut questions = Questions::default();
    questions.push(Some(0..rows / 3));
    questions.push([]);
    questions.push([rows / 3..rows / 2, rows - 1..rows]);
    questions.push([rows / 2..rows / 2 + 1, rows / 2 + 1..rows / 2 + 2, 5..5]);
    questions
}

#[test]
fn sums_are_those_of_stored_gradients_at_every_size() {
    for sizes in [[1, 1], [3, 5], [17, 33], [128, 256], [129, 257], [300, 70], [40, 600]] {
        let case = case(31, sizes, questions(31));
        for preconditioner in [ADAM, FRESH, Preconditioner { beta2: 0.0, epsilon: 1e-3, step: 9 }] {
            let got = case.run(preconditioner);
            assert_same(&got, &case.reference(preconditioner), &case.target, 2e-6);
            assert_eq!(got[1], Sums::default());
        }
    }
}

#[test]
fn many_questions_of_one_row_each() {
    let mut questions = Questions::default();
    (0..200).for_each(|row| questions.push(Some(row..row + 1)));
    let case = case(200, [37, 19], questions);
    assert_same(&case.run(ADAM), &case.reference(ADAM), &case.target, 1e-6);
}

#[test]
fn other_questions_of_the_batch_do_not_show() {
    let all = case(31, [150, 70], questions(31));
    let together = all.run(ADAM);
    for question in 0..4 {
        let mut alone = Questions::default();
        alone.push(all.questions.ranges(question).iter().cloned());
        let case = Case { questions: alone, ..case(31, [150, 70], Questions::default()) };
        assert_eq!(case.run(ADAM), together[question..question + 1]);
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    let case = case(64, [300, 520], questions(64));
    let one = on_threads(1, || case.run(ADAM));
    assert_eq!(on_threads(2, || case.run(ADAM)), one);
    assert_eq!(on_threads(5, || case.run(ADAM)), one);
}

#[test]
fn sums_are_added_to() {
    let case = case(9, [4, 6], questions(9));
    let [n, k] = case.sizes;
    let (dy, x) = (buffer(&case.dy, &[9, n]), buffer(&case.x, &[9, k]));
    let target = buffer(&case.target, &[n, k]);
    let against = Against { target: target.view(), exp_avg_sq: None, preconditioner: FRESH };
    let sums = |times: usize| {
        let mut tally = Tally::new(4);
        for _ in 0..times {
            linear(dy.view(), x.view(), &case.questions, &against, &mut tally).unwrap();
        }
        tally.finish().unwrap()
    };
    assert_eq!(sums(2)[0].gradient_sq, 2.0 * sums(1)[0].gradient_sq);
}

fn touched_rows() -> Vec<Touched> {
    [(2, 0), (2, 2), (3, 0), (7, 3), (8, 1), (8, 2)]
        .map(|(id, question)| Touched { id, question })
        .to_vec()
}

#[test]
fn taken_rows_leave_their_columns_empty() {
    let (rows, n, k, first) = (31, 9, 33, 1);
    let case = case(rows, [n, k], questions(rows));
    let touched = touched_rows();
    let held = normal_values(5, touched.len() * k);
    let (mut dy, x) = (buffer(&case.dy, &[rows, n]), buffer(&case.x, &[rows, k]));
    let mut out = buffer(&held, &[touched.len(), k]);
    take_rows(dy.view_mut(), x.view(), &case.questions, (&touched, first), out.view_mut()).unwrap();
    let (want_dy, want_rows) = reference::take_rows(
        [&widen(&case.dy), &widen(&case.x)],
        [n, k],
        &case.questions,
        (&touched, first),
        &widen(&held),
    );
    assert_eq!(widen(&dy.to_f32().unwrap()), want_dy);
    // Products of outliers, 400 in size, leave roundings of 400.
    let tolerance = crate::testing::Tolerance { absolute: 1e-3, relative: 1e-5 };
    crate::testing::assert_close("rows", &out.to_f32().unwrap(), &want_rows, tolerance);
}

#[test]
fn what_was_taken_and_what_was_left_is_the_whole() {
    let (rows, n, k) = (31, 10, 33);
    let case = case(rows, [n, k], questions(rows));
    let touched = touched_rows();
    let (mut dy, x) = (buffer(&case.dy, &[rows, n]), buffer(&case.x, &[rows, k]));
    let mut held = buffer(&vec![0.0; touched.len() * k], &[touched.len(), k]);
    take_rows(dy.view_mut(), x.view(), &case.questions, (&touched, 0), held.view_mut()).unwrap();
    let (target, v) = (buffer(&case.target, &[n, k]), buffer(&case.exp_avg_sq, &[n, k]));
    let against =
        Against { target: target.view(), exp_avg_sq: Some(v.view()), preconditioner: ADAM };
    let mut tally = Tally::new(4);
    linear(dy.view(), x.view(), &case.questions, &against, &mut tally).unwrap();
    super::touched(held.view(), &touched, &against, &mut tally).unwrap();
    assert_same(&tally.finish().unwrap(), &case.reference(ADAM), &case.target, 2e-6);
}

#[test]
fn touched_rows_match_the_reference() {
    let (vocab, k) = (9, 37);
    let touched = touched_rows();
    let rows = hard_values(1, touched.len() * k);
    let target = normal_values(2, vocab * k);
    let squares: Vec<f32> = hard_values(3, vocab * k).iter().map(|x| x * x).collect();
    for preconditioner in [ADAM, FRESH] {
        let (m, v) = (buffer(&target, &[vocab, k]), buffer(&squares, &[vocab, k]));
        let state = preconditioner.step > 0;
        let exp_avg_sq = state.then(|| v.view());
        let against = Against { target: m.view(), exp_avg_sq, preconditioner };
        let held = buffer(&rows, &[touched.len(), k]);
        let mut tally = Tally::new(4);
        super::touched(held.view(), &touched, &against, &mut tally).unwrap();
        let v = if state { widen(&squares) } else { vec![0.0; vocab * k] };
        let want = reference::touched(
            &widen(&rows),
            k,
            &touched,
            ([&widen(&target), &v], preconditioner),
            4,
        );
        assert_same(&tally.finish().unwrap(), &want, &target, 1e-12);
    }
}

#[test]
fn neighbouring_ranges_become_one() {
    let mut questions = Questions::default();
    questions.push([3..5, 5..9, 9..9, 10..11]);
    questions.push([]);
    questions.push(Some(11..12));
    assert_eq!(questions.ranges(0), [3..9, 10..11]);
    assert_eq!(questions.ranges(1), []);
    assert_eq!(questions.ranges(2), std::slice::from_ref(&(11..12)));
    assert_eq!(questions.scaled(3).ranges(0), [9..27, 30..33]);
    assert_eq!((questions.len(), questions.is_empty()), (3, false));
}

#[test]
fn what_does_not_fit_is_named() {
    let x: Buffer = poison(&[4, 3]);
    let target = poison(&[3, 3]);
    let against = Against { target: target.view(), exp_avg_sq: None, preconditioner: FRESH };
    let mut questions = Questions::default();
    questions.push(Some(0..5));
    let message = |dy: View<'_>, against: &Against<'_>, questions: &Questions, count| {
        let mut tally = Tally::new(count);
        linear(dy, x.view(), questions, against, &mut tally).unwrap_err().to_string()
    };
    let fits = {
        let mut fits = Questions::default();
        fits.push(Some(0..4));
        fits
    };
    assert!(message(x.view(), &against, &questions, 1).contains("5 rows in a batch of 4"));
    assert!(message(x.view(), &against, &fits, 2).contains("a `tally` of 2 for 1 questions"));
    let wide = poison(&[4, 2]);
    let text = message(wide.view(), &against, &fits, 1);
    assert_eq!(text, "question_sums::linear: `target` has shape [3, 3], expected [2, 3]");
    let stepped = Against { preconditioner: ADAM, ..against };
    assert!(message(x.view(), &stepped, &fits, 1).contains("without an `exp_avg_sq`"));

    let row = [Touched { id: 7, question: 0 }];
    let held = poison(&[1, 3]);
    let error = touched(held.view(), &row, &against, &mut Tally::new(1)).unwrap_err();
    assert!(error.to_string().contains("table row 7 of question 0"), "{error}");
    let error = Tally::new(2).add(2, target.view(), &against).unwrap_err();
    assert_eq!(error.to_string(), "question_sums::Tally: question 2 of 2");
    let error = Tally::new(2).add(0, x.view(), &against).unwrap_err();
    assert!(error.to_string().contains("`target` has shape [3, 3], expected [4, 3]"), "{error}");
}
