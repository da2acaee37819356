//! The CUDA ops on a GPU, timed with events on its stream; without one, a line says so.
//!
//! Run with `cargo bench -p infuser-benches --bench cuda`; a name after `--` picks some. After each, one
//! JSON line holds the median, as a rate and as a share of what this GPU reached just before: a copy
//! within its memory, or cuBLASLt on large squares.

use std::{cell::RefCell, process::ExitCode, time::Duration};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use infuser_benches::gpu::{Card, median, tensor, values};
use infuser_kernels::{
    Device, Result, Write,
    cuda::{
        Memory,
        influence::{Against, QuestionSums},
    },
    ops::{adamw, attention, influence::Preconditioner, paged, rmsnorm, rope, swiglu},
};

/// Packed tokens, width and feed-forward width of an 8B model: no tensor fits a cache.
const T: usize = 16384;
const D: usize = 4096;
const F: usize = 12288;
/// Query heads, key heads, head width.
const HEADS: [usize; 3] = [32, 8, 128];
/// Elements of a parameter.
const N: usize = 1 << 26;
/// Tokens that a decoded token looks back at, and tokens of a block of the cache.
const CONTEXT: usize = 2048;
const BLOCK: usize = 32;

/// What an op is held against.
#[derive(Clone, Copy)]
enum Work {
    /// Bytes read and written.
    Bytes(usize),
    /// Floating-point operations.
    Flops(usize),
}

struct Bench<'a, 'c> {
    card: &'a Card,
    group: BenchmarkGroup<'c, WallTime>,
}

impl Bench<'_, '_> {
    /// Times `f` and prints its line, if the filter lets it run.
    fn time(&mut self, name: &str, work: Work, mut f: impl FnMut() -> Result<()>) {
        let gpu = &self.card.gpu;
        let times = RefCell::new(Vec::new());
        self.group.throughput(match work {
            Work::Bytes(bytes) => Throughput::Bytes(bytes as u64),
            Work::Flops(flops) => Throughput::Elements(flops as u64),
        });
        self.group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let run = || (0..rounds).try_for_each(|_| f());
                let seconds = gpu.seconds(run).expect("shapes fit");
                times.borrow_mut().push(seconds / rounds as f64);
                Duration::from_secs_f64(seconds)
            });
        });
        let times = times.into_inner();
        if !times.is_empty() {
            println!("{}", self.line(name, work, median(&times)));
        }
    }

    fn line(&self, name: &str, work: Work, seconds: f64) -> serde_json::Value {
        let Card { name: gpu, copy_gbytes, gemm_tflops, .. } = self.card;
        match work {
            Work::Bytes(bytes) => {
                let rate = bytes as f64 / seconds / 1e9;
                serde_json::json!({
                    "bench": "cuda_op", "op": name, "gpu": gpu, "seconds": seconds,
                    "gbytes_per_s": rate, "copy_gbytes_per_s": copy_gbytes,
                    "share_of_copy": rate / copy_gbytes,
                })
            }
            Work::Flops(flops) => {
                let rate = flops as f64 / seconds / 1e12;
                serde_json::json!({
                    "bench": "cuda_op", "op": name, "gpu": gpu, "seconds": seconds,
                    "tflops": rate, "gemm_tflops": gemm_tflops, "share_of_gemm": rate / gemm_tflops,
                })
            }
        }
    }
}

/// Bytes of so many bf16 read or written.
fn moved(elements: usize) -> Work {
    Work::Bytes(2 * elements)
}

fn norms(bench: &mut Bench<'_, '_>) -> Result<()> {
    let device = &bench.card.device;
    let (x, dy) = (tensor(device, 1, &[T, D])?, tensor(device, 2, &[T, D])?);
    let w = tensor(device, 3, &[D])?;
    let [mut y, mut sum] = [device.zeros_float(&[T, D])?, device.zeros_float(&[T, D])?];
    let (mut rstd, mut dw) = (device.zeros_f32(&[T])?, device.zeros_f32(&[D])?);
    bench.time("rmsnorm forward", moved(2 * T * D), || {
        rmsnorm::forward(x.view(), w.view(), 1e-6, y.view_mut(), rstd.view_mut())
    });
    bench.time("rmsnorm add forward", moved(4 * T * D), || {
        let outputs =
            rmsnorm::AddOutputs { sum: sum.view_mut(), y: y.view_mut(), rstd: rstd.view_mut() };
        rmsnorm::add_forward(x.view(), dy.view(), w.view(), 1e-6, outputs)
    });
    bench.time("rmsnorm backward", moved(3 * T * D), || {
        let out = y.view_mut();
        rmsnorm::backward(dy.view(), x.view(), w.view(), rstd.view(), out, Write::Overwrite)
    });
    bench.time("rmsnorm backward weight", moved(2 * T * D), || {
        rmsnorm::backward_weight(dy.view(), x.view(), rstd.view(), dw.view_mut())
    });
    Ok(())
}

