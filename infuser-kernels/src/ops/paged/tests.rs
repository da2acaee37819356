use proptest::prelude::*;

use super::*;
use crate::{
    ops::attention,
    rng::Stream,
    testing::{buffer, hard_values, on_threads, poison},
};

/// A sequence and how it is cut: the positions at which a new call begins.
#[derive(Debug, Clone)]
struct Sequence {
    len: usize,
    cuts: Vec<usize>,
}

fn sequence() -> impl Strategy<Value = Sequence> {
    (1..300usize).prop_flat_map(|len| {
        prop::collection::vec(1..=len, 0..4).prop_map(move |mut cuts| {
            cuts.extend([0, len]);
            cuts.sort_unstable();
            cuts.dedup();
            Sequence { len, cuts }
        })
    })
}

/// The output and lse of every position, computed at once in a batch.
fn whole(
    attention: &Attention,
    len: usize,
    heads: [usize; 3],
    [q, k, v]: [&[f32]; 3],
) -> [Vec<f32>; 2] {
    let [h, kv, e] = heads;
    let (mut out, mut lse) = (poison(&[len, h, e]), poison(&[len, h]));
    let segments = vec![attention::Segment::causal(0..len)].into();
    let (q, k, v) = (buffer(q, &[len, h, e]), buffer(k, &[len, kv, e]), buffer(v, &[len, kv, e]));
    let qkv = [q.view(), k.view(), v.view()];
    attention::forward(attention, &segments, qkv, out.view_mut(), lse.view_mut()).unwrap();
    [out, lse].map(|buffer| buffer.to_f32().unwrap())
}

/// A block list for each sequence, all different, in an order that a seed chooses.
fn tables(sequences: &[Sequence], tokens: usize, seed: u64) -> (Vec<Vec<u32>>, usize) {
    let counts: Vec<usize> = sequences.iter().map(|s| s.len.div_ceil(tokens)).collect();
    let total = counts.iter().sum::<usize>() + 2;
    let stream = Stream::new(seed);
    let mut ids: Vec<u32> = (0..total as u32).collect();
    ids.sort_by_key(|id| stream.bits(u64::from(*id)));
    let mut rest = ids.into_iter();
    (counts.iter().map(|count| rest.by_ref().take(*count).collect()).collect(), total)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However sequences are cut, mixed and laid out, every row has the bits of the whole batch.
    #[test]
    fn blocks_and_cuts_do_not_change_a_bit(
        sequences in prop::collection::vec(sequence(), 1..4),
        units in 1..4usize,
        (group, kv_heads, width) in (1..4usize, 1..3usize, 1..70usize),
        window in prop::option::of(1..200usize),
        seed in any::<u64>(),
    ) {
        let (tokens, heads) = (units * BLOCK_UNIT, group * kv_heads);
        let attention = Attention { scale: 0.3, window };
        let (tables, count) = tables(&sequences, tokens, seed);
        let mut blocks = Blocks::new(&Device::Cpu, count, tokens, [kv_heads, width]).unwrap();
        // What a block held before must not matter.
        let Storage::Cpu(both) = &mut blocks.storage else { unreachable!("made on the CPU") };
        both.iter_mut().for_each(|buffer| *buffer = poison(buffer.dims().axes()));
        let inputs: Vec<[Vec<f32>; 3]> = sequences.iter().enumerate().map(|(i, s)| {
            let seed = seed.wrapping_add(10 * i as u64);
            let kv = s.len * kv_heads * width;
            [hard_values(seed, s.len * heads * width), hard_values(seed + 1, kv), hard_values(seed + 2, kv)]
        }).collect();
        let wants: Vec<_> = sequences.iter().zip(&inputs)
            .map(|(s, [q, k, v])| whole(&attention, s.len, [heads, kv_heads, width], [q, k, v]))
            .collect();
        let calls = sequences.iter().map(|s| s.cuts.len() - 1).max().unwrap();
        for call in 0..calls {
            let (mut segments, mut rows, mut want) = (Vec::new(), [const { Vec::new() }; 3], [const { Vec::new() }; 2]);
            for (i, s) in sequences.iter().enumerate().filter(|(_, s)| call + 1 < s.cuts.len()) {
                let range = s.cuts[call]..s.cuts[call + 1];
                let first: usize = segments.last().map_or(0, |s: &Segment| s.q.end);
                segments.push(Segment { q: first..first + range.len(), len: range.end, blocks: tables[i].clone() });
                for ((to, from), heads) in rows.iter_mut().zip(&inputs[i]).zip([heads, kv_heads, kv_heads]) {
                    to.extend_from_slice(&from[range.start * heads * width..range.end * heads * width]);
                }
                want[0].extend_from_slice(&wants[i][0][range.start * heads * width..range.end * heads * width]);
                want[1].extend_from_slice(&wants[i][1][range.start * heads..range.end * heads]);
            }
            let t = segments.last().unwrap().q.end;
            let [q, k, v] = rows;
            let (k, v) = (buffer(&k, &[t, kv_heads, width]), buffer(&v, &[t, kv_heads, width]));
            append(&mut blocks, &segments.clone().into(), k.view(), v.view()).unwrap();
            let q = buffer(&q, &[t, heads, width]);
            let (mut out, mut lse) = (poison(&[t, heads, width]), poison(&[t, heads]));
            on_threads(3, || {
                super::attention(&attention, &segments.clone().into(), q.view(), &blocks, out.view_mut(), lse.view_mut())
            }).unwrap();
            prop_assert_eq!(out.to_f32().unwrap(), want[0].clone());
            prop_assert_eq!(lse.to_f32().unwrap(), want[1].clone());
        }
    }
}

