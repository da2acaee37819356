use super::*;
use crate::testing::{
    Tolerance, assert_close, assert_gradient, buffer, hard_values, normal_values, on_threads, widen,
};

/// Tokens, heads, width: nothing, one pair, odd counts, more tokens than one task takes.
const SHAPES: [[usize; 3]; 7] =
    [[0, 2, 4], [3, 0, 4], [2, 3, 0], [1, 1, 2], [7, 3, 10], [33, 5, 34], [301, 3, 64]];

const FACTOR: f32 = 1.25;

/// Positions in no order, with repetitions.
fn positions(tokens: usize) -> Vec<u32> {
    (0..tokens).map(|t| (t * 7919 % 4001) as u32).collect()
}

fn upload(positions: &[u32]) -> Buffer {
    Device::Cpu.upload_u32(positions.to_vec()).unwrap()
}

fn frequencies(width: usize) -> Vec<f32> {
    inverse_frequencies(10_000.0, width, &Scaling::None)
}

/// The op on a copy of `x`.
fn rotated(
    x: &[f32],
    axes: [usize; 3],
    positions: &[u32],
    tables: &Tables,
    way: Direction,
) -> Vec<f32> {
    let mut x = buffer(x, &axes);
    apply(x.view_mut(), upload(positions).view(), tables, way).unwrap();
    x.to_f32().unwrap()
}

#[test]
fn both_directions_match_the_reference() {
    for [tokens, heads, width] in SHAPES {
        let x = hard_values(1, tokens * heads * width);
        let (f, p) = (frequencies(width), positions(tokens));
        let tables = tables(&Device::Cpu, &f, FACTOR, 4001).unwrap();
        for way in [Direction::Forward, Direction::Backward] {
            let got = rotated(&x, [tokens, heads, width], &p, &tables, way);
            let want = reference::apply(&widen(&x), heads, &p, &f, FACTOR.into(), way);
            // A small result may be the difference of two outliers.
            let bound = Tolerance { absolute: 1e-5, ..Tolerance::F32 };
            assert_close("x", &got, &want, bound);
        }
    }
}

#[test]
fn backward_undoes_the_rotation_and_squares_the_factor() {
    let (axes, p) = ([33, 5, 34], positions(33));
    let x = hard_values(1, 33 * 5 * 34);
    let tables = tables(&Device::Cpu, &frequencies(34), FACTOR, 4001).unwrap();
    let there = rotated(&x, axes, &p, &tables, Direction::Forward);
    let back = rotated(&there, axes, &p, &tables, Direction::Backward);
    let want: Vec<f64> = x.iter().map(|&x| f64::from(x) * f64::from(FACTOR).powi(2)).collect();
    let bound = Tolerance { absolute: 2e-5, ..Tolerance::F32 };
    assert_close("x", &back, &want, bound);
}

#[test]
fn the_reference_backward_is_the_derivative() {
    let (heads, f, p) = (2, frequencies(6), [5, 0, 3]);
    let x = widen(&hard_values(1, 3 * heads * 6));
    let d = widen(&normal_values(2, x.len()));
    let loss = |x: &[f64]| -> f64 {
        let out = reference::apply(x, heads, &p, &f, 1.25, Direction::Forward);
        out.iter().zip(&d).map(|(out, d)| out * d).sum()
    };
    let dx = reference::apply(&d, heads, &p, &f, 1.25, Direction::Backward);
    assert_gradient("dx", loss, &x, &dx);
}

#[test]
fn rotation_keeps_norms_and_position_zero_keeps_all() {
    let (axes, p) = ([40, 1, 32], positions(40));
    let x = normal_values(1, 40 * 32);
    let tables = tables(&Device::Cpu, &frequencies(32), 1.0, 4001).unwrap();
    let y = rotated(&x, axes, &p, &tables, Direction::Forward);
    assert_eq!((p[0], &x[..32]), (0, &y[..32]));
    let norm = |row: &[f32]| widen(row).iter().map(|x| x * x).sum::<f64>();
    let norms: Vec<f32> = y.chunks(32).map(|row| norm(row) as f32).collect();
    let want: Vec<f64> = x.chunks(32).map(norm).collect();
    assert_close("norms", &norms, &want, Tolerance::F32);
}

