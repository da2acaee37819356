//! `rmsnorm.cu` against [`crate::ops::rmsnorm`].

use super::*;
use crate::{
    Error, Write,
    cuda::{
        Kernel,
        rmsnorm::{self as cuda, Outputs, Shape},
    },
    ops::rmsnorm as cpu,
    testing::{buffer, poison},
};

const EPSILON: f32 = 1e-6;

/// Rows, width: one element, what no access is wide enough for, one warp's worth and one more, widths
/// of wide accesses with and without a full last turn, more rows than a chunk takes.
const SHAPES: [(usize, usize); 8] =
    [(1, 1), (3, 7), (9, 33), (5, 8), (8, 256), (17, 264), (2, 1024), (521, 40)];

/// Input, residual, weight and output gradient of a shape; the first row is zero.
struct Case {
    shape: Shape,
    x: (Vec<bf16>, Vec<f32>),
    residual: (Vec<bf16>, Vec<f32>),
    weight: (Vec<bf16>, Vec<f32>),
    dy: (Vec<bf16>, Vec<f32>),
}

impl Case {
    fn new((rows, width): (usize, usize)) -> Self {
        let mut x = hard_bf16(1, rows * width);
        if rows > 1 {
            x.0[..width].fill(bf16::ZERO);
            x.1[..width].fill(0.0);
        }
        Self {
            shape: Shape { rows, width },
            x,
            residual: hard_bf16(2, rows * width),
            weight: hard_bf16(3, width),
            dy: hard_bf16(4, rows * width),
        }
    }

    fn axes(&self) -> [usize; 2] {
        [self.shape.rows, self.shape.width]
    }
}

/// `y` and `rstd` of the CPU op.
fn cpu_forward(case: &Case, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut y, mut rstd) = (poison(&case.axes()), poison(&[case.shape.rows]));
    let (x, w) = (buffer(x, &case.axes()), buffer(&case.weight.1, &[case.shape.width]));
    cpu::forward(x.view(), w.view(), EPSILON, y.view_mut(), rstd.view_mut()).unwrap();
    (y.to_f32().unwrap(), rstd.to_f32().unwrap())
}

fn cuda_forward(driver: &Driver, case: &Case) -> (Vec<f32>, Vec<f32>) {
    let (x, w) = (up(driver, &case.x.0), up(driver, &case.weight.0));
    let mut y = Memory::unset(driver, case.x.0.len()).unwrap();
    let mut rstd = Memory::unset(driver, case.shape.rows).unwrap();
    let outputs = Outputs { y: y.slice_mut(), rstd: rstd.slice_mut() };
    cuda::forward(driver, case.shape, x.slice(), w.slice(), EPSILON, outputs).unwrap();
    (wide(&y.download().unwrap()), rstd.download().unwrap())
}

pub(super) fn check_forward(driver: &Driver) {
    for shape in SHAPES {
        let case = Case::new(shape);
        let (y, rstd) = cuda_forward(driver, &case);
        let (y_want, rstd_want) = cpu_forward(&case, &case.x.1);
        tolerance::check(Kernel::RmsNormForward, "y", &y, &y_want);
        tolerance::check(Kernel::RmsNormForward, "rstd", &rstd, &rstd_want);
    }
}

pub(super) fn check_add_forward(driver: &Driver) {
    for shape in SHAPES {
        let case = Case::new(shape);
        let (x, residual) = (up(driver, &case.x.0), up(driver, &case.residual.0));
        let w = up(driver, &case.weight.0);
        let mut y = Memory::unset(driver, case.x.0.len()).unwrap();
        let mut sum = Memory::unset(driver, case.x.0.len()).unwrap();
        let mut rstd = Memory::unset(driver, case.shape.rows).unwrap();
        let outputs = Outputs { y: y.slice_mut(), rstd: rstd.slice_mut() };
        let inputs = [x.slice(), residual.slice()];
        let outputs = (sum.slice_mut(), outputs);
        cuda::add_forward(driver, case.shape, inputs, w.slice(), EPSILON, outputs).unwrap();
        let added = case.x.1.iter().zip(&case.residual.1).map(|(x, r)| bf16::from_f32(x + r));
        let added: Vec<bf16> = added.collect();
        let sum = wide(&sum.download().unwrap());
        tolerance::check(Kernel::RmsNormForwardAdd, "sum", &sum, &wide(&added));
        let (y_want, rstd_want) = cpu_forward(&case, &wide(&added));
        tolerance::check(Kernel::RmsNormForward, "y", &wide(&y.download().unwrap()), &y_want);
        tolerance::check(Kernel::RmsNormForward, "rstd", &rstd.download().unwrap(), &rstd_want);
    }
}

/// The CPU op's gradient of the input.
fn cpu_backward(case: &Case, rstd: &[f32]) -> Vec<f32> {
    let mut dx = poison(&case.axes());
    let [dy, x] = [&case.dy.1, &case.x.1].map(|values| buffer(values, &case.axes()));
    let w = buffer(&case.weight.1, &[case.shape.width]);
    let r = buffer(rstd, &[case.shape.rows]);
    let (dx_view, write) = (dx.view_mut(), Write::Overwrite);
    cpu::backward(dy.view(), x.view(), w.view(), r.view(), dx_view, write).unwrap();
    dx.to_f32().unwrap()
}