#[test]
fn a_copied_block_holds_the_same() {
    let mut blocks = Blocks::new(&Device::Cpu, 3, 32, [1, 2]).unwrap();
    let segment = |block| Segments::from(vec![Segment { q: 0..2, len: 2, blocks: vec![block] }]);
    let values = buffer(&[1.0, 2.0, 3.0, 4.0], &[2, 1, 2]);
    append(&mut blocks, &segment(0), values.view(), values.view()).unwrap();
    blocks.copy(0, 2).unwrap();
    let read = |blocks: &Blocks, block| {
        let (mut out, mut lse) = (poison(&[2, 1, 2]), poison(&[2, 1]));
        let attention = Attention { scale: 1.0, window: None };
        let (out_view, lse_view) = (out.view_mut(), lse.view_mut());
        super::attention(&attention, &segment(block), values.view(), blocks, out_view, lse_view)
            .unwrap();
        out.to_f32().unwrap()
    };
    assert_eq!(read(&blocks, 0), read(&blocks, 2));
    assert_eq!(read(&blocks, 0)[..2], [1.0, 2.0]);
    assert!(blocks.copy(0, 3).unwrap_err().to_string().contains("block 3 of 3"));
}

#[test]
fn what_does_not_fit_is_named() {
    let blocks = Blocks::new(&Device::Cpu, 2, 32, [1, 4]).unwrap();
    let error = |q, len, blocks_of: &[u32]| {
        let segments = [Segment { q, len, blocks: blocks_of.to_vec() }];
        blocks.check("op", &segments, 3).unwrap_err().to_string()
    };
    assert!(error(0..4, 4, &[0]).contains("not after row 0 and within 3"));
    assert!(error(0..3, 2, &[0]).contains("3 queries but only 2 positions"));
    assert!(error(0..1, 33, &[0]).contains("33 positions in 1 blocks of 32 tokens"));
    assert!(error(0..1, 1, &[2]).contains("block 2 of 2"));
    let error = Blocks::new(&Device::Cpu, 2, 16, [1, 4]).unwrap_err().to_string();
    assert!(error.contains("blocks of 16 tokens, expected a multiple of 32"), "{error}");
}

/// Who writes to one block together is served on one thread.
#[test]
fn two_segments_of_one_block_are_stored_one_after_another() {
    let segments = |shared: bool| -> Segments {
        let second = if shared { vec![0] } else { vec![1] };
        vec![
            Segment { q: 0..2, len: 2, blocks: vec![0] },
            Segment { q: 2..5, len: 5, blocks: second },
        ]
        .into()
    };
    assert!(cpu::write_apart(BLOCK_UNIT, &segments(false)));
    assert!(!cpu::write_apart(BLOCK_UNIT, &segments(true)));
    let k = buffer(&hard_values(1, 5 * 3), &[5, 1, 3]);
    let mut blocks = Blocks::new(&Device::Cpu, 2, BLOCK_UNIT, [1, 3]).unwrap();
    append(&mut blocks, &segments(true), k.view(), k.view()).unwrap();
    let Storage::Cpu([_, values]) = &blocks.storage else { unreachable!("made on the CPU") };
    let (values, k) = (values.to_f32().unwrap(), k.to_f32().unwrap());
    for (position, row) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)] {
        assert_eq!(values[position * BLOCK_UNIT..][..3], k[row * 3..][..3], "position {position}");
    }
}
