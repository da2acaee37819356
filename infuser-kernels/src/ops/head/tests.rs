use serde_json::Value;

use super::*;
use crate::{
    Buffer, Write,
    ops::matmul,
    testing::{
        Tolerance, assert_close, assert_gradient, buffer, normal_values, on_threads, poison, widen,
    },
};

/// Everything one call of both passes takes.
struct Case {
    x: Buffer,
    w: Buffer,
    targets: Buffer,
    temperature: f32,
    dlogp: Buffer,
    dentropy: Option<Buffer>,
}

/// `[logp, entropy, lse, dx, dw]`.
fn run(case: &Case) -> [Vec<f32>; 5] {
    let rows = case.x.dims().rows();
    let head = Head {
        x: case.x.view(),
        weight: case.w.view(),
        targets: case.targets.view(),
        temperature: case.temperature,
    };
    let [mut logp, mut entropy, mut lse] = [(); 3].map(|()| poison(&[rows]));
    let outputs =
        Outputs { logp: logp.view_mut(), entropy: entropy.view_mut(), lse: lse.view_mut() };
    forward(&head, outputs).unwrap();
    let mut dx = poison(case.x.dims().axes());
    let mut dw = Device::Cpu.zeros_f32(case.w.dims().axes()).unwrap();
    let upstream = Upstream {
        lse: lse.view(),
        entropy: entropy.view(),
        dlogp: case.dlogp.view(),
        dentropy: case.dentropy.as_ref().map(Buffer::view),
    };
    backward(&head, &upstream, dx.view_mut(), Some(dw.view_mut())).unwrap();
    [logp, entropy, lse, dx, dw].map(|buffer| buffer.to_f32().unwrap())
}

fn case([rows, width, vocab]: [usize; 3], size: f32, temperature: f32, entropy: bool) -> Case {
    let targets = (0..rows).map(|n| ((n * 7919) % vocab) as u32).collect();
    let x: Vec<f32> = normal_values(1, rows * width).iter().map(|x| x * size).collect();
    Case {
        x: buffer(&x, &[rows, width]),
        w: buffer(&normal_values(2, vocab * width), &[vocab, width]),
        targets: Device::Cpu.upload_u32(targets).unwrap(),
        temperature,
        dlogp: buffer(&normal_values(3, rows), &[rows]),
        dentropy: entropy.then(|| buffer(&normal_values(4, rows), &[rows])),
    }
}

fn compare(case: &Case, tolerance: Tolerance) {
    let rows = case.x.dims().rows();
    let width = case.x.dims().row_len();
    let [x, w] = [&case.x, &case.w].map(|b| widen(&b.to_f32().unwrap()));
    let targets = case.targets.view().u32("test", "targets").unwrap();
    let dlogp = widen(&case.dlogp.to_f32().unwrap());
    let dentropy = case.dentropy.as_ref().map_or(vec![0.0; rows], |b| widen(&b.to_f32().unwrap()));
    let temperature = f64::from(case.temperature);
    let [logp, entropy, lse] = reference::forward(&x, &w, targets, width, temperature);
    let (dx, dw) = reference::backward([&x, &w], targets, width, temperature, [&dlogp, &dentropy]);
    let names = ["logp", "entropy", "lse", "dx", "dw"];
    for ((name, got), want) in names.iter().zip(run(case)).zip([logp, entropy, lse, dx, dw]) {
        assert_close(name, &got, &want, tolerance);
    }
}

#[test]
fn both_passes_match_the_reference() {
    let tolerance = Tolerance { absolute: 2e-5, relative: 2e-5 };
    compare(&case([1, 1, 1], 1.0, 1.0, true), tolerance);
    compare(&case([5, 3, 33], 1.0, 0.7, true), tolerance);
    compare(&case([37, 16, 129], 1.0, 1.3, false), tolerance);
    compare(&case([37, 16, 129], 1.0, 1.3, true), tolerance);
    // Several chunks: 4 MB of logits a row of 1M tokens would be one; here 21 rows fit.
    compare(&case([50, 4, 200_000], 1.0, 1.0, true), tolerance);
}

