//! `head.cu` against [`crate::ops::head`].

use std::ops::Range;

use super::*;
use crate::{
    Device, Error,
    cuda::{
        Kernel,
        head::{self as cuda, Outputs, State, Targets, Tile},
    },
    ops::head as cpu,
    testing::{buffer, normal_values, poison},
};

/// Rows, vocabulary, temperature, and where tiles begin after the first.
const CASES: [(usize, usize, f32, &[usize]); 4] = [
    (1, 1, 1.0, &[]),
    (3, 7, 0.5, &[1, 5]),
    (5, 300, 1.0, &[256, 299]),
    // More columns than a block of the backward pass owns.
    (2, 2500, 1.7, &[100]),
];

/// Logits of a row that is nearly certain, one of a single value, then hard ones.
fn logits(rows: usize, vocab: usize) -> Vec<f32> {
    let mut values = hard_bf16(1, rows * vocab).1;
    if rows > 2 {
        values[..vocab].fill(-30.0);
        values[0] = 30.0;
        values[vocab..2 * vocab].fill(-7.5);
    }
    values
}

/// The CPU op computes its logits: a head weight of units makes them what they should be.
struct Case {
    values: Vec<f32>,
    units: crate::Buffer,
    targets: Vec<u32>,
    rows: usize,
    vocab: usize,
    temperature: f32,
    tiles: Vec<Range<usize>>,
}

impl Case {
    fn new((rows, vocab, temperature, cuts): (usize, usize, f32, &[usize])) -> Self {
        let mut units = vec![0.0; vocab * vocab];
        (0..vocab).for_each(|i| units[i * vocab + i] = 1.0);
        let ends: Vec<usize> = cuts.iter().copied().chain([vocab]).collect();
        let starts = [0].into_iter().chain(ends.clone());
        Self {
            values: logits(rows, vocab),
            units: buffer(&units, &[vocab, vocab]),
            // The first and the last column, and one in between.
            targets: (0..rows).map(|row| [0, vocab - 1, vocab / 2][row % 3] as u32).collect(),
            rows,
            vocab,
            temperature,
            tiles: starts.zip(&ends).map(|(start, end)| start..*end).collect(),
        }
    }

    fn tile(&self, columns: &Range<usize>) -> Vec<f32> {
        let rows = self.values.chunks_exact(self.vocab);
        rows.flat_map(|row| row[columns.clone()].to_vec()).collect()
    }

    /// logp, entropy, lse of the CPU op.
    fn want(&self) -> [Vec<f32>; 3] {
        let x = buffer(&self.values, &[self.rows, self.vocab]);
        let targets = Device::Cpu.upload_u32(self.targets.clone()).unwrap();
        let (x, weight, temperature) = (x.view(), self.units.view(), self.temperature);
        let head = cpu::Head { x, weight, targets: targets.view(), temperature };
        let [mut logp, mut entropy, mut lse] = [(); 3].map(|()| poison(&[self.rows]));
        let (logp_view, entropy_view) = (logp.view_mut(), entropy.view_mut());
        let outputs = cpu::Outputs { logp: logp_view, entropy: entropy_view, lse: lse.view_mut() };
        cpu::forward(&head, outputs).unwrap();
        [logp, entropy, lse].map(|buffer| buffer.to_f32().unwrap())
    }

    fn got(&self, driver: &Driver) -> [Vec<f32>; 3] {
        let targets = Targets::upload(driver, &self.targets, self.vocab).unwrap();
        let mut state = State::new(driver, &targets).unwrap();
        for columns in &self.tiles {
            let logits = up(driver, &self.tile(columns));
            let (logits, columns) = (logits.slice(), columns.clone());
            let tile = Tile { logits, columns, temperature: self.temperature };
            state.add(driver, &tile).unwrap();
        }
        let mut all = [(); 3].map(|()| Memory::<f32>::unset(driver, self.rows).unwrap());
        let [logp, entropy, lse] = all.each_mut().map(Memory::slice_mut);
        state.finish(driver, Outputs { logp, entropy, lse }).unwrap();
        all.map(|memory| memory.download().unwrap())
    }

    /// The gradients by `logp` and `entropy`; those of the last row are zero.
    fn slopes(&self) -> [Vec<f32>; 2] {
        let mut slopes = [7, 8].map(|seed| normal_values(seed, self.rows));
        if self.rows > 2 {
            slopes.iter_mut().for_each(|slopes| slopes[self.rows - 1] = 0.0);
        }
        slopes
    }

    fn want_dlogits(
        &self,
        columns: &Range<usize>,
        [_, entropy, lse]: &[Vec<f32>; 3],
        with_entropy: bool,
    ) -> Vec<f32> {
        let x = buffer(&self.values, &[self.rows, self.vocab]);
        let targets = Device::Cpu.upload_u32(self.targets.clone()).unwrap();
        let (x, weight, temperature) = (x.view(), self.units.view(), self.temperature);
        let head = cpu::Head { x, weight, targets: targets.view(), temperature };
        let [dlogp, dentropy] = self.slopes();
        let [lse, entropy, dlogp, dentropy] =
            [lse, entropy, &dlogp, &dentropy].map(|values| buffer(values, &[self.rows]));
        let upstream = cpu::Upstream {
            lse: lse.view(),
            entropy: entropy.view(),
            dlogp: dlogp.view(),
            dentropy: with_entropy.then(|| dentropy.view()),
        };
        let mut out = poison(&[self.rows, columns.len()]);
        cpu::dlogits(&head, columns.clone(), &upstream, out.view_mut()).unwrap();
        out.to_f32().unwrap()
    }