pub(super) fn check_backward(driver: &Driver) {
    for shape in SHAPES {
        let case = Case::new(shape);
        let (_, rstd) = cpu_forward(&case, &case.x.1);
        let want = cpu_backward(&case, &rstd);
        let [dy, x, w] = [&case.dy.0, &case.x.0, &case.weight.0].map(|values| up(driver, values));
        let r = up(driver, &rstd);
        let mut dx = Memory::unset(driver, case.x.0.len()).unwrap();
        let inputs = [dy.slice(), x.slice(), w.slice()];
        let mut run = |write| {
            let dx_slice = dx.slice_mut();
            cuda::backward(driver, case.shape, inputs, r.slice(), dx_slice, write).unwrap();
            wide(&dx.download().unwrap())
        };
        let once = run(Write::Overwrite);
        tolerance::check(Kernel::RmsNormBackward, "dx", &once, &want);
        let twice: Vec<f32> = once.iter().zip(&want).map(|(a, b)| a + b).collect();
        tolerance::check_scaled(Kernel::RmsNormBackward, "dx", &run(Write::Add), &twice, 2.0);
    }
}

pub(super) fn check_backward_weight(driver: &Driver) {
    for shape in SHAPES {
        let case = Case::new(shape);
        let (_, rstd) = cpu_forward(&case, &case.x.1);
        let mut want = buffer(&vec![1.0; case.shape.width], &[case.shape.width]);
        let [dy, x] = [&case.dy.1, &case.x.1].map(|values| buffer(values, &case.axes()));
        let r = buffer(&rstd, &[case.shape.rows]);
        cpu::backward_weight(dy.view(), x.view(), r.view(), want.view_mut()).unwrap();

        let [dy, x] = [&case.dy.0, &case.x.0].map(|values| up(driver, values));
        let (r, mut dw) = (up(driver, &rstd), up(driver, &vec![1.0f32; case.shape.width]));
        let inputs = [dy.slice(), x.slice()];
        cuda::backward_weight(driver, case.shape, inputs, r.slice(), dw.slice_mut()).unwrap();
        let (got, want) = (dw.download().unwrap(), want.to_f32().unwrap());
        tolerance::check(Kernel::RmsNormBackwardWeight, "dw", &got, &want);
    }
}

#[test]
fn forward_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_forward(&driver(order)));
}

#[test]
fn the_fused_add_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_add_forward(&driver(order)));
}

#[test]
fn backward_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_backward(&driver(order)));
}

#[test]
fn the_weight_gradient_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_backward_weight(&driver(order)));
}

#[test]
fn a_result_does_not_depend_on_the_order_of_threads() {
    let case = Case::new((521, 40));
    let all = ORDERS.map(|order| cuda_forward(&driver(order), &case));
    assert!(all.iter().all(|one| one == &all[0]));
}

#[test]
fn extreme_values_give_what_the_cpu_op_gives() {
    let mut case = Case::new((4, 16));
    for (row, value) in [0.0, 1e-30, 1e18, f32::INFINITY].into_iter().enumerate() {
        case.x.0[row * 16..][..16].fill(bf16::from_f32(value));
    }
    case.x.1 = wide(&case.x.0);
    let (y, rstd) = cuda_forward(&driver(Order::Forward), &case);
    let (y_want, rstd_want) = cpu_forward(&case, &case.x.1);
    tolerance::check(Kernel::RmsNormForward, "y", &y, &y_want);
    tolerance::check(Kernel::RmsNormForward, "rstd", &rstd, &rstd_want);
    assert_eq!(y[..16], [0.0; 16]);
}

#[test]
fn no_rows_are_no_work() {
    let driver = driver(Order::Forward);
    let empty: Memory<bf16> = up(&driver, &[]);
    let mut dw = up(&driver, &[3.0f32; 8]);
    let r: Memory<f32> = up(&driver, &[]);
    let shape = Shape { rows: 0, width: 8 };
    let inputs = [empty.slice(), empty.slice()];
    cuda::backward_weight(&driver, shape, inputs, r.slice(), dw.slice_mut()).unwrap();
    assert_eq!(dw.download().unwrap(), [3.0; 8]);
}

#[test]
fn a_wrong_length_names_the_tensor() {
    let driver = driver(Order::Forward);
    let (x, w) = (up(&driver, &[bf16::ONE; 6]), up(&driver, &[bf16::ONE; 2]));
    let mut y = up(&driver, &[bf16::ONE; 6]);
    let mut rstd = up(&driver, &[0.0f32; 2]);
    let outputs = Outputs { y: y.slice_mut(), rstd: rstd.slice_mut() };
    let shape = Shape { rows: 2, width: 3 };
    let error = cuda::forward(&driver, shape, x.slice(), w.slice(), EPSILON, outputs).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "weight", .. }), "{error}");
}
