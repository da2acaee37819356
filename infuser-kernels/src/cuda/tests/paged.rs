//! `paged.cu` against [`crate::ops::paged`].

use super::*;
use crate::{
    Device, Error,
    cuda::{
        Kernel,
        paged::{self as cuda, Cache, Plan},
    },
    ops::{
        attention::Attention,
        paged::{self as cpu, Blocks, Segment},
    },
    testing::{buffer, poison},
};

/// Sequences that are already in the cache and the rows that are asked about.
#[derive(Debug, Clone)]
struct Case {
    name: &'static str,
    /// H, K, E.
    heads: [usize; 3],
    window: Option<usize>,
    /// Positions of each sequence, and how many of the last are queries.
    sequences: Vec<[usize; 2]>,
    tokens: usize,
}

fn cases() -> Vec<Case> {
    let case = |name, heads, window, sequences: &[[usize; 2]], tokens| Case {
        name,
        heads,
        window,
        sequences: sequences.to_vec(),
        tokens,
    };
    vec![
        case("one token", [1, 1, 1], None, &[[1, 1]], 32),
        case("ragged, odd width", [4, 2, 5], None, &[[7, 2], [33, 1], [1, 1], [300, 3]], 32),
        case("groups of seven", [14, 2, 64], None, &[[64, 1], [255, 1], [257, 1]], 64),
        case("a head of 72", [5, 1, 72], Some(9), &[[300, 2], [9, 1], [10, 1], [3, 3]], 32),
        case("parts, 128", [4, 2, 128], None, &[[256, 1], [770, 1], [513, 2]], 32),
        case("window over parts", [2, 2, 16], Some(257), &[[513, 3], [700, 1], [40, 1]], 96),
        case("window of one", [2, 1, 8], Some(1), &[[300, 2], [1, 1]], 32),
    ]
}

/// Keys and values of all positions of all sequences, and the segments that store or ask.
struct Layout {
    segments: Vec<Segment>,
    blocks: usize,
    rows: usize,
}

/// Blocks in an order that a seed chooses; `queries` of each sequence. A row of no segment follows.
fn layout(case: &Case, seed: u64, queries: impl Fn(&[usize; 2]) -> usize) -> Layout {
    let needs = |s: &[usize; 2]| s[0].div_ceil(case.tokens);
    let total = case.sequences.iter().map(needs).sum::<usize>() + 2;
    let mut ids: Vec<u32> = (0..total as u32).collect();
    let stream = crate::rng::Stream::new(seed);
    ids.sort_by_key(|id| stream.bits(u64::from(*id)));
    let mut rest = ids.into_iter();
    let (mut segments, mut rows) = (Vec::new(), 0);
    for sequence in &case.sequences {
        let count = queries(sequence);
        let blocks = rest.by_ref().take(needs(sequence)).collect();
        segments.push(Segment { q: rows..rows + count, len: sequence[0], blocks });
        rows += count;
    }
    Layout { segments, blocks: total, rows: rows + 1 }
}

impl Case {
    fn attention(&self) -> Attention {
        Attention { scale: 1.0 / (self.heads[2] as f32).sqrt(), window: self.window }
    }

    /// Keys and values of every position, sequences one after the other, then a row of no segment.
    fn keys(&self) -> [(Vec<bf16>, Vec<f32>); 2] {
        let rows = self.sequences.iter().map(|s| s[0]).sum::<usize>() + 1;
        [2, 3].map(|seed| halved(hard_bf16(seed, rows * self.heads[1] * self.heads[2])))
    }

    fn queries(&self, rows: usize) -> (Vec<bf16>, Vec<f32>) {
        halved(hard_bf16(1, rows * self.heads[0] * self.heads[2]))
    }

    /// out, lse of the CPU op.
    fn want(&self, fill: &Layout, ask: &Layout) -> [Vec<f32>; 2] {
        let [h, kv, e] = self.heads;
        let mut blocks = Blocks::new(&Device::Cpu, fill.blocks, self.tokens, [kv, e]).unwrap();
        let [k, v] = self.keys().map(|(_, values)| buffer(&values, &[fill.rows, kv, e]));
        cpu::append(&mut blocks, &fill.segments.clone().into(), k.view(), v.view()).unwrap();
        let q = buffer(&self.queries(ask.rows).1, &[ask.rows, h, e]);
        let (mut out, mut lse) = (poison(&[ask.rows, h, e]), poison(&[ask.rows, h]));
        let attention = self.attention();
        let (out_view, lse_view) = (out.view_mut(), lse.view_mut());
        cpu::attention(
            &attention,
            &ask.segments.clone().into(),
            q.view(),
            &blocks,
            out_view,
            lse_view,
        )
        .unwrap();
        [out, lse].map(|buffer| buffer.to_f32().unwrap())
    }

