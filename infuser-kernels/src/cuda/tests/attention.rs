//! `attention_fwd.cu` and `attention_bwd.cu` against [`crate::ops::attention`].

use super::*;
use crate::{
    Error,
    cuda::{
        Kernel,
        attention::{self as cuda, Gradients, Inputs, Packing, Saved},
    },
    ops::attention::{self as cpu, Attention, Segment},
    testing::{buffer, normal_values, poison},
};

/// One call.
#[derive(Debug, Clone)]
struct Case {
    name: &'static str,
    /// T and S.
    rows: [usize; 2],
    /// H, K, E.
    heads: [usize; 3],
    window: Option<usize>,
    segments: Vec<Segment>,
    /// Whether values have outliers, which drown small mistakes.
    hard: bool,
}

/// A prompt with three responses, one of them a single token; then a prompt without responses.
fn shared(n: usize) -> Vec<Segment> {
    vec![
        Segment::causal(0..n),
        Segment::after(0..n, n..n + 3),
        Segment::after(0..n, n + 3..n + 4),
        Segment::after(0..n, n + 4..n + 90),
        Segment::causal(n + 90..n + 97),
    ]
}

fn cases() -> Vec<Case> {
    let case = |name, rows, heads, window, segments| Case {
        name,
        rows: [rows, rows],
        heads,
        window,
        segments,
        hard: true,
    };
    let ragged = vec![Segment::causal(0..7), Segment::causal(7..8), Segment::causal(8..90)];
    let mut cases = vec![
        case("one token", 1, [1, 1, 1], None, vec![Segment::causal(0..1)]),
        case("ragged", 90, [4, 2, 8], None, ragged),
        case("odd width past one tile", 150, [2, 1, 5], None, vec![Segment::causal(0..150)]),
        case("window", 200, [3, 3, 16], Some(9), vec![Segment::causal(0..200)]),
        case("window of one", 70, [2, 2, 6], Some(1), vec![Segment::causal(0..70)]),
        case("window of a tile", 200, [1, 1, 8], Some(64), vec![Segment::causal(0..200)]),
        case("shared prefix, 64", 110, [6, 2, 64], None, shared(13)),
        case("shared prefix, window", 110, [2, 2, 12], Some(10), shared(13)),
        case("long shared prefix, 128", 167, [2, 1, 128], None, shared(70)),
        case("a head of 72", 97, [2, 1, 72], Some(70), shared(0)),
        case(
            "rows of no segment",
            140,
            [2, 1, 4],
            None,
            vec![Segment::causal(2..5), Segment::causal(7..7), Segment::causal(80..100)],
        ),
        case("no segment at all", 3, [2, 1, 4], None, vec![]),
        Case {
            rows: [5, 260],
            segments: vec![
                Segment { q: 0..1, kv: 10..150, prefix: 0..0 },
                Segment { q: 1..4, kv: 150..155, prefix: 200..260 },
                Segment { q: 4..5, kv: 160..161, prefix: 200..260 },
            ],
            ..case("keys of their own", 5, [4, 2, 8], None, vec![])
        },
    ];
    let tame = cases.clone().into_iter().map(|case| Case { hard: false, ..case });
    cases.extend(tame.collect::<Vec<_>>());
    cases
}

impl Case {
    fn attention(&self) -> Attention {
        Attention { scale: 1.0 / (self.heads[2] as f32).sqrt(), window: self.window }
    }

    fn axes(&self) -> [[usize; 3]; 2] {
        let [h, kv, e] = self.heads;
        [[self.rows[0], h, e], [self.rows[1], kv, e]]
    }

    /// Queries, keys, values and an output gradient; scores of outliers stay near 200.
    fn inputs(&self) -> [Vec<bf16>; 4] {
        let [q, kv] = self.axes().map(|axes| axes.iter().product::<usize>());
        let values =
            |seed, n| if self.hard { hard_bf16(seed, n).1 } else { normal_values(seed, n) };
        let halve = |seed, n| values(seed, n).into_iter().map(|x| 0.5 * x).collect();
        let all = [halve(1, q), halve(2, kv), values(3, kv), normal_values(4, q)];
        all.map(|values: Vec<f32>| values.into_iter().map(bf16::from_f32).collect())
    }

    /// out, lse of the CPU op.
    fn want(&self) -> [Vec<f32>; 2] {
        let [q_axes, kv_axes] = self.axes();
        let [q, k, v, _] = self.inputs().map(|values| wide(&values));
        let (q, k, v) = (buffer(&q, &q_axes), buffer(&k, &kv_axes), buffer(&v, &kv_axes));
        let (mut out, mut lse) = (poison(&q_axes), poison(&q_axes[..2]));
        let (attention, qkv) = (self.attention(), [q.view(), k.view(), v.view()]);
        cpu::forward(
            &attention,
            &self.segments.clone().into(),
            qkv,
            out.view_mut(),
            lse.view_mut(),
        )
        .unwrap();
        [out, lse].map(|buffer| buffer.to_f32().unwrap())
    }

