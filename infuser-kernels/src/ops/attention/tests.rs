use super::{reference::Problem, *};
use crate::testing::{
    Tolerance, assert_close, assert_gradient, buffer, hard_values, normal_values, on_threads,
    poison, widen,
};

/// One call: sizes, segments and whether keys live in tensors of their own.
struct Case {
    name: &'static str,
    rows: usize,
    kv_rows: usize,
    heads: [usize; 2],
    width: usize,
    window: Option<usize>,
    segments: Vec<Segment>,
}

fn cases() -> Vec<Case> {
    let case = |name, rows, heads, width, window, segments| Case {
        name,
        rows,
        kv_rows: rows,
        heads,
        width,
        window,
        segments,
    };
    // A prompt with three responses, one of them a single token; then a prompt without responses.
    let shared = |n: usize| {
        vec![
            Segment::causal(0..n),
            Segment::after(0..n, n..n + 3),
            Segment::after(0..n, n + 3..n + 4),
            Segment::after(0..n, n + 4..n + 140),
            Segment::causal(n + 140..n + 147),
        ]
    };
    vec![
        case("one token", 1, [1, 1], 1, None, vec![Segment::causal(0..1)]),
        case(
            "ragged",
            90,
            [4, 2],
            8,
            None,
            vec![Segment::causal(0..7), Segment::causal(7..8), Segment::causal(8..90)],
        ),
        case("past one tile", 300, [2, 1], 5, None, vec![Segment::causal(0..300)]),
        case("window", 300, [3, 3], 4, Some(9), vec![Segment::causal(0..300)]),
        case("window of one", 5, [2, 2], 3, Some(1), vec![Segment::causal(0..5)]),
        case("shared prefix", 160, [4, 1], 16, None, shared(13)),
        case("shared prefix, window", 160, [2, 2], 6, Some(10), shared(13)),
        case("long shared prefix", 350, [2, 1], 4, None, shared(203)),
        case(
            "rows of no segment",
            12,
            [2, 1],
            4,
            None,
            vec![Segment::causal(2..5), Segment::causal(7..7), Segment::causal(8..11)],
        ),
        case("no segment at all", 3, [2, 1], 4, None, vec![]),
        Case {
            name: "cache",
            rows: 5,
            kv_rows: 260,
            heads: [4, 2],
            width: 8,
            window: None,
            segments: vec![
                Segment { q: 0..1, kv: 10..150, prefix: 0..0 },
                Segment { q: 1..4, kv: 150..155, prefix: 200..260 },
                Segment { q: 4..5, kv: 160..161, prefix: 200..260 },
            ],
        },
    ]
}

impl Case {
    fn attention(&self) -> Attention {
        Attention { scale: 1.0 / (self.width as f32).sqrt(), window: self.window }
    }

    fn problem(&self) -> Problem<'_> {
        let [heads, kv_heads] = self.heads;
        let scale = self.attention().scale.into();
        let (width, window) = (self.width, self.window);
        Problem { heads, kv_heads, width, scale, window, segments: &self.segments }
    }

    fn axes(&self) -> [[usize; 3]; 2] {
        [[self.rows, self.heads[0], self.width], [self.kv_rows, self.heads[1], self.width]]
    }

    /// Queries, keys, values and an output gradient, with outliers.
    fn inputs(&self) -> [Vec<f32>; 4] {
        let [q, kv] = self.axes().map(|axes| axes.iter().product::<usize>());
        let tame = |values: Vec<f32>| values.into_iter().map(|x| x * 0.5).collect();
        [tame(hard_values(1, q)), tame(hard_values(2, kv)), hard_values(3, kv), normal_values(4, q)]
    }

    fn run(&self, inputs: &[Vec<f32>; 4]) -> [Vec<f32>; 5] {
        let [q_axes, kv_axes] = self.axes();
        let [q, k, v, dout] = inputs;
        let (q, dout) = (buffer(q, &q_axes), buffer(dout, &q_axes));
        let (k, v) = (buffer(k, &kv_axes), buffer(v, &kv_axes));
        let (mut out, mut lse) = (poison(&q_axes), poison(&[self.rows, self.heads[0]]));
        let (attention, qkv) = (self.attention(), [q.view(), k.view(), v.view()]);
        forward(&attention, &self.segments.clone().into(), qkv, out.view_mut(), lse.view_mut())
            .unwrap();
        let (mut dq, mut dk, mut dv) = (poison(&q_axes), poison(&kv_axes), poison(&kv_axes));
        let [q, k, v] = qkv;
        let saved = Saved { q, k, v, out: out.view(), lse: lse.view() };
        let gradients = Gradients { dq: dq.view_mut(), dk: dk.view_mut(), dv: dv.view_mut() };
        backward(&attention, &self.segments.clone().into(), saved, dout.view(), gradients).unwrap();
        [out, lse, dq, dk, dv].map(|buffer| buffer.to_f32().unwrap())
    }
}

#[test]
fn both_passes_match_the_reference() {
    for case in cases() {
        let inputs = case.inputs();
        let got = case.run(&inputs);
        let [q, k, v, dout] = inputs.each_ref().map(|x| widen(x));
        let (out, lse) = case.problem().forward(&q, &k, &v);
        let [dq, dk, dv] = case.problem().backward(&q, &k, &v, &dout);
        // Scores reach 200 with these outliers; e^z then carries 200 roundings.
        let tolerance = Tolerance { absolute: 2e-4, relative: 1e-4 };
        for (name, (got, want)) in
            ["out", "lse", "dq", "dk", "dv"].into_iter().zip(got.iter().zip([out, lse, dq, dk, dv]))
        {
            assert_close(&format!("{}: {name}", case.name), got, &want, tolerance);
        }
    }
}