    /// out, lse of the kernels.
    fn got(&self, driver: &Driver, fill: &Layout, ask: &Layout) -> [Vec<f32>; 2] {
        let plan = |cache: &Cache| Plan::upload(driver, &ask.segments, (ask.rows, None), cache);
        self.planned(driver, fill, ask.rows, plan)
    }

    /// The same with a plan of this making.
    fn planned(
        &self,
        driver: &Driver,
        fill: &Layout,
        rows: usize,
        ask: impl Fn(&Cache) -> crate::Result<Plan>,
    ) -> [Vec<f32>; 2] {
        self.within(driver, fill, rows, ask, 1 << 20).0
    }

    /// The same with parts of so many bytes at once; and the bytes that they took.
    fn within(
        &self,
        driver: &Driver,
        fill: &Layout,
        rows: usize,
        ask: impl Fn(&Cache) -> crate::Result<Plan>,
        bytes: usize,
    ) -> ([Vec<f32>; 2], usize) {
        let [h, kv, e] = self.heads;
        let mut cache = Cache::new(driver, fill.blocks, self.tokens, [kv, e]).unwrap();
        let [k, v] = self.keys().map(|(values, _)| up(driver, &values));
        let plan = Plan::upload(driver, &fill.segments, (fill.rows, None), &cache).unwrap();
        cuda::append(driver, &mut cache, &plan, [k.slice(), v.slice()]).unwrap();
        let q = up(driver, &self.queries(rows).0);
        let mut out = Memory::<bf16>::unset(driver, rows * h * e).unwrap();
        let mut lse = Memory::<f32>::unset(driver, rows * h).unwrap();
        let plan = ask(&cache).unwrap();
        let outputs = (out.slice_mut(), lse.slice_mut());
        let q = (q.slice(), h);
        driver.reset_memory_peaks();
        let before = driver.memory_use().total().live_bytes;
        cuda::attention_within(driver, &self.attention(), &plan, q, &cache, outputs, bytes)
            .unwrap();
        let taken = driver.memory_use().total().peak_bytes - before;
        ([wide(&out.download().unwrap()), lse.download().unwrap()], taken)
    }
}

/// Scores of outliers stay near 200.
fn halved((values, _): (Vec<bf16>, Vec<f32>)) -> (Vec<bf16>, Vec<f32>) {
    let values: Vec<bf16> = values.into_iter().map(|x| bf16::from_f32(0.5 * x.to_f32())).collect();
    let wide = wide(&values);
    (values, wide)
}

pub(super) fn check(driver: &Driver) {
    for case in cases() {
        let (fill, ask) = (layout(&case, 5, |s| s[0]), layout(&case, 5, |s| s[1]));
        let [out, lse] = case.got(driver, &fill, &ask);
        let [out_want, lse_want] = case.want(&fill, &ask);
        // Shown if the case fails.
        eprintln!("{}", case.name);
        tolerance::check(Kernel::PagedAttention64, "out", &out, &out_want);
        tolerance::check(Kernel::PagedAttention64, "lse", &lse, &lse_want);
    }
}

#[test]
fn attention_over_blocks_equals_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check(&driver(order)));
}

#[test]
fn a_row_has_the_same_bits_in_any_batch_blocks_and_order() {
    let case = cases().remove(4);
    let run = |case: &Case, seed, order| {
        let (fill, ask) = (layout(case, seed, |s| s[0]), layout(case, seed, |s| s[1]));
        case.got(&driver(order), &fill, &ask)
    };
    let want = run(&case, 5, Order::Forward);
    assert_eq!(run(&case, 5, Order::Reverse), want);
    assert_eq!(run(&Case { tokens: 96, ..case.clone() }, 6, Order::Random(3)), want);
    // The first sequence alone: its row is in one part, and nobody asks for more.
    let [out, lse] = run(&Case { sequences: vec![[256, 1]], ..case }, 8, Order::Forward);
    assert_eq!(out[..4 * 128], want[0][..4 * 128]);
    assert_eq!(lse[..4], want[1][..4]);
}

#[test]
fn parts_that_are_too_many_are_computed_in_turn() {
    // One long row among short ones; rows that are cut differently; and each alone.
    let sequences = vec![[1, 1], [20, 20], [1100, 2], [300, 1], [520, 9], [2, 2]];
    for window in [None, Some(300)] {
        let case = Case { window, sequences: sequences.clone(), ..cases().remove(1) };
        let (fill, ask) = (layout(&case, 5, |s| s[0]), layout(&case, 5, |s| s[1]));
        // Four heads of five elements and two more numbers.
        let part = 4 * 4 * (5 + 2);
        for (order, room) in ORDERS.into_iter().zip([None, None, Some(1200)]) {
            let driver = driver(order);
            let plan =
                |cache: &Cache| Plan::upload(&driver, &ask.segments, (ask.rows, room), cache);
            let run = |parts| case.within(&driver, &fill, ask.rows, plan, parts * part);
            let bits = |[out, lse]: [Vec<f32>; 2]| -> Vec<u32> {
                [out, lse].concat().into_iter().map(f32::to_bits).collect()
            };
            let (want, whole) = run(1 << 20);
            let want = bits(want);
            for most in [12, 7, 1] {
                let (got, taken) = run(most);
                assert_eq!(bits(got), want, "{window:?}, {most} parts");
                assert!(taken <= most.max(5) * part && taken < whole, "{taken} bytes of {whole}");
            }
        }
    }
}

