//! `bias.cu` and the sum over rows of `columns.cu` against [`crate::ops::bias`].

use super::*;
use crate::{
    Error,
    cuda::{Kernel, bias as cuda},
    ops::bias as cpu,
    testing::buffer,
};

/// Rows, width: nothing, one element, odd rows, whole accesses, a width of 8 and a bit, more rows than
/// a chunk takes and more columns than a block.
const SHAPES: [(usize, usize); 8] =
    [(0, 8), (3, 0), (1, 1), (3, 7), (5, 8), (9, 72), (521, 33), (300, 257)];

pub(super) fn check_forward(driver: &Driver) {
    for (rows, width) in SHAPES {
        let ((bias, bias_wide), (y, y_wide)) = (hard_bf16(1, width), hard_bf16(2, rows * width));
        let mut want = buffer(&y_wide, &[rows, width]);
        cpu::forward(buffer(&bias_wide, &[width]).view(), want.view_mut()).unwrap();
        let want: Vec<bf16> = want.to_f32().unwrap().into_iter().map(bf16::from_f32).collect();
        let (bias, mut got) = (up(driver, &bias), up(driver, &y));
        cuda::forward(driver, rows, bias.slice(), got.slice_mut()).unwrap();
        tolerance::check(Kernel::BiasForward, "y", &wide(&got.download().unwrap()), &wide(&want));
    }
}

pub(super) fn check_backward(driver: &Driver) {
    for (rows, width) in SHAPES {
        let (dy, dy_wide) = hard_bf16(3, rows * width);
        let start = hard_values(4, width);
        let mut want = buffer(&start, &[width]);
        cpu::backward(buffer(&dy_wide, &[rows, width]).view(), want.view_mut()).unwrap();
        let (dy, mut dbias) = (up(driver, &dy), up(driver, &start));
        cuda::backward(driver, rows, dy.slice(), dbias.slice_mut()).unwrap();
        let (got, want) = (dbias.download().unwrap(), want.to_f32().unwrap());
        tolerance::check(Kernel::ColumnsSum, "dbias", &got, &want);
    }
}

#[test]
fn forward_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_forward(&driver(order)));
}

#[test]
fn backward_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_backward(&driver(order)));
}

#[test]
fn the_gradient_does_not_depend_on_the_order_of_threads() {
    let (dy, _) = hard_bf16(3, 521 * 33);
    let all = ORDERS.map(|order| {
        let driver = driver(order);
        let (dy, mut dbias) = (up(&driver, &dy), up(&driver, &[0.0f32; 33]));
        cuda::backward(&driver, 521, dy.slice(), dbias.slice_mut()).unwrap();
        dbias.download().unwrap()
    });
    assert!(all.iter().all(|one| one == &all[0]));
}

#[test]
fn a_wrong_length_names_the_tensor() {
    let driver = driver(Order::Forward);
    let (bias, mut y) = (up(&driver, &[bf16::ONE; 3]), up(&driver, &[bf16::ONE; 7]));
    let error = cuda::forward(&driver, 2, bias.slice(), y.slice_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "y", .. }), "{error}");
    let mut dbias = up(&driver, &[0.0f32; 3]);
    let error = cuda::backward(&driver, 2, y.slice(), dbias.slice_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "dy", .. }), "{error}");
}