    /// out, lse of the kernels.
    fn got(&self, driver: &Driver) -> [Vec<f32>; 2] {
        let [q, k, v, _] = self.inputs().map(|values| up(driver, &values));
        let [h, _, e] = self.heads;
        let mut out = Memory::<bf16>::unset(driver, self.rows[0] * h * e).unwrap();
        let mut lse = Memory::<f32>::unset(driver, self.rows[0] * h).unwrap();
        let packing = Packing::upload(driver, &self.segments, self.rows).unwrap();
        let inputs = Inputs { q: q.slice(), k: k.slice(), v: v.slice(), heads: self.heads };
        let outputs = (out.slice_mut(), lse.slice_mut());
        cuda::forward(driver, &self.attention(), &packing, &inputs, outputs).unwrap();
        [wide(&out.download().unwrap()), lse.download().unwrap()]
    }
}

impl Case {
    /// dq, dk, dv of the CPU op, from the saved results that the kernels have.
    fn want_gradients(&self, [out, lse]: &[Vec<f32>; 2]) -> [Vec<f32>; 3] {
        let [q_axes, kv_axes] = self.axes();
        let [q, k, v, dout] = self.inputs().map(|values| wide(&values));
        let (q, dout) = (buffer(&q, &q_axes), buffer(&dout, &q_axes));
        let (k, v) = (buffer(&k, &kv_axes), buffer(&v, &kv_axes));
        let (out, lse) = (buffer(out, &q_axes), buffer(lse, &q_axes[..2]));
        let [mut dq, mut dk, mut dv] = [q_axes, kv_axes, kv_axes].map(|axes| poison(&axes));
        let [q, k, v, out, lse] = [q.view(), k.view(), v.view(), out.view(), lse.view()];
        let saved = cpu::Saved { q, k, v, out, lse };
        let gradients = cpu::Gradients { dq: dq.view_mut(), dk: dk.view_mut(), dv: dv.view_mut() };
        let attention = self.attention();
        cpu::backward(&attention, &self.segments.clone().into(), saved, dout.view(), gradients)
            .unwrap();
        [dq, dk, dv].map(|buffer| buffer.to_f32().unwrap())
    }

    /// dq, dk, dv of the kernels, from what their forward pass saved.
    fn got_gradients(&self, driver: &Driver, [out, lse]: &[Vec<f32>; 2]) -> [Vec<f32>; 3] {
        let out: Vec<bf16> = out.iter().copied().map(bf16::from_f32).collect();
        let (out, lse) = (up(driver, &out), up(driver, lse));
        let [q, k, v, dout] = self.inputs().map(|values| up(driver, &values));
        let lens = self.axes().map(|axes| axes.iter().product::<usize>());
        let [mut dq, mut dk, mut dv] =
            [lens[0], lens[1], lens[1]].map(|len| Memory::<bf16>::unset(driver, len).unwrap());
        let packing = Packing::upload(driver, &self.segments, self.rows).unwrap();
        let inputs = Inputs { q: q.slice(), k: k.slice(), v: v.slice(), heads: self.heads };
        let saved = Saved { out: out.slice(), lse: lse.slice(), dout: dout.slice() };
        let gradients = Gradients { dq: dq.slice_mut(), dk: dk.slice_mut(), dv: dv.slice_mut() };
        let attention = self.attention();
        cuda::backward(driver, &attention, &packing, &inputs, saved, gradients).unwrap();
        [dq, dk, dv].map(|memory| wide(&memory.download().unwrap()))
    }
}

pub(super) fn check_backward(driver: &Driver) {
    for case in cases() {
        // Shown if the case fails.
        eprintln!("{}, hard: {}", case.name, case.hard);
        let saved = case.got(driver);
        let [dq, dk, dv] = case.got_gradients(driver, &saved);
        let want = case.want_gradients(&saved);
        tolerance::check(Kernel::AttentionBackwardQ64, "dq", &dq, &want[0]);
        tolerance::check(Kernel::AttentionBackwardKv64, "dk", &dk, &want[1]);
        tolerance::check(Kernel::AttentionBackwardKv64, "dv", &dv, &want[2]);
    }
}

#[test]
fn backward_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_backward(&driver(order)));
}

#[test]
fn gradients_do_not_depend_on_the_order_of_threads() {
    let case = cases().remove(8);
    let saved = case.want();
    let want = case.got_gradients(&driver(Order::Forward), &saved);
    assert_eq!(case.got_gradients(&driver(Order::Reverse), &saved), want);
    assert_eq!(case.got_gradients(&driver(Order::Random(5)), &saved), want);
}

pub(super) fn check_forward(driver: &Driver) {
    for case in cases() {
        // Shown if the case fails.
        eprintln!("{}, hard: {}", case.name, case.hard);
        let ([out, lse], [out_want, lse_want]) = (case.got(driver), case.want());
        tolerance::check(Kernel::AttentionForward64, "out", &out, &out_want);
        tolerance::check(Kernel::AttentionForward64, "lse", &lse, &lse_want);
    }
}

