use super::*;
use crate::testing::{Tolerance, assert_close, buffer, hard_values, normal_values, widen};

fn turned(
    x: &[f32],
    [heads, width]: [usize; 2],
    positions: &[u32],
    factor: f32,
    direction: Direction,
) -> Vec<f32> {
    let frequencies = inverse_frequencies(10_000.0, width, &Scaling::None);
    let last = positions.iter().max().map_or(1, |&p| p as usize + 1);
    let tables = tables(Device::Cpu, &frequencies, factor, last).unwrap();
    let mut out = buffer(x, &[positions.len(), heads, width]);
    let positions = Device::Cpu.upload_u32(positions.to_vec()).unwrap();
    apply(out.view_mut(), positions.view(), &tables, direction).unwrap();
    out.to_f32().unwrap()
}

#[test]
fn both_directions_match_the_reference() {
    for (positions, heads, width) in
        [(vec![0], 1, 2), (vec![7, 3, 1000, 3, 0], 3, 6), ((0..200).rev().collect(), 2, 10)]
    {
        let x = hard_values(1, positions.len() * heads * width);
        let frequencies = inverse_frequencies(10_000.0, width, &Scaling::None);
        for (direction, turn) in [(Direction::Forward, 1.0), (Direction::Backward, -1.0)] {
            let got = turned(&x, [heads, width], &positions, 1.25, direction);
            let constants = [heads as f64, 1.25, turn];
            let want = reference::apply(&widen(&x), &positions, &frequencies, constants);
            assert_close("x", &got, &want, Tolerance { absolute: 1e-5, relative: 1e-6 });
        }
    }
}

#[test]
fn backward_is_the_transpose() {
    let (sizes, positions) = ([2, 8], [5, 0, 90]);
    let (x, y) = (normal_values(1, 48), normal_values(2, 48));
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let forward = dot(&turned(&x, sizes, &positions, 1.3, Direction::Forward), &y);
    let backward = dot(&x, &turned(&y, sizes, &positions, 1.3, Direction::Backward));
    assert!((forward - backward).abs() < 1e-5, "{forward} {backward}");
}

#[test]
fn products_depend_on_the_distance_alone() {
    let (q, k) = (normal_values(1, 16), normal_values(2, 16));
    let product = |i: u32, j: u32| -> f64 {
        let q = turned(&q, [1, 16], &[i], 1.0, Direction::Forward);
        let k = turned(&k, [1, 16], &[j], 1.0, Direction::Forward);
        q.iter().zip(&k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum()
    };
    assert!((product(9, 4) - product(105, 100)).abs() < 2e-5);
    assert!((product(9, 4) - product(9, 5)).abs() > 1e-3);
}

#[test]
fn a_position_past_the_tables_is_named() {
    let tables = tables(Device::Cpu, &[1.0], 1.0, 4).unwrap();
    let mut x = buffer(&[0.0; 4], &[2, 1, 2]);
    let positions = Device::Cpu.upload_u32(vec![3, 4]).unwrap();
    let error = apply(x.view_mut(), positions.view(), &tables, Direction::Forward).unwrap_err();
    assert_eq!(error.to_string(), "rope::apply: row 1 has position 4, tables cover 4");
    let mut odd = buffer(&[0.0; 6], &[2, 1, 3]);
    let error = apply(odd.view_mut(), positions.view(), &tables, Direction::Forward).unwrap_err();
    assert!(error.to_string().contains("odd"));
}
