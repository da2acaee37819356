//! The plain f64 twin of [`super`].

use super::{Preconditioner, Questions, Sums, Touched};
use crate::ops::{influence, matmul};

/// What a gradient is compared with: target, mean square (zeros before the first step), settings.
pub type Against<'a> = ([&'a [f64]; 2], Preconditioner);

/// The gradient of one question as a whole, `[N, K]`.
fn gradient(
    [dy, x]: [&[f64]; 2],
    [n, k]: [usize; 2],
    questions: &Questions,
    question: usize,
) -> Vec<f64> {
    let mut gradient = vec![0.0; n * k];
    for range in questions.ranges(question).iter().cloned() {
        let (dy, x) = (&dy[range.start * n..range.end * n], &x[range.start * k..range.end * k]);
        let part = matmul::reference::tn(dy, x, n, k);
        gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    gradient
}

/// The sums of every question: its gradient is stored, then summed.
pub fn linear(
    factors: [&[f64]; 2],
    sizes: [usize; 2],
    questions: &Questions,
    ([target, exp_avg_sq], preconditioner): Against<'_>,
) -> Vec<Sums> {
    let one = |question| {
        let gradient = gradient(factors, sizes, questions, question);
        influence::reference::sums(&gradient, exp_avg_sq, target, &preconditioner)
    };
    (0..questions.len()).map(one).collect()
}

/// `(dy, rows)` after touched columns were taken out.
pub fn take_rows(
    [dy, x]: [&[f64]; 2],
    [n, k]: [usize; 2],
    questions: &Questions,
    (touched, first): (&[Touched], usize),
    rows: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let (mut left, mut rows) = (dy.to_vec(), rows.to_vec());
    for (row, touched) in rows.chunks_mut(k).zip(touched) {
        let (column, question) = (touched.id as usize - first, touched.question as usize);
        let whole = gradient([dy, x], [n, k], questions, question);
        row.iter_mut().zip(&whole[column * k..]).for_each(|(sum, part)| *sum += part);
        for t in questions.ranges(question).iter().cloned().flatten() {
            left[t * n + column] = 0.0;
        }
    }
    (left, rows)
}

/// The sums of touched rows.
pub fn touched(
    rows: &[f64],
    k: usize,
    touched: &[Touched],
    ([target, exp_avg_sq], preconditioner): Against<'_>,
    questions: usize,
) -> Vec<Sums> {
    let mut sums = vec![Sums::default(); questions];
    for (row, touched) in rows.chunks(k).zip(touched) {
        let here = touched.id as usize * k..(touched.id as usize + 1) * k;
        let (m, v) = (&target[here.clone()], &exp_avg_sq[here]);
        sums[touched.question as usize] += influence::reference::sums(row, v, m, &preconditioner);
    }
    sums
}