#[test]
fn the_reference_gradient_is_the_derivative() {
    let segments = [Segment::causal(0..3), Segment::after(0..3, 3..5), Segment::after(0..3, 5..6)];
    for window in [None, Some(2)] {
        let problem =
            Problem { heads: 2, kv_heads: 1, width: 3, scale: 0.6, window, segments: &segments };
        let q = widen(&normal_values(1, 6 * 2 * 3));
        let (k, v) = (widen(&normal_values(2, 6 * 3)), widen(&normal_values(3, 6 * 3)));
        let dout = widen(&normal_values(4, 6 * 2 * 3));
        let loss = |q: &[f64], k: &[f64], v: &[f64]| -> f64 {
            problem.forward(q, k, v).0.iter().zip(&dout).map(|(x, d)| x * d).sum()
        };
        let [dq, dk, dv] = problem.backward(&q, &k, &v, &dout);
        assert_gradient("dq", |q| loss(q, &k, &v), &q, &dq);
        assert_gradient("dk", |k| loss(&q, k, &v), &k, &dk);
        assert_gradient("dv", |v| loss(&q, &k, v), &v, &dv);
    }
}

#[test]
fn a_shared_prefix_equals_separate_full_sequences() {
    let (prompt, a, b, width) = (13usize, 5usize, 9usize, 8usize);
    let shared = Case {
        name: "shared",
        rows: prompt + a + b,
        kv_rows: prompt + a + b,
        heads: [2, 1],
        width,
        window: Some(11),
        segments: vec![
            Segment::causal(0..prompt),
            Segment::after(0..prompt, prompt..prompt + a),
            Segment::after(0..prompt, prompt + a..prompt + a + b),
        ],
    };
    let [q, k, v, dout] = shared.inputs();
    let [out, ..] = shared.run(&[q.clone(), k.clone(), v.clone(), dout.clone()]);
    // The second response with its own copy of the prompt.
    let rows: Vec<usize> = (0..prompt).chain(prompt + a..prompt + a + b).collect();
    let take = |data: &[f32], row: usize| -> Vec<f32> {
        rows.iter().flat_map(|r| data[r * row..(r + 1) * row].to_vec()).collect()
    };
    let alone = Case {
        name: "alone",
        rows: prompt + b,
        kv_rows: prompt + b,
        segments: vec![Segment::causal(0..prompt + b)],
        ..shared
    };
    let inputs = [take(&q, 2 * width), take(&k, width), take(&v, width), take(&dout, 2 * width)];
    let [full, ..] = alone.run(&inputs);
    let want = widen(&take(&out, 2 * width));
    assert_close("response", &full, &want, Tolerance { absolute: 1e-5, relative: 1e-5 });
}

#[test]
fn scores_of_eighty_stay_finite_and_sharp() {
    let case = Case {
        name: "sharp",
        rows: 3,
        kv_rows: 3,
        heads: [1, 1],
        width: 1,
        window: None,
        segments: vec![Segment::causal(0..3)],
    };
    let inputs =
        [vec![80.0, -80.0, 80.0], vec![1.0, -1.0, 2.0], vec![1.0, 2.0, 3.0], vec![1.0, 1.0, 1.0]];
    let [out, lse, dq, dk, dv] = case.run(&inputs);
    assert_eq!(out, [1.0, 2.0, 3.0]);
    assert_eq!(lse, [80.0, 80.0, 160.0]);
    assert!(dq.iter().chain(&dk).chain(&dv).all(|x| x.is_finite()));
}

#[test]
fn threads_do_not_change_a_bit() {
    for case in cases().into_iter().filter(|c| c.rows > 80) {
        let inputs = case.inputs();
        let one = on_threads(1, || case.run(&inputs));
        assert_eq!(on_threads(2, || case.run(&inputs)), one, "{}", case.name);
        assert_eq!(on_threads(5, || case.run(&inputs)), one, "{}", case.name);
    }
}

#[test]
fn bad_segments_are_named() {
    let message = |window, segments: &[Segment]| {
        let q = poison(&[6, 2, 4]);
        let k = poison(&[6, 1, 4]);
        let (mut out, mut lse) = (poison(&[6, 2, 4]), poison(&[6, 2]));
        let attention = Attention { scale: 1.0, window };
        let qkv = [q.view(), k.view(), k.view()];
        forward(&attention, &segments.to_vec().into(), qkv, out.view_mut(), lse.view_mut())
            .unwrap_err()
            .to_string()
    };
    let segment = |q, kv, prefix| Segment { q, kv, prefix };
    assert!(message(Some(0), &[]).contains("window of 0"));
    assert!(message(None, &[Segment::causal(2..7)]).contains("segment 0: queries 2..7"));
    let crossed = [Segment::causal(2..4), Segment::causal(3..5)];
    assert!(message(None, &crossed).contains("segment 1: queries 3..5"));
    assert!(message(None, &[segment(0..2, 0..1, 0..0)]).contains("only 1 keys"));
    assert!(message(None, &[segment(0..2, 0..2, 1..3)]).contains("overlap"));
    assert!(message(None, &[segment(0..2, 0..2, 4..9)]).contains("prefix 4..9"));
}
