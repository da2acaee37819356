//! `swiglu.cu` against [`crate::ops::swiglu`].

use super::*;
use crate::{
    Error,
    cuda::{Kernel, swiglu as cuda},
    ops::swiglu as cpu,
    testing::{buffer, poison},
};

/// One element, what no access is wide enough for, an access, one more, a block and a bit.
const COUNTS: [usize; 6] = [1, 7, 8, 9, 2048, 4099];

/// The gate with the ends of the range that the sigmoid has, and outputs of the CPU op:
/// out, dgate, dup.
fn case(count: usize) -> ([Vec<bf16>; 3], [Vec<f32>; 3]) {
    let [mut gate, up, dout] = [1, 2, 3].map(|seed| hard_bf16(seed, count).0);
    let ends = [0.0, -0.0, 80.0, -80.0, 1e30, -1e30];
    gate.iter_mut().zip(ends).for_each(|(gate, end)| *gate = bf16::from_f32(end));
    let [g, u, d] = [&gate, &up, &dout].map(|values| buffer(&wide(values), &[1, count]));
    let [mut out, mut dgate, mut dup] = [(); 3].map(|()| poison(&[1, count]));
    cpu::forward(g.view(), u.view(), out.view_mut()).unwrap();
    cpu::backward(d.view(), g.view(), u.view(), dgate.view_mut(), dup.view_mut()).unwrap();
    ([gate, up, dout], [out, dgate, dup].map(|buffer| buffer.to_f32().unwrap()))
}

pub(super) fn check(driver: &Driver) {
    for count in COUNTS {
        let (inputs, [out_want, dgate_want, dup_want]) = case(count);
        let [gate, up_, dout] = inputs.map(|values| up(driver, &values));
        let mut outputs = [(); 3].map(|()| Memory::<bf16>::unset(driver, count).unwrap());
        let [out, dgate, dup] = &mut outputs;
        let inputs = [gate.slice(), up_.slice()];
        cuda::forward(driver, inputs, out.slice_mut()).unwrap();
        let gradients = [dgate.slice_mut(), dup.slice_mut()];
        cuda::backward(driver, dout.slice(), inputs, gradients).unwrap();
        let [out, dgate, dup] = outputs.map(|memory| wide(&memory.download().unwrap()));
        tolerance::check(Kernel::SwigluForward, "out", &out, &out_want);
        tolerance::check(Kernel::SwigluBackward, "dgate", &dgate, &dgate_want);
        tolerance::check(Kernel::SwigluBackward, "dup", &dup, &dup_want);
    }
}

#[test]
fn forward_and_backward_equal_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check(&driver(order)));
}

#[test]
fn a_wrong_length_names_the_tensor() {
    let driver = driver(Order::Forward);
    let [gate, short] = [6, 5].map(|count| up(&driver, &vec![bf16::ONE; count]));
    let mut out = up(&driver, &[bf16::ONE; 6]);
    let inputs = [gate.slice(), short.slice()];
    let error = cuda::forward(&driver, inputs, out.slice_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "up", .. }), "{error}");
}
