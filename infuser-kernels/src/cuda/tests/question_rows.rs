//! `question_rows.cu`, and the rows of `influence.cu`, through the ops: a device on the emulator against
//! the CPU, on the same values.

use super::*;
use crate::{
    Buffer, Device,
    cuda::Kernel,
    ops::influence::{Preconditioner, Sums},
    ops::question_sums::{self as op, Against, Questions, Tally, Touched},
    testing::buffer,
};

const ADAM: Preconditioner = Preconditioner { beta2: 0.999, epsilon: 1e-8, step: 3 };

/// Rows of the batch, columns, width: one of each, what no access is wide enough for, more columns than
/// a block has threads.
const SHAPES: [[usize; 3]; 3] = [[1, 1, 1], [13, 20, 7], [40, 24, 300]];

fn float(device: &Device, values: &[f32], axes: &[usize]) -> Buffer {
    device.upload_float(values.to_vec(), axes).unwrap()
}

/// One question in two pieces, one of nothing, one of the rest.
fn questions(rows: usize) -> Questions {
    let mut questions = Questions::default();
    questions.push([0..rows / 4, rows / 2..rows / 2 + 1]);
    questions.push([]);
    questions.push(Some(rows / 2 + 1..rows));
    questions
}

/// Rows of the table, the first and the last among them, of several questions.
fn touched(columns: usize, first: u32) -> Vec<Touched> {
    let all = [(0, 0), (0, 2), (columns / 2, 2), (columns - 1, 0), (columns - 1, 1)];
    let mut all: Vec<Touched> =
        all.map(|(column, question)| Touched { id: first + column as u32, question }).to_vec();
    all.sort_unstable();
    all.dedup();
    all
}

/// What is taken, what is left of the factors, and the sums of the rows taken.
fn run(
    device: &Device,
    [rows, columns, width]: [usize; 3],
    step: u64,
) -> (Vec<f32>, Vec<f32>, Vec<Sums>) {
    let first = 3;
    let (_, dy) = hard_bf16(1, rows * columns);
    let (_, x) = hard_bf16(2, rows * width);
    let (questions, touched) = (questions(rows), touched(columns, first));
    let (mut dy, x) = (float(device, &dy, &[rows, columns]), float(device, &x, &[rows, width]));
    let start = hard_values(3, touched.len() * width);
    let mut held = device.upload_f32(start, &[touched.len(), width]).unwrap();
    let taken = (&touched[..], first as usize);
    op::take_rows(dy.view_mut(), x.view(), &questions, taken, held.view_mut()).unwrap();
    let axes = [first as usize + columns, width];
    let target = device.upload_f32(hard_values(4, axes[0] * width), &axes).unwrap();
    let v = hard_values(5, axes[0] * width).into_iter().map(|v| v * v).collect();
    let v = device.upload_f32(v, &axes).unwrap();
    let exp_avg_sq = (step > 0).then(|| v.view());
    let preconditioner = Preconditioner { step, ..ADAM };
    let against = Against { target: target.view(), exp_avg_sq, preconditioner };
    let mut tally = Tally::new(questions.len());
    op::touched(held.view(), &touched, &against, &mut tally).unwrap();
    (held.to_f32().unwrap(), dy.to_f32().unwrap(), tally.finish().unwrap())
}

pub(super) fn check(driver: &Driver) {
    let device = Device::Cuda(driver.clone());
    for (shape, step) in SHAPES.into_iter().flat_map(|shape| [(shape, 0), (shape, 3)]) {
        let (held, dy, sums) = run(&device, shape, step);
        let (want_held, want_dy, want_sums) = run(&Device::Cpu, shape, step);
        tolerance::check(Kernel::QuestionRowsTake, "rows", &held, &want_held);
        tolerance::check(Kernel::QuestionRowsClear, "dy", &dy, &want_dy);
        let m: f64 = hard_values(4, (3 + shape[1]) * shape[2])
            .iter()
            .map(|m| f64::from(*m).powi(2))
            .sum::<f64>()
            .sqrt();
        for (got, want) in sums.iter().zip(&want_sums) {
            let close = |name: &str, got: f64, want: f64, size: f64| {
                tolerance::check_f64(Kernel::InfluenceRows, name, &[got], &[want], size);
            };
            close("gradient_sq", got.gradient_sq, want.gradient_sq, want.gradient_sq);
            close("dot", got.dot, want.dot, want.gradient_sq.sqrt() * m);
            close("gamma_sq", got.gamma_sq, want.gamma_sq, want.gamma_sq);
            close("gamma_dot", got.gamma_dot, want.gamma_dot, want.gamma_sq.sqrt() * m);
        }
    }
}