fn elementwise(bench: &mut Bench<'_, '_>) -> Result<()> {
    let device = &bench.card.device;
    let [gate, up, dout] = [1, 2, 3].map(|seed| tensor(device, seed, &[T, F]));
    let (gate, up, dout) = (gate?, up?, dout?);
    let mut out = device.zeros_float(&[T, F])?;
    bench.time("swiglu forward", moved(3 * T * F), || {
        swiglu::forward(gate.view(), up.view(), out.view_mut())
    });
    let mut dup = device.zeros_float(&[T, F])?;
    bench.time("swiglu backward", moved(5 * T * F), || {
        let (dgate, dup) = (out.view_mut(), dup.view_mut());
        swiglu::backward(dout.view(), gate.view(), up.view(), dgate, dup)
    });
    drop((gate, up, dout, out, dup));
    let [heads, _, width] = HEADS;
    let frequencies = rope::inverse_frequencies(1e6, width, &rope::Scaling::None);
    let tables = rope::tables(device, &frequencies, 1.0, CONTEXT)?;
    let positions = device.upload_u32((0..T as u32).map(|t| t % CONTEXT as u32).collect())?;
    let mut q = tensor(device, 4, &[T, heads, width])?;
    bench.time("rope", moved(2 * T * heads * width), || {
        rope::apply(q.view_mut(), positions.view(), &tables, rope::Direction::Forward)
    });
    Ok(())
}

fn optimizer(bench: &mut Bench<'_, '_>) -> Result<()> {
    let device = &bench.card.device;
    let random = |seed| device.upload_f32(values(seed, N), &[N]);
    let (gradient, mut weight, mut exp_avg) = (random(1)?, random(2)?, random(3)?);
    let squares = values(4, N).iter().map(|x| x * x).collect();
    let mut exp_avg_sq = device.upload_f32(squares, &[N])?;
    let mut rounded = device.zeros_float(&[N])?;
    let hyper = adamw::AdamW {
        learning_rate: 1e-4,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
    };
    // Gradient, weight and moments in, weight and moments out, and the weight in bf16.
    bench.time("adamw", Work::Bytes((4 * 4 + 3 * 4 + 2) * N), || {
        let state = adamw::State {
            weight: weight.view_mut(),
            exp_avg: exp_avg.view_mut(),
            exp_avg_sq: exp_avg_sq.view_mut(),
            rounded: Some(rounded.view_mut()),
        };
        adamw::step(&hyper, 10, 1.0, gradient.view(), state)
    });
    Ok(())
}

/// The pass of the influence scores: gradients of questions against one state and one target, of which
/// a question after the first needs no second read.
fn influence(bench: &mut Bench<'_, '_>) -> Result<()> {
    let Device::Cuda(driver) = &bench.card.device else { return Ok(()) };
    for (questions, n) in [(1, N), (8, N / 4)] {
        let gradients = Memory::upload(driver, &values(1, questions * n))?;
        let target = Memory::upload(driver, &values(2, n))?;
        let squares: Vec<f32> = values(3, n).iter().map(|x| x * x).collect();
        let exp_avg_sq = Memory::upload(driver, &squares)?;
        let against = Against {
            target: target.slice(),
            exp_avg_sq: Some(exp_avg_sq.slice()),
            preconditioner: Preconditioner { beta2: 0.999, epsilon: 1e-8, step: 10 },
        };
        let mut sums = QuestionSums::zeros(driver, questions)?;
        let name = format!("influence sums, questions: {questions}");
        bench.time(&name, Work::Bytes(4 * (questions + 2) * n), || {
            sums.add(driver, 0..questions, gradients.slice(), &against)
        });
    }
    Ok(())
}