#[test]
fn room_for_others_and_taking_their_place_change_no_bit() {
    let driver = driver(Order::Forward);
    for case in cases() {
        let (fill, ask) = (layout(&case, 5, |s| s[0]), layout(&case, 5, |s| s[1]));
        let longest = case.sequences.iter().map(|s| s[0]).max().unwrap_or(0);
        let replaced = |cache: &Cache| {
            let room = longest.next_power_of_two() + 300;
            let mut plan = Plan::upload(&driver, &[], (ask.rows, Some(room)), cache)?;
            plan.set(&ask.segments).map(|()| plan)
        };
        let got = case.planned(&driver, &fill, ask.rows, replaced);
        let bits = |values: &[Vec<f32>; 2]| values.concat().into_iter().map(f32::to_bits).collect();
        let [got, want]: [Vec<u32>; 2] = [bits(&got), bits(&case.got(&driver, &fill, &ask))];
        assert_eq!(got, want, "{}", case.name);
    }
}

/// A cache of two blocks whose first holds one row, and the values of the row.
fn one_block(driver: &Driver) -> (Cache, Plan, [Vec<bf16>; 2]) {
    let mut cache = Cache::new(driver, 2, 32, [1, 3]).unwrap();
    let segments = [Segment { q: 0..2, len: 2, blocks: vec![0] }];
    let plan = Plan::upload(driver, &segments, (2, None), &cache).unwrap();
    let values = [1, 2].map(|seed| hard_bf16(seed, 6).0);
    let [k, v] = values.each_ref().map(|values| up(driver, values));
    cuda::append(driver, &mut cache, &plan, [k.slice(), v.slice()]).unwrap();
    (cache, plan, values)
}

#[test]
fn places_hold_what_was_stored_and_nothing_else_is_touched() {
    for order in ORDERS {
        let driver = driver(order);
        let (mut cache, _, [k, v]) = one_block(&driver);
        cache.copy(0, 1).unwrap();
        for (output, held, want) in [("k", &cache.k, &k), ("v", &cache.v, &v)] {
            let held = wide(&held.download().unwrap());
            tolerance::check(Kernel::KvAppend, output, &held[..6], &wide(want));
            tolerance::check(Kernel::KvCopy, output, &held[96..102], &wide(want));
            assert!(held[6..96].iter().all(|x| x.is_nan()), "{output}");
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let driver = driver(Order::Forward);
    let (mut cache, plan, _) = one_block(&driver);
    assert!(cache.copy(0, 2).unwrap_err().to_string().contains("block 2 of 2"));
    let error = Cache::new(&driver, 2, 48, [1, 3]).unwrap_err().to_string();
    assert!(error.contains("blocks of 48 tokens, expected a multiple of 32"), "{error}");
    let outside = [Segment { q: 0..1, len: 40, blocks: vec![1] }];
    let error = Plan::upload(&driver, &outside, (1, None), &cache).unwrap_err().to_string();
    assert!(error.contains("40 positions in 1 blocks"), "{error}");
    let one = |len| [Segment { q: 0..1, len, blocks: vec![1] }];
    let mut roomy = Plan::upload(&driver, &one(2), (1, Some(8)), &cache).unwrap();
    roomy.set(&one(8)).unwrap();
    let error = roomy.set(&one(9)).unwrap_err().to_string();
    assert!(error.contains("a row sees 9 positions, but there is room for 8"), "{error}");
    assert!(Plan::upload(&driver, &one(9), (1, Some(8)), &cache).is_err());
    let short = up(&driver, &[bf16::ONE; 5]);
    let error = cuda::append(&driver, &mut cache, &plan, [short.slice(); 2]).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "k", .. }), "{error}");
    // A plan for more blocks than this cache has.
    let other = Cache::new(&driver, 1, 32, [1, 3]).unwrap();
    let (q, mut out, mut lse) =
        (up(&driver, &[bf16::ONE; 6]), up(&driver, &[bf16::ONE; 6]), up(&driver, &[0.0f32; 2]));
    let mut ask = |cache: &Cache, window| {
        let attention = Attention { scale: 1.0, window };
        let outputs = (out.slice_mut(), lse.slice_mut());
        cuda::attention(&driver, &attention, &plan, (q.slice(), 1), cache, outputs)
    };
    let error = ask(&other, None).unwrap_err().to_string();
    assert!(error.contains("`plan` is for 2 blocks of 32 tokens, the cache has 1"), "{error}");
    assert!(ask(&cache, Some(0)).unwrap_err().to_string().contains("window of 0"));
    ask(&cache, None).unwrap();
}
