use super::*;
use crate::{
    Buffer, Dtype,
    rng::Stream,
    testing::{
        Tolerance, assert_close, assert_gradient, buffer, hard_values, normal_values, on_threads,
        poison, widen,
    },
};

/// Table rows, tokens, width: nothing, one element, odd sizes, rows and columns shared out.
const SHAPES: [(usize, usize, usize); 7] =
    [(3, 0, 5), (3, 2, 0), (1, 1, 1), (5, 13, 7), (50, 40, 33), (3, 1999, 67), (301, 700, 64)];

/// Ids in no order, the first row named most often.
fn random_ids(rows: usize, tokens: usize) -> Vec<u32> {
    let stream = Stream::new(9);
    (0..tokens as u64).map(|t| (stream.uniform(t).powi(2) * rows as f64) as u32).collect()
}

fn upload(ids: &[u32]) -> Buffer {
    Device::Cpu.upload_u32(ids.to_vec()).unwrap()
}

#[test]
fn gather_copies_the_rows() {
    for (rows, tokens, width) in SHAPES {
        let (table, ids) = (hard_values(1, rows * width), random_ids(rows, tokens));
        let mut out = poison(&[tokens, width]);
        let table_buffer = buffer(&table, &[rows, width]);
        gather(table_buffer.view(), upload(&ids).view(), out.view_mut()).unwrap();
        let want = reference::gather(&widen(&table), &ids, width);
        assert_eq!(widen(&out.to_f32().unwrap()), want);
    }
}

#[test]
fn scatter_add_matches_the_reference() {
    for (rows, tokens, width) in SHAPES {
        let (dout, ids) = (hard_values(1, tokens * width), random_ids(rows, tokens));
        let mut dtable = buffer(&vec![1.0; rows * width], &[rows, width]);
        let dout_buffer = buffer(&dout, &[tokens, width]);
        scatter_add(dout_buffer.view(), upload(&ids).view(), dtable.view_mut()).unwrap();
        let mut want = reference::scatter_add(&widen(&dout), &ids, rows, width);
        want.iter_mut().for_each(|sum| *sum += 1.0);
        // Up to 2000 values, outliers of 20 among them, add up one by one.
        let bound = Tolerance { absolute: 2e-3, ..Tolerance::F32_SUM };
        assert_close("dtable", &dtable.to_f32().unwrap(), &want, bound);
    }
}

#[test]
fn additions_run_in_the_order_of_tokens() {
    // One id for all, one for most, and mixed: f32 additions in another order would differ.
    let (rows, tokens, width) = (4, 3001, 97);
    let most: Vec<u32> = (0..tokens).map(|t| if t % 50 == 7 { 3 } else { 1 }).collect();
    for ids in [vec![2; tokens], most, random_ids(rows, tokens)] {
        let dout = hard_values(1, tokens * width);
        let mut want = vec![0.0f32; rows * width];
        for (row, &id) in dout.chunks(width).zip(&ids) {
            let sum = &mut want[id as usize * width..][..width];
            sum.iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
        }
        let (dout, ids) = (buffer(&dout, &[tokens, width]), upload(&ids));
        for threads in [1, 2, 5] {
            let mut dtable = buffer(&vec![0.0; rows * width], &[rows, width]);
            let out = dtable.view_mut();
            on_threads(threads, || scatter_add(dout.view(), ids.view(), out)).unwrap();
            assert_eq!(dtable.to_f32().unwrap(), want, "{threads} threads");
        }
    }
}

#[test]
fn unnamed_rows_are_not_touched() {
    let mut dtable = poison(&[4, 2]);
    dtable.rows_mut(2..3).unwrap().into_f32("test", "row").unwrap().fill(0.5);
    let dout = buffer(&[1.0, -1.0], &[1, 2]);
    scatter_add(dout.view(), upload(&[2]).view(), dtable.view_mut()).unwrap();
    let dtable = dtable.to_f32().unwrap();
    assert_eq!(dtable[4..6], [1.5, -0.5]);
    assert!(dtable[..4].iter().chain(&dtable[6..]).all(|x| x.is_nan()));
}

#[test]
fn the_reference_gradient_is_the_derivative() {
    let (rows, width, ids) = (5, 3, [4, 0, 4, 2]);
    let table = widen(&hard_values(1, rows * width));
    let dout = widen(&normal_values(2, ids.len() * width));
    let loss = |table: &[f64]| -> f64 {
        reference::gather(table, &ids, width).iter().zip(&dout).map(|(out, d)| out * d).sum()
    };
    let dtable = reference::scatter_add(&dout, &ids, rows, width);
    assert_gradient("dtable", loss, &table, &dtable);
}

#[test]
fn an_id_past_the_table_is_an_error_and_nothing_is_written() {
    let (table, ids) = (buffer(&[0.0; 6], &[3, 2]), upload(&[0, 2, 3, 9]));
    let mut out = buffer(&[7.0; 8], &[4, 2]);
    let error = gather(table.view(), ids.view(), out.view_mut()).unwrap_err();
    let problem = "embedding::gather: `ids`[2] is 3, but the table has 3 rows";
    assert_eq!(error.to_string(), problem);
    assert_eq!(out.to_f32().unwrap(), [7.0; 8]);
    let mut dtable = buffer(&[7.0; 6], &[3, 2]);
    let error = scatter_add(out.view(), ids.view(), dtable.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Argument { op: "embedding::scatter_add", .. }));
    assert_eq!(dtable.to_f32().unwrap(), [7.0; 6]);
}

#[test]
fn a_wrong_shape_or_type_names_the_tensor() {
    let (table, ids, mut out) = (buffer(&[0.0; 6], &[3, 2]), upload(&[0, 2]), poison(&[2, 3]));
    let error = gather(table.view(), ids.view(), out.view_mut()).unwrap_err();
    assert_eq!(error.to_string(), "embedding::gather: `out` has shape [2, 3], expected [2, 2]");
    let error = gather(table.view(), table.view(), out.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Rank { tensor: "ids", expected: 1, .. }));
    let (floats, mut out) = (buffer(&[0.0; 2], &[2]), poison(&[2, 2]));
    let error = gather(table.view(), floats.view(), out.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Dtype { tensor: "ids", expected: Dtype::U32, .. }));
    let error = scatter_add(table.view(), ids.view(), out.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "dout", .. }));
}
