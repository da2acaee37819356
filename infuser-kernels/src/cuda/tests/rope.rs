//! `rope.cu` against [`crate::ops::rope`].

use super::*;
use crate::{
    Device, Error,
    cuda::{
        Kernel,
        rope::{self as cuda, Positions, Tables},
    },
    ops::rope::{self as cpu, Direction},
    testing::buffer,
};

/// Tokens, heads, width: one pair, odd counts, more pairs than a block has threads.
const SHAPES: [[usize; 3]; 4] = [[1, 1, 2], [3, 5, 6], [7, 4, 64], [2, 3, 128]];
const ROWS: usize = 50;

pub(super) fn check(driver: &Driver, direction: Direction) {
    for [tokens, heads, width] in SHAPES {
        let (values, x_wide) = hard_bf16(1, tokens * heads * width);
        // Far apart, out of order, and the last row of the tables.
        let positions: Vec<u32> = (0..tokens).map(|t| ((49 + 31 * t) % ROWS) as u32).collect();
        let frequencies: Vec<f32> =
            (0..width / 2).map(|i| 1e4f32.powf(-2.0 * i as f32 / width as f32)).collect();
        let tables = cpu::tables(&Device::Cpu, &frequencies, 1.5, ROWS).unwrap();
        let mut want = buffer(&x_wide, &[tokens, heads, width]);
        let at = Device::Cpu.upload_u32(positions.clone()).unwrap();
        cpu::apply(want.view_mut(), at.view(), &tables, direction).unwrap();

        let cos = up(driver, &tables.cos.to_f32().unwrap());
        let sin = up(driver, &tables.sin.to_f32().unwrap());
        let tables = Tables { cos: cos.slice(), sin: sin.slice(), rows: ROWS };
        let positions = Positions::upload(driver, &positions, ROWS).unwrap();
        let mut x = up(driver, &values);
        cuda::apply(driver, x.slice_mut(), [heads, width], &positions, &tables, direction).unwrap();
        let got = wide(&x.download().unwrap());
        tolerance::check(Kernel::Rope, "x", &got, &want.to_f32().unwrap());
    }
}

#[test]
fn both_directions_equal_the_cpu_op() {
    for order in ORDERS {
        check(&driver(order), Direction::Forward);
        check(&driver(order), Direction::Backward);
    }
}

#[test]
fn a_position_outside_the_tables_is_refused() {
    let driver = driver(Order::Forward);
    let error = Positions::upload(&driver, &[3, 50], ROWS).unwrap_err();
    assert!(error.to_string().contains("`positions`[1] is 50"), "{error}");
    // Checked against longer tables than those of the call.
    let positions = Positions::upload(&driver, &[3], ROWS).unwrap();
    let table = up(&driver, &[0.0f32; 4]);
    let tables = Tables { cos: table.slice(), sin: table.slice(), rows: 4 };
    let mut x = up(&driver, &[bf16::ONE; 2]);
    let shape = [1, 2];
    let forward = Direction::Forward;
    let error = cuda::apply(&driver, x.slice_mut(), shape, &positions, &tables, forward);
    assert!(matches!(error.unwrap_err(), Error::Argument { .. }));
}