    fn got_dlogits(
        &self,
        driver: &Driver,
        columns: &Range<usize>,
        [_, entropy, lse]: &[Vec<f32>; 3],
        with_entropy: bool,
    ) -> Vec<f32> {
        let targets = Targets::upload(driver, &self.targets, self.vocab).unwrap();
        let [dlogp, dentropy] = self.slopes();
        let [lse, entropy, dlogp, dentropy] =
            [lse, entropy, &dlogp, &dentropy].map(|values| up(driver, values));
        let upstream = cuda::Upstream {
            lse: lse.slice(),
            entropy: entropy.slice(),
            dlogp: dlogp.slice(),
            dentropy: with_entropy.then(|| dentropy.slice()),
        };
        let logits = up(driver, &self.tile(columns));
        let mut out = Memory::<bf16>::unset(driver, self.rows * columns.len()).unwrap();
        let (logits, columns) = (logits.slice(), columns.clone());
        let tile = Tile { logits, columns, temperature: self.temperature };
        cuda::dlogits(driver, &tile, &targets, &upstream, out.slice_mut()).unwrap();
        wide(&out.download().unwrap())
    }
}

pub(super) fn check(driver: &Driver) {
    for case in CASES.map(Case::new) {
        let (got, want) = (case.got(driver), case.want());
        for (name, (got, want)) in ["logp", "entropy", "lse"].into_iter().zip(got.iter().zip(&want))
        {
            tolerance::check(Kernel::HeadForwardTile, name, got, want);
        }
        for columns in &case.tiles {
            for with_entropy in [true, false] {
                let got = case.got_dlogits(driver, columns, &want, with_entropy);
                let want = case.want_dlogits(columns, &want, with_entropy);
                tolerance::check(Kernel::HeadBackwardTile, "dlogits", &got, &want);
            }
        }
    }
}

#[test]
fn both_passes_equal_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check(&driver(order)));
}

#[test]
fn a_row_does_not_know_of_the_others_or_the_order_of_threads() {
    let case = Case::new(CASES[2]);
    let all = case.got(&driver(Order::Forward));
    assert_eq!(case.got(&driver(Order::Random(9))), all);
    let one = Case {
        values: case.values[3 * 300..4 * 300].to_vec(),
        targets: vec![case.targets[3]],
        rows: 1,
        ..Case::new(CASES[2])
    };
    let alone = one.got(&driver(Order::Forward));
    all.iter().zip(alone).for_each(|(all, alone)| assert_eq!(all[3..4], alone));
}

#[test]
fn a_number_that_is_none_shows_and_a_logit_of_minus_infinity_does_not() {
    let driver = driver(Order::Forward);
    let mut case = Case::new((2, 7, 1.0, &[3]));
    case.values = normal_values(1, 14);
    case.values[2] = f32::NEG_INFINITY;
    case.values[9] = f32::NAN;
    let all = case.got(&driver);
    assert!(all.iter().all(|values| values[0].is_finite() && values[1].is_nan()), "{all:?}");
    // A tile of nothing but minus infinity, before one of values.
    case.values = [[f32::NEG_INFINITY; 3].as_slice(), &[1.0; 4], &[0.0; 7]].concat();
    case.targets = vec![4, 0];
    let [logp, entropy, _] = case.got(&driver);
    assert!((logp[0] + 4f32.ln()).abs() < 1e-6 && (entropy[0] - 4f32.ln()).abs() < 1e-6);
}

#[test]
fn what_does_not_fit_is_named() {
    let driver = driver(Order::Forward);
    let error = Targets::upload(&driver, &[2, 7], 7).unwrap_err().to_string();
    assert!(error.contains("row 1: target 7 of a vocabulary of 7"), "{error}");
    let targets = Targets::upload(&driver, &[2, 6], 7).unwrap();
    let mut state = State::new(&driver, &targets).unwrap();
    let logits = up(&driver, &[1.0f32; 6]);
    let tile = |columns, temperature| Tile { logits: logits.slice(), columns, temperature };
    let refused = |result: crate::error::Result<()>| result.unwrap_err().to_string();
    let error = refused(state.add(&driver, &tile(3..6, 1.0)));
    assert!(error.contains("columns 3..6, but the next one is 0"), "{error}");
    assert!(refused(state.add(&driver, &tile(0..3, 0.0))).contains("temperature 0"));
    assert!(refused(state.add(&driver, &tile(5..8, 1.0))).contains("columns 5..8 of a voc"));
    let error = state.add(&driver, &tile(0..2, 1.0)).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "logits", .. }), "{error}");
    state.add(&driver, &tile(0..3, 1.0)).unwrap();
    let mut all = [(); 3].map(|()| up(&driver, &[0.0f32; 2]));
    let [logp, entropy, lse] = all.each_mut().map(Memory::slice_mut);
    let error = refused(state.finish(&driver, Outputs { logp, entropy, lse }));
    assert!(error.contains("columns 3..7 are missing"), "{error}");
}
