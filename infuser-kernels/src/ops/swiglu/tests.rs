use super::*;
use crate::{
    Buffer, Error,
    testing::{
        Tolerance, assert_close, assert_gradient, buffer, hard_values, normal_values, on_threads,
        poison, widen,
    },
};

/// Rows, width: no row, one element, odd sizes, more than one task takes.
const SHAPES: [(usize, usize); 6] = [(0, 5), (1, 1), (3, 7), (5, 33), (131, 257), (700, 64)];

fn run_forward(gate: &Buffer, up: &Buffer) -> Buffer {
    let mut out = poison(gate.dims().axes());
    forward(gate.view(), up.view(), out.view_mut()).unwrap();
    out
}

fn run_backward(dout: &Buffer, gate: &Buffer, up: &Buffer) -> (Buffer, Buffer) {
    let (mut dgate, mut dup) = (poison(gate.dims().axes()), poison(gate.dims().axes()));
    let out = (dgate.view_mut(), dup.view_mut());
    backward(dout.view(), gate.view(), up.view(), out.0, out.1).unwrap();
    (dgate, dup)
}

#[test]
fn forward_matches_the_reference() {
    for (rows, width) in SHAPES {
        let (g, u) = (hard_values(1, rows * width), hard_values(2, rows * width));
        let out = run_forward(&buffer(&g, &[rows, width]), &buffer(&u, &[rows, width]));
        let want = reference::forward(&widen(&g), &widen(&u));
        assert_close("out", &out.to_f32().unwrap(), &want, Tolerance::F32);
    }
}

/// Both kinds of products: this processor's, and the one of vectors that every processor has.
#[test]
fn a_projection_has_the_bits_of_its_parts() {
    for (rows, width, depth) in [(1, 1, 1), (1, 40, 64), (33, 70, 31), (200, 300, 100)] {
        let x = buffer(&hard_values(1, rows * depth), &[rows, depth]);
        let values = [2, 3].map(|seed| hard_values(seed, width * depth));
        let weights =
            values.each_ref().map(|w| Packed::new(buffer(w, &[width, depth]).view()).unwrap());
        let [gate, up] = weights.each_ref().map(|w| {
            let mut y = poison(&[rows, width]);
            matmul::nt_packed(x.view(), w, y.view_mut(), crate::Write::Overwrite).unwrap();
            y
        });
        let mut out = poison(&[rows, width]);
        project(x.view(), weights.each_ref(), out.view_mut()).unwrap();
        assert_eq!(out, run_forward(&gate, &up), "{rows} x {width} x {depth}");
        let vectors = matmul::rows::Panels::new;
        let panels = values.each_ref().map(|w| vectors(w, [width, depth]).unwrap());
        let x = x.to_f32().unwrap();
        let sizes = [rows, width, depth];
        let [gate, up] = panels.each_ref().map(|w| {
            let mut y = vec![0.0; rows * width];
            matmul::rows::product(sizes, &x, w, &mut y, crate::Write::Overwrite);
            buffer(&y, &[rows, width])
        });
        let mut out = vec![f32::NAN; rows * width];
        matmul::rows::combined(sizes, &x, panels.each_ref(), &mut out, |[gate, up], out| {
            cpu::stretch(gate, up, out);
        });
        assert_eq!(out, run_forward(&gate, &up).to_f32().unwrap(), "{rows} x {width} x {depth}");
    }
    let w = Packed::new(poison(&[3, 2]).view()).unwrap();
    let error = project(poison(&[4, 2]).view(), [&w, &w], poison(&[4, 4]).view_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "out", .. }), "{error}");
}

#[test]
fn backward_matches_the_reference() {
    for (rows, width) in SHAPES {
        let (g, u) = (hard_values(1, rows * width), hard_values(2, rows * width));
        let d = normal_values(3, rows * width);
        let [gb, ub, db] = [&g, &u, &d].map(|values| buffer(values, &[rows, width]));
        let (dgate, dup) = run_backward(&db, &gb, &ub);
        let (dgate_want, dup_want) = reference::backward(&widen(&d), &widen(&g), &widen(&u));
        // Near g = -1.28, where silu is flat, what remains are roundings of dout · up.
        assert_close("dgate", &dgate.to_f32().unwrap(), &dgate_want, Tolerance::F32_SUM);
        assert_close("dup", &dup.to_f32().unwrap(), &dup_want, Tolerance::F32);
    }
}

#[test]
fn saturated_gates_are_exact_and_finite() {
    let g = [0.0, 80.0, -80.0, 100.0, -100.0, 1e4, -1e4, 1e30, -1e30];
    let (gate, up) = (buffer(&g, &[1, 9]), buffer(&[3.0; 9], &[1, 9]));
    let out = run_forward(&gate, &up).to_f32().unwrap();
    assert_close("out", &out, &reference::forward(&widen(&g), &[3.0; 9]), Tolerance::F32);
    assert_eq!([out[0], out[1], out[5], out[6], out[8]], [0.0, 240.0, 3e4, 0.0, 0.0]);
    let (dgate, dup) = run_backward(&buffer(&[1.0; 9], &[1, 9]), &gate, &up);
    let (dgate, dup) = (dgate.to_f32().unwrap(), dup.to_f32().unwrap());
    let (dgate_want, dup_want) = reference::backward(&[1.0; 9], &widen(&g), &[3.0; 9]);
    assert_close("dgate", &dgate, &dgate_want, Tolerance::F32);
    assert_close("dup", &dup, &dup_want, Tolerance::F32);
    assert_eq!([dgate[0], dgate[1], dgate[5], dgate[6]], [1.5, 3.0, 3.0, 0.0]);
}

#[test]
fn the_reference_gradient_is_the_derivative() {
    let (g, u) = (widen(&hard_values(1, 23)), widen(&normal_values(2, 23)));
    let d = widen(&normal_values(3, 23));
    let loss = |g: &[f64], u: &[f64]| -> f64 {
        reference::forward(g, u).iter().zip(&d).map(|(out, d)| out * d).sum()
    };
    let (dgate, dup) = reference::backward(&d, &g, &u);
    assert_gradient("dgate", |g| loss(g, &u), &g, &dgate);
    assert_gradient("dup", |u| loss(&g, u), &u, &dup);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let axes = [131, 257];
    let [g, u, d] = [1, 2, 3].map(|seed| buffer(&hard_values(seed, 131 * 257), &axes));
    let run = || (run_forward(&g, &u), run_backward(&d, &g, &u));
    let one = on_threads(1, run);
    assert_eq!(one, on_threads(2, run));
    assert_eq!(one, on_threads(5, run));
}

#[test]
fn a_wrong_shape_names_the_tensor() {
    let (gate, up) = (buffer(&[0.0; 6], &[2, 3]), buffer(&[0.0; 6], &[3, 2]));
    let mut out = poison(&[2, 3]);
    let error = forward(gate.view(), up.view(), out.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "up", .. }));
    assert_eq!(error.to_string(), "swiglu::forward: `up` has shape [3, 2], expected [2, 3]");
    let flat = gate.view().reshape(&[6]).unwrap();
    let error = forward(flat, up.view(), out.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Rank { tensor: "gate", expected: 2, .. }));
    let mut dup = poison(&[2]);
    let (g, out) = (gate.view(), out.view_mut());
    let error = backward(g, g, g, out, dup.view_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "dup", .. }));
}