fn attentions(bench: &mut Bench<'_, '_>) -> Result<()> {
    let device = &bench.card.device;
    let [heads, kv_heads, width] = HEADS;
    let (q, dout) =
        (tensor(device, 1, &[T, heads, width])?, tensor(device, 2, &[T, heads, width])?);
    let (k, v) =
        (tensor(device, 3, &[T, kv_heads, width])?, tensor(device, 4, &[T, kv_heads, width])?);
    let (mut out, mut dq) =
        (device.zeros_float(&[T, heads, width])?, device.zeros_float(&[T, heads, width])?);
    let (mut dk, mut dv) =
        (device.zeros_float(&[T, kv_heads, width])?, device.zeros_float(&[T, kv_heads, width])?);
    let mut lse = device.zeros_f32(&[T, heads])?;
    let settings = attention::Attention { scale: (width as f32).sqrt().recip(), window: None };
    for length in [512, 1024, 2048, 4096, 8192, 16384] {
        let count = T / length;
        let segment = |i: usize| attention::Segment::causal(i * length..(i + 1) * length);
        let segments = attention::Segments::from((0..count).map(segment).collect::<Vec<_>>());
        let pairs = count * length * (length + 1) / 2 * heads * width;
        let qkv = [q.view(), k.view(), v.view()];
        let name = |way: &str| format!("attention {way}, {count} x {length}");
        bench.time(&name("forward"), Work::Flops(4 * pairs), || {
            attention::forward(&settings, &segments, qkv, out.view_mut(), lse.view_mut())
        });
        // The backward pass reads these, whether or not the filter let the forward pass run.
        attention::forward(&settings, &segments, qkv, out.view_mut(), lse.view_mut())?;
        bench.time(&name("backward"), Work::Flops(10 * pairs), || {
            let [q, k, v] = qkv;
            let saved = attention::Saved { q, k, v, out: out.view(), lse: lse.view() };
            let gradients =
                attention::Gradients { dq: dq.view_mut(), dk: dk.view_mut(), dv: dv.view_mut() };
            attention::backward(&settings, &segments, saved, dout.view(), gradients)
        });
    }
    Ok(())
}

/// One new token of each of many sequences, over what the cache holds of them.
fn decoding(bench: &mut Bench<'_, '_>) -> Result<()> {
    let device = &bench.card.device;
    let [heads, kv_heads, width] = HEADS;
    let [k, v] = [1, 2].map(|seed| tensor(device, seed, &[CONTEXT, kv_heads, width]));
    let (k, v) = (k?, v?);
    let per = (CONTEXT / BLOCK) as u32;
    let blocks_of = |i: u32| (i * per..(i + 1) * per).collect::<Vec<u32>>();
    let settings = attention::Attention { scale: (width as f32).sqrt().recip(), window: None };
    for batch in [1, 16, 64, 256] {
        let count = batch * CONTEXT / BLOCK;
        let mut blocks = paged::Blocks::new(device, count, BLOCK, [kv_heads, width])?;
        for i in 0..batch as u32 {
            let all = paged::Segment { q: 0..CONTEXT, len: CONTEXT, blocks: blocks_of(i) };
            paged::append(&mut blocks, &vec![all].into(), k.view(), v.view())?;
        }
        let segment =
            |i: usize| paged::Segment { q: i..i + 1, len: CONTEXT, blocks: blocks_of(i as u32) };
        let segments = paged::Segments::from((0..batch).map(segment).collect::<Vec<_>>());
        let q = tensor(device, 3, &[batch, heads, width])?;
        let mut out = device.zeros_float(&[batch, heads, width])?;
        let mut lse = device.zeros_f32(&[batch, heads])?;
        let name = format!("decode attention, {batch} x {CONTEXT}");
        bench.time(&name, moved(2 * batch * CONTEXT * kv_heads * width), || {
            let (out, lse) = (out.view_mut(), lse.view_mut());
            paged::attention(&settings, &segments, q.view(), &blocks, out, lse)
        });
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Some(card) = Card::open()? else { return Ok(()) };
    let Card { name, copy_gbytes, gemm_tflops, .. } = &card;
    println!(
        "{}",
        serde_json::json!({
            "bench": "cuda_card", "gpu": name, "copy_gbytes_per_s": copy_gbytes,
            "gemm_tflops": gemm_tflops,
        })
    );
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
        .configure_from_args();
    measure(&card, &mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn measure(card: &Card, criterion: &mut Criterion) -> Result<()> {
    let mut bench = Bench { card, group: criterion.benchmark_group("cuda") };
    for ops in [norms, elementwise, optimizer, influence, attentions, decoding] {
        ops(&mut bench)?;
    }
    bench.group.finish();
    Ok(())
}
