//! `embedding.cu` against [`crate::ops::embedding`], to the bit.

use super::*;
use crate::{
    Device, Error,
    cuda::{
        Kernel,
        embedding::{self as cuda, Ids},
    },
    ops::embedding as cpu,
    rng::Stream,
    testing::{buffer, poison},
};

/// Tokens, rows of the table, width: nothing, one element, odd widths, wide accesses, more columns
/// than a block has threads, far more tokens than rows.
const SHAPES: [[usize; 3]; 6] =
    [[0, 3, 8], [1, 1, 1], [9, 5, 7], [33, 11, 264], [20, 300, 40], [700, 4, 16]];

/// Ids with repeats in no order; the first and the last row of the table are among them.
fn ids(tokens: usize, rows: usize) -> Vec<u32> {
    let stream = Stream::new(9);
    let mut ids: Vec<u32> =
        (0..tokens as u64).map(|t| (stream.bits(t) % rows as u64) as u32).collect();
    if let [first, .., last] = &mut ids[..] {
        (*first, *last) = (rows as u32 - 1, 0);
    }
    ids
}

pub(super) fn check(driver: &Driver) {
    for [tokens, rows, width] in SHAPES {
        let ids = ids(tokens, rows);
        let (table, table_wide) = hard_bf16(1, rows * width);
        let (dout, dout_wide) = hard_bf16(2, tokens * width);
        let start = hard_values(3, rows * width);
        let at = Device::Cpu.upload_u32(ids.clone()).unwrap();
        let (mut out, mut dtable) = (poison(&[tokens, width]), buffer(&start, &[rows, width]));
        let table_buffer = buffer(&table_wide, &[rows, width]);
        cpu::gather(table_buffer.view(), at.view(), out.view_mut()).unwrap();
        let dout_buffer = buffer(&dout_wide, &[tokens, width]);
        cpu::scatter_add(dout_buffer.view(), at.view(), dtable.view_mut()).unwrap();

        let ids = Ids::upload(driver, &ids, rows).unwrap();
        assert_eq!((ids.len(), ids.is_empty()), (tokens, tokens == 0));
        let table = up(driver, &table);
        let mut got = Memory::<bf16>::unset(driver, tokens * width).unwrap();
        cuda::gather(driver, width, table.slice(), &ids, got.slice_mut()).unwrap();
        let (got, want) = (wide(&got.download().unwrap()), out.to_f32().unwrap());
        tolerance::check(Kernel::EmbeddingForward, "out", &got, &want);
        let (dout, mut got) = (up(driver, &dout), up(driver, &start));
        cuda::scatter_add(driver, width, dout.slice(), &ids, got.slice_mut()).unwrap();
        let (got, want) = (got.download().unwrap(), dtable.to_f32().unwrap());
        tolerance::check(Kernel::EmbeddingBackward, "dtable", &got, &want);
    }
}

#[test]
fn rows_and_their_gradients_equal_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check(&driver(order)));
}

#[test]
fn an_id_outside_the_table_is_refused() {
    let driver = driver(Order::Forward);
    let error = Ids::upload(&driver, &[2, 3], 3).unwrap_err();
    assert!(error.to_string().contains("`ids`[1] is 3"), "{error}");
    // Checked against a longer table than that of the call.
    let ids = Ids::upload(&driver, &[2], 3).unwrap();
    let (table, mut out) = (up(&driver, &[bf16::ONE; 2]), up(&driver, &[bf16::ONE]));
    let error = cuda::gather(&driver, 1, table.slice(), &ids, out.slice_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "table", .. }), "{error}");
    let mut dtable = up(&driver, &[0.0f32; 2]);
    let error = cuda::scatter_add(&driver, 1, out.slice(), &ids, dtable.slice_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "dtable", .. }), "{error}");
}