#[test]
fn rows_and_their_sums_equal_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check(&driver(order)));
}

/// Gradients of a weight formed question by question, with rows that do not start at a multiple of 16
/// bytes, against the CPU's on the same values.
#[test]
fn sums_of_a_weight_equal_the_cpu_op() {
    let sizes = [[13, 20, 7], [9, 5, 3], [40, 24, 300]];
    for ([rows, n, k], step) in sizes.into_iter().flat_map(|sizes| [(sizes, 0), (sizes, 3)]) {
        let (_, dy) = hard_bf16(1, rows * n);
        let (_, x) = hard_bf16(2, rows * k);
        let (target, v) = (hard_values(3, n * k), hard_values(4, n * k));
        let v: Vec<f32> = v.into_iter().map(|v| v * v).collect();
        // A large ε, so that no sign of a sum that cancels to nothing decides.
        let preconditioner = Preconditioner { step, epsilon: 1e-2, ..ADAM };
        let run = |device: &Device| {
            let (dy, x) = (float(device, &dy, &[rows, n]), float(device, &x, &[rows, k]));
            let [m, v] = [&target, &v].map(|t| device.upload_f32(t.clone(), &[n, k]).unwrap());
            let exp_avg_sq = (step > 0).then(|| v.view());
            let against = Against { target: m.view(), exp_avg_sq, preconditioner };
            let mut tally = Tally::new(3);
            op::linear(dy.view(), x.view(), &questions(rows), &against, &mut tally).unwrap();
            tally.finish().unwrap()
        };
        let (got, want) = (run(&Device::Cuda(driver(Order::Forward))), run(&Device::Cpu));
        let m = target.iter().map(|m| f64::from(*m).powi(2)).sum::<f64>().sqrt();
        for (got, want) in got.iter().zip(&want) {
            // As `ops/question_sums/tests.rs`: gradients are f32 sums in another order.
            let pairs = [
                (got.gradient_sq, want.gradient_sq, want.gradient_sq),
                (got.gamma_sq, want.gamma_sq, want.gamma_sq),
                (got.dot, want.dot, want.gradient_sq.sqrt() * m),
                (got.gamma_dot, want.gamma_dot, want.gamma_sq.sqrt() * m),
            ];
            assert!(
                pairs.iter().all(|(got, want, size)| (got - want).abs() <= 1e-5 * size),
                "{pairs:?}"
            );
        }
    }
}

#[test]
fn a_row_or_a_question_that_is_not_there_is_refused() {
    let device = Device::Cuda(driver(Order::Forward));
    let (mut dy, x) = (float(&device, &[1.0; 6], &[2, 3]), float(&device, &[1.0; 4], &[2, 2]));
    let mut held = device.zeros_f32(&[1, 2]).unwrap();
    let mut refused = |questions: &Questions, touched: Touched| {
        let taken = (&[touched][..], 0);
        op::take_rows(dy.view_mut(), x.view(), questions, taken, held.view_mut())
            .unwrap_err()
            .to_string()
    };
    let error = refused(&questions(2), Touched { id: 3, question: 0 });
    assert!(error.contains("table row 3 of question 0"), "{error}");
    let error = refused(&questions(3), Touched { id: 1, question: 0 });
    assert!(error.contains("3 rows in a batch of 2"), "{error}");
    // A tensor of the CPU among those of the device.
    let on_cpu = buffer(&[0.0; 2], &[1, 2]);
    let mut on_cpu = on_cpu.copy().unwrap();
    let taken = (&[Touched { id: 1, question: 0 }][..], 0);
    let error = op::take_rows(dy.view_mut(), x.view(), &questions(2), taken, on_cpu.view_mut())
        .unwrap_err();
    assert_eq!(error.to_string(), "question_sums::take_rows: `rows` is on cpu, expected cuda");
}

/// More parts than a chunk has places for, of one gradient each, so that their sum is known.
#[test]
fn parts_of_sums_are_all_there() {
    let device = Device::Cuda(driver(Order::Forward));
    let [gradient, target] = [3.0, 2.0].map(|value| device.upload_f32(vec![value], &[1]).unwrap());
    let preconditioner = Preconditioner { step: 0, ..ADAM };
    let against = Against { target: target.view(), exp_avg_sq: None, preconditioner };
    let (mut tally, count) = (Tally::new(2), 16_500);
    for part in 0..count {
        tally.add(part % 2, gradient.view(), &against).unwrap();
    }
    let sums = tally.finish().unwrap();
    let half = (count / 2) as f64;
    assert!(sums.iter().all(|own| (own.dot, own.gradient_sq) == (6.0 * half, 9.0 * half)));
    assert!(Tally::new(2).finish().unwrap().iter().all(|own| *own == Sums::default()));
}