#[test]
fn dot_products_depend_on_distances_alone() {
    let (q, k) = (normal_values(1, 32), normal_values(2, 32));
    let tables = tables(&Device::Cpu, &frequencies(32), 1.0, 200).unwrap();
    let dot = |at: u32, other: u32| -> f32 {
        let turn = |x: &[f32], p| rotated(x, [1, 1, 32], &[p], &tables, Direction::Forward);
        let (q, k) = (widen(&turn(&q, at)), widen(&turn(&k, other)));
        q.iter().zip(&k).map(|(q, k)| q * k).sum::<f64>() as f32
    };
    for distance in [0, 1, 37, 99] {
        let want = f64::from(dot(distance, 0));
        let got = [dot(distance + 1, 1), dot(distance + 64, 64), dot(distance + 100, 100)];
        // Angles up to 200 are rounded to 8e-6.
        let bound = Tolerance { absolute: 1e-4, relative: 0.0 };
        assert_close("q · k", &got, &[want; 3], bound);
    }
    assert!((dot(1, 0) - dot(0, 1)).abs() > 0.1, "the sign of the distance shows");
}

#[test]
fn tables_round_the_angle_to_f32() {
    let f = [0.1, 1e-3];
    let tables = tables(&Device::Cpu, &f, 0.5, 100_001).unwrap();
    let angle = f64::from(100_000.0f32 * f[0]);
    let row = tables.cos.rows(100_000..100_001).unwrap().f32("test", "cos").unwrap();
    assert_eq!(row[0], (0.5 * angle.cos()) as f32);
    let sin = tables.sin.to_f32().unwrap();
    assert_eq!(sin[..2], [0.0, 0.0]);
    assert_eq!(sin[2], (0.5 * f64::from(0.1f32).sin()) as f32);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let (axes, p) = ([301, 3, 64], positions(301));
    let x = hard_values(1, 301 * 3 * 64);
    let run = || {
        let tables = tables(&Device::Cpu, &frequencies(64), FACTOR, 4001).unwrap();
        let x = rotated(&x, axes, &p, &tables, Direction::Forward);
        (tables, x)
    };
    let one = on_threads(1, run);
    assert!(one == on_threads(2, run) && one == on_threads(5, run));
}

#[test]
fn errors_name_what_does_not_fit() {
    let mut x = buffer(&[7.0; 12], &[3, 1, 4]);
    let tables = tables(&Device::Cpu, &frequencies(4), 1.0, 8).unwrap();
    let mut fail = |axes: &[usize], positions: &[u32], tables: &Tables| {
        let view = x.view_mut().reshape(axes).unwrap();
        let error = apply(view, upload(positions).view(), tables, Direction::Forward).unwrap_err();
        assert_eq!(x.to_f32().unwrap(), [7.0; 12]);
        error.to_string()
    };
    let got = fail(&[3, 1, 4], &[1, 7, 8], &tables);
    assert_eq!(got, "rope::apply: `positions`[2] is 8, but the tables end at 8");
    let got = fail(&[4, 1, 3], &[0; 4], &tables);
    assert_eq!(got, "rope::apply: `x` has heads of 3 lanes, which do not pair up");
    let got = fail(&[3, 1, 4], &[0; 2], &tables);
    assert_eq!(got, "rope::apply: `positions` has shape [2], expected [3]");
    let got = fail(&[3, 2, 2], &[0; 3], &tables);
    assert_eq!(got, "rope::apply: `tables.cos` has shape [8, 2], expected [8, 1]");
    let uneven = Tables { sin: buffer(&[0.0; 2], &[1, 2]), cos: tables.cos.copy().unwrap() };
    let got = fail(&[3, 1, 4], &[0; 3], &uneven);
    assert_eq!(got, "rope::apply: `tables.sin` has shape [1, 2], expected [8, 2]");
    let got = fail(&[3, 4], &[0; 3], &tables);
    assert_eq!(got, "rope::apply: `x` has shape [3, 4], expected 3 axes");
}