#[test]
fn logits_of_eighty_match_the_reference() {
    // Scores near ±80 carry roundings of 80, and so do all results.
    compare(&case([9, 16, 70], 12.0, 0.7, true), Tolerance { absolute: 5e-4, relative: 1e-4 });
}

#[test]
fn the_reference_gradient_is_the_derivative() {
    let (rows, width, vocab) = (3, 4, 7);
    let [x, w] = [widen(&normal_values(1, rows * width)), widen(&normal_values(2, vocab * width))];
    let [dlogp, dentropy] = [widen(&normal_values(3, rows)), widen(&normal_values(4, rows))];
    let targets = [0, 6, 3];
    let loss = |x: &[f64], w: &[f64]| -> f64 {
        let [logp, entropy, _] = reference::forward(x, w, &targets, width, 0.7);
        (0..rows).map(|n| logp[n] * dlogp[n] + entropy[n] * dentropy[n]).sum()
    };
    let (dx, dw) = reference::backward([&x, &w], &targets, width, 0.7, [&dlogp, &dentropy]);
    assert_gradient("dx", |x| loss(x, &w), &x, &dx);
    assert_gradient("dw", |w| loss(&x, w), &w, &dw);
}

/// Values of PyTorch: with the identity as head weight, hidden states are the logits.
#[test]
fn golden_logprobs_entropies_and_gradients() {
    let text = include_str!("../../../fixtures/logprob_entropy.json");
    let golden: Value = serde_json::from_str(text).unwrap();
    let flat = |value: &Value| -> Vec<f32> {
        let rows = value.as_array().unwrap().iter();
        let numbers = rows.flat_map(|v| match v {
            Value::Array(inner) => inner.clone(),
            number => vec![number.clone()],
        });
        numbers.map(|v| v.as_f64().unwrap() as f32).collect()
    };
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for golden in cases {
        let (inputs, outputs) = (&golden["inputs"], &golden["outputs"]);
        let labels: Vec<u32> = flat(&inputs["labels"]).iter().map(|&x| x as u32).collect();
        let logits = flat(&inputs["logits"]);
        let (rows, vocab) = (labels.len(), logits.len() / labels.len());
        let identity: Vec<f32> =
            (0..vocab * vocab).map(|i| f32::from(i / vocab == i % vocab)).collect();
        let ones = |on: bool| buffer(&vec![f32::from(on); rows], &[rows]);
        let mut case = Case {
            x: buffer(&logits, &[rows, vocab]),
            w: buffer(&identity, &[vocab, vocab]),
            targets: Device::Cpu.upload_u32(labels).unwrap(),
            temperature: inputs["temperature"].as_f64().unwrap() as f32,
            dlogp: ones(true),
            dentropy: None,
        };
        let tolerance = Tolerance { absolute: 2e-5, relative: 2e-6 };
        let expect = |name: &str| widen(&flat(&outputs[name]));
        let [logp, entropy, _, dlogits, _] = run(&case);
        assert_close("logprobs", &logp, &expect("logprobs"), tolerance);
        assert_close("entropy", &entropy, &expect("entropy"), tolerance);
        assert_close("d logprobs", &dlogits, &expect("grad_sum_logprobs"), tolerance);
        (case.dlogp, case.dentropy) = (ones(false), Some(ones(true)));
        let [_, _, _, dlogits, _] = run(&case);
        assert_close("d entropy", &dlogits, &expect("grad_sum_entropy"), tolerance);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let case = case([300, 40, 500], 1.0, 0.9, true);
    let one = on_threads(1, || run(&case));
    assert_eq!(on_threads(2, || run(&case)), one);
    assert_eq!(on_threads(5, || run(&case)), one);
}

#[test]
fn bad_targets_and_temperatures_are_named() {
    let mut case = case([2, 3, 4], 1.0, 1.0, false);
    let message = |case: &Case| {
        let head = Head {
            x: case.x.view(),
            weight: case.w.view(),
            targets: case.targets.view(),
            temperature: case.temperature,
        };
        let [mut logp, mut entropy, mut lse] = [(); 3].map(|()| poison(&[2]));
        let outputs =
            Outputs { logp: logp.view_mut(), entropy: entropy.view_mut(), lse: lse.view_mut() };
        forward(&head, outputs).unwrap_err().to_string()
    };
    case.temperature = 0.0;
    assert!(message(&case).contains("temperature 0 is not positive"));
    case.temperature = 1.0;
    case.targets = Device::Cpu.upload_u32(vec![0, 4]).unwrap();
    assert_eq!(message(&case), "head::forward: row 1: target 4 of a vocabulary of 4");
}

/// `[dx, dw]`, part by part of the vocabulary.
fn run_in_parts(case: &Case, cuts: &[usize]) -> [Vec<f32>; 2] {
    let head = Head {
        x: case.x.view(),
        weight: case.w.view(),
        targets: case.targets.view(),
        temperature: case.temperature,
    };
    let rows = case.x.dims().rows();
    let [logp, entropy, lse, _, _] = run(case);
    let [_, entropy, lse] = [logp, entropy, lse].map(|values| buffer(&values, &[rows]));
    let upstream = Upstream {
        lse: lse.view(),
        entropy: entropy.view(),
        dlogp: case.dlogp.view(),
        dentropy: case.dentropy.as_ref().map(Buffer::view),
    };
    let mut dx = Device::Cpu.zeros_f32(case.x.dims().axes()).unwrap();
    let mut dw = poison(case.w.dims().axes());
    for part in cuts.windows(2) {
        let columns = part[0]..part[1];
        let mut dz = poison(&[rows, columns.len()]);
        dlogits(&head, columns.clone(), &upstream, dz.view_mut()).unwrap();
        let w = case.w.rows(columns.clone()).unwrap();
        matmul::nn(dz.view(), w, dx.view_mut(), Write::Add).unwrap();
        let out = dw.rows_mut(columns).unwrap();
        matmul::tn(dz.view(), case.x.view(), out, Write::Overwrite).unwrap();
    }
    [dx, dw].map(|buffer| buffer.to_f32().unwrap())
}

#[test]
fn parts_of_the_vocabulary_give_the_whole_gradient() {
    for (size, entropy) in [(1.0, true), (1.0, false), (12.0, true)] {
        let mut case = case([37, 16, 129], size, 0.7, entropy);
        if size > 1.0 {
            // Rows that no loss asks for.
            let dlogp: Vec<f32> = (0..37).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
            (case.dlogp, case.dentropy) = (buffer(&dlogp, &[37]), None);
        }
        let [_, _, _, dx, dw] = run(&case).map(|values| widen(&values));
        for cuts in [&[0, 129][..], &[0, 1, 2, 64, 128, 129], &[0, 0, 50, 50, 129]] {
            let [got_dx, got_dw] = run_in_parts(&case, cuts);
            // Scores near ±80 carry roundings of 80, here and there alike.
            let tolerance = Tolerance { absolute: 2e-5 * f64::from(size), relative: 2e-5 };
            assert_close("dx", &got_dx, &dx, tolerance);
            assert_close("dw", &got_dw, &dw, tolerance);
        }
        assert_eq!(
            on_threads(1, || run_in_parts(&case, &[0, 60, 129])),
            on_threads(5, || run_in_parts(&case, &[0, 60, 129]))
        );
    }
}

#[test]
fn columns_outside_the_vocabulary_are_refused() {
    let case = case([2, 3, 4], 1.0, 1.0, false);
    let head = Head {
        x: case.x.view(),
        weight: case.w.view(),
        targets: case.targets.view(),
        temperature: 1.0,
    };
    let zeros = buffer(&[0.0; 2], &[2]);
    let upstream = Upstream {
        lse: zeros.view(),
        entropy: zeros.view(),
        dlogp: case.dlogp.view(),
        dentropy: None,
    };
    let mut out = poison(&[2, 2]);
    let outside = dlogits(&head, 3..5, &upstream, out.view_mut()).unwrap_err();
    assert!(matches!(outside, Error::Argument { .. }), "{outside}");
    let wrong = dlogits(&head, 0..3, &upstream, out.view_mut()).unwrap_err();
    assert!(matches!(wrong, Error::Shape { tensor: "out", .. }), "{wrong}");
}