#[test]
fn forward_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_forward(&driver(order)));
}

#[test]
fn a_shared_prefix_has_the_bits_of_separate_sequences_in_any_order() {
    let case = Case {
        name: "shared",
        rows: [183; 2],
        heads: [2, 1, 8],
        window: Some(80),
        segments: shared(86),
        hard: true,
    };
    let [q, k, v, _] = case.inputs();
    let want = case.got(&driver(Order::Forward));
    assert_eq!(case.got(&driver(Order::Random(3))), want);
    // The longest response with its own copy of the prompt: other tiles, other rows.
    let rows: Vec<usize> = (0..86).chain(90..176).collect();
    let take = |data: &[bf16], row: usize| -> Vec<bf16> {
        rows.iter().flat_map(|r| data[r * row..(r + 1) * row].to_vec()).collect()
    };
    let driver = driver(Order::Forward);
    let [q, k, v] = [take(&q, 16), take(&k, 8), take(&v, 8)].map(|values| up(&driver, &values));
    let packing = Packing::upload(&driver, &[Segment::causal(0..172)], [172; 2]).unwrap();
    let mut out = Memory::<bf16>::unset(&driver, 172 * 16).unwrap();
    let mut lse = Memory::<f32>::unset(&driver, 172 * 2).unwrap();
    let inputs = Inputs { q: q.slice(), k: k.slice(), v: v.slice(), heads: case.heads };
    let outputs = (out.slice_mut(), lse.slice_mut());
    cuda::forward(&driver, &case.attention(), &packing, &inputs, outputs).unwrap();
    let part = |all: &[f32], row: usize| -> Vec<f32> {
        rows.iter().flat_map(|r| all[r * row..(r + 1) * row].to_vec()).collect()
    };
    assert_eq!(wide(&out.download().unwrap()), part(&want[0], 16));
    assert_eq!(lse.download().unwrap(), part(&want[1], 2));
}

#[test]
fn scores_of_thousands_stay_finite_and_sharp() {
    let driver = driver(Order::Forward);
    let [q, k, v] = [[8e3, -8e3, 8e3], [1.0, -1.0, 2.0], [1.0, 2.0, 3.0]]
        .map(|values| up(&driver, &values.map(bf16::from_f32)));
    let packing = Packing::upload(&driver, &[Segment::causal(0..3)], [3; 2]).unwrap();
    let (mut out, mut lse) = (up(&driver, &[bf16::NAN; 3]), up(&driver, &[f32::NAN; 3]));
    let inputs = Inputs { q: q.slice(), k: k.slice(), v: v.slice(), heads: [1, 1, 1] };
    let attention = Attention { scale: 1.0, window: None };
    let outputs = (out.slice_mut(), lse.slice_mut());
    cuda::forward(&driver, &attention, &packing, &inputs, outputs).unwrap();
    assert_eq!(wide(&out.download().unwrap()), [1.0, 2.0, 3.0]);
    let want = [8e3, 8e3, 16e3].map(|z| bf16::from_f32(z).to_f32());
    tolerance::check(Kernel::AttentionForward64, "lse", &lse.download().unwrap(), &want);
}

#[test]
fn what_does_not_fit_is_named() {
    let driver = driver(Order::Forward);
    let crossed = [Segment::causal(0..2), Segment::causal(1..3)];
    let error = Packing::upload(&driver, &crossed, [3; 2]).unwrap_err().to_string();
    assert!(error.contains("segment 1: queries 1..3"), "{error}");
    let packing = Packing::upload(&driver, &[Segment::causal(0..2)], [2; 2]).unwrap();
    let run = |len: usize, heads: [usize; 3], window| {
        let q = up(&driver, &vec![bf16::ONE; 2 * heads[0] * heads[2]]);
        let k = up(&driver, &vec![bf16::ONE; len]);
        let mut out = up(&driver, &vec![bf16::ONE; 2 * heads[0] * heads[2]]);
        let mut lse = up(&driver, &vec![0.0f32; 2 * heads[0]]);
        let inputs = Inputs { q: q.slice(), k: k.slice(), v: k.slice(), heads };
        let attention = Attention { scale: 1.0, window };
        let outputs = (out.slice_mut(), lse.slice_mut());
        cuda::forward(&driver, &attention, &packing, &inputs, outputs).unwrap_err()
    };
    let error = run(7, [2, 1, 4], None);
    assert!(matches!(error, Error::Shape { tensor: "k", .. }), "{error}");
    assert!(run(16, [3, 2, 4], None).to_string().contains("3 query heads cannot share 2"));
    assert!(run(272, [1, 1, 136], None).to_string().contains("width 136, expected 1 to 128"));
    assert!(run(8, [1, 1, 4], Some(0)).to_string().contains("window of 0"));
}
