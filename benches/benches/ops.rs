//! One benchmark an op, on shapes of the benchmark model. Each prints GFLOP/s or GB/s and what share
//! that is of the rates this machine reached just before: its GEMM, or its copy.
//!
//! Run with `cargo bench -p infuser-benches`; a name after `--` picks some.

use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, Throughput,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use infuser_benches::machine::Machine;
use infuser_kernels::{
    Buffer, Device, Write,
    ops::{adamw, attention, embedding, grad_norm, head, influence, matmul, rmsnorm, rope, swiglu},
    testing::normal_values,
};

/// Packed tokens, width, feed-forward width, vocabulary of the benchmark model.
const T: usize = 4096;
const D: usize = 256;
const F: usize = 1536;
const V: usize = 4096;
/// Heads, key heads, head width.
const HEADS: [usize; 3] = [4, 2, 64];
/// Elements for optimizer-like ops.
const N: usize = 1 << 22;

/// Wall time, with throughput shown against the machine's own: `Elements` are floating-point
/// operations, `Bytes` are bytes moved.
struct AgainstMachine {
    time: WallTime,
    formatter: Rates,
}

struct Rates {
    machine: Machine,
}

impl Measurement for AgainstMachine {
    type Intermediate = <WallTime as Measurement>::Intermediate;
    type Value = Duration;

    fn start(&self) -> Self::Intermediate {
        self.time.start()
    }

    fn end(&self, i: Self::Intermediate) -> Duration {
        self.time.end(i)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &self.formatter
    }
}

impl ValueFormatter for Rates {
    fn format_throughput(&self, throughput: &Throughput, nanos: f64) -> String {
        let Machine { gemm_gflops, copy_gbytes, .. } = self.machine;
        match throughput {
            Throughput::Elements(flops) => {
                let rate = *flops as f64 / nanos;
                format!("{rate:.1} GFLOP/s ({:.0} % of GEMM)", 100.0 * rate / gemm_gflops)
            }
            Throughput::Bytes(bytes) => {
                let rate = *bytes as f64 / nanos;
                format!("{rate:.1} GB/s ({:.0} % of copy)", 100.0 * rate / copy_gbytes)
            }
            _ => String::new(),
        }
    }

    fn scale_values(&self, _typical: f64, values: &mut [f64]) -> &'static str {
        values.iter_mut().for_each(|nanos| *nanos /= 1e6);
        "ms"
    }

    fn scale_throughputs(
        &self,
        _typical: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        let (count, unit) = match throughput {
            Throughput::Elements(flops) => (*flops as f64, "GFLOP/s"),
            Throughput::Bytes(bytes) => (*bytes as f64, "GB/s"),
            _ => (1.0, "per ns"),
        };
        values.iter_mut().for_each(|nanos| *nanos = count / *nanos);
        unit
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "ns"
    }
}

type Group<'a> = BenchmarkGroup<'a, AgainstMachine>;

fn tensor(seed: u64, axes: &[usize]) -> Buffer {
    let values = normal_values(seed, axes.iter().product());
    Device::Cpu.upload_f32(values, axes).expect("memory")
}

fn zeros(axes: &[usize]) -> Buffer {
    Device::Cpu.zeros_f32(axes).expect("memory")
}

/// Times `f`, which must not fail.
fn time(
    group: &mut Group<'_>,
    name: &str,
    throughput: Throughput,
    mut f: impl FnMut() -> infuser_kernels::Result<()>,
) {
    group.throughput(throughput);
    group.bench_function(name, |bencher| bencher.iter(|| f().expect("shapes fit")));
}

fn flops(count: usize) -> Throughput {
    Throughput::Elements(count as u64)
}

/// Bytes of so many f32 read or written.
fn moved(floats: usize) -> Throughput {
    Throughput::Bytes(4 * floats as u64)
}

fn products(group: &mut Group<'_>) {
    let set = Write::Overwrite;
    for (name, m, n, k) in [
        ("up", T, F, D),
        ("down", T, D, F),
        ("query", T, D, D),
        ("32 rows", 32, F, D),
        ("12 rows", 12, F, D),
        ("1 row", 1, F, D),
    ] {
        let (x, w, mut y) = (tensor(1, &[m, k]), tensor(2, &[n, k]), zeros(&[m, n]));
        let (mut dx, mut dw) = (zeros(&[m, k]), zeros(&[n, k]));
        let work = flops(2 * m * n * k);
        if m < T {
            // A weight that stays in the cache, and so many in turn that each comes from memory.
            for (count, place) in [(1, ""), (48, " from memory")] {
                let weights: Vec<_> =
                    (0..count).map(|_| matmul::Packed::new(w.view()).expect("memory")).collect();
                let mut turns = weights.iter().cycle();
                time(group, &format!("matmul nt packed {name}{place}"), work.clone(), || {
                    let w = turns.next().expect("one weight at least");
                    matmul::nt_packed(x.view(), w, y.view_mut(), set)
                });
            }
        } else {
            time(group, &format!("matmul nt {name}"), work.clone(), || {
                matmul::nt(x.view(), w.view(), y.view_mut(), set)
            });
            time(group, &format!("matmul nn {name}"), work.clone(), || {
                matmul::nn(y.view(), w.view(), dx.view_mut(), set)
            });
            time(group, &format!("matmul tn {name}"), work, || {
                matmul::tn(y.view(), x.view(), dw.view_mut(), Write::Add)
            });
        }
    }
}

fn attentions(group: &mut Group<'_>) {
    let [heads, kv_heads, width] = HEADS;
    let [q, dout] = [1, 4].map(|seed| tensor(seed, &[T, heads, width]));
    let [k, v] = [2, 3].map(|seed| tensor(seed, &[T, kv_heads, width]));
    let [mut out, mut dq] = [(); 2].map(|()| zeros(&[T, heads, width]));
    let [mut dk, mut dv] = [(); 2].map(|()| zeros(&[T, kv_heads, width]));
    let mut lse = zeros(&[T, heads]);
    let list: Vec<attention::Segment> =
        (0..16).map(|i| attention::Segment::causal(i * 256..(i + 1) * 256)).collect();
    let segments = attention::Segments::from(list);
    let settings = attention::Attention { scale: 0.125, window: None };
    let pairs = 16 * 256 * 257 / 2 * heads * width;
    let qkv = [q.view(), k.view(), v.view()];
    time(group, "attention forward, 16 x 256", flops(4 * pairs), || {
        attention::forward(&settings, &segments, qkv, out.view_mut(), lse.view_mut())
    });
    time(group, "attention backward, 16 x 256", flops(10 * pairs), || {
        let saved = attention::Saved {
            q: q.view(),
            k: k.view(),
            v: v.view(),
            out: out.view(),
            lse: lse.view(),
        };
        let gradients =
            attention::Gradients { dq: dq.view_mut(), dk: dk.view_mut(), dv: dv.view_mut() };
        attention::backward(&settings, &segments, saved, dout.view(), gradients)
    });
}

fn heads(group: &mut Group<'_>) {
    let (x, weight) = (tensor(1, &[T, D]), tensor(2, &[V, D]));
    let targets = Device::Cpu.upload_u32((0..T as u32).collect()).expect("memory");
    let [mut logp, mut entropy, mut lse] = [(); 3].map(|()| zeros(&[T]));
    let (dlogp, mut dx, mut dw) = (tensor(3, &[T]), zeros(&[T, D]), zeros(&[V, D]));
    let head = head::Head {
        x: x.view(),
        weight: weight.view(),
        targets: targets.view(),
        temperature: 1.0,
    };
    time(group, "head forward", flops(2 * T * V * D), || {
        let outputs = head::Outputs {
            logp: logp.view_mut(),
            entropy: entropy.view_mut(),
            lse: lse.view_mut(),
        };
        head::forward(&head, outputs)
    });
    time(group, "head backward (logits again)", flops(6 * T * V * D), || {
        let upstream = head::Upstream {
            lse: lse.view(),
            entropy: entropy.view(),
            dlogp: dlogp.view(),
            dentropy: None,
        };
        head::backward(&head, &upstream, dx.view_mut(), Some(dw.view_mut()))
    });
}

fn elementwise(group: &mut Group<'_>) {
    let (x, w, dy) = (tensor(1, &[T, D]), tensor(2, &[D]), tensor(3, &[T, D]));
    let (mut y, mut dx, mut dw, mut rstd) =
        (zeros(&[T, D]), zeros(&[T, D]), zeros(&[D]), zeros(&[T]));
    time(group, "rmsnorm forward", moved(2 * T * D), || {
        rmsnorm::forward(x.view(), w.view(), 1e-6, y.view_mut(), rstd.view_mut())
    });
    time(group, "rmsnorm backward", moved(3 * T * D), || {
        let out = dx.view_mut();
        rmsnorm::backward(dy.view(), x.view(), w.view(), rstd.view(), out, Write::Overwrite)
    });
    time(group, "rmsnorm backward weight", moved(2 * T * D), || {
        rmsnorm::backward_weight(dy.view(), x.view(), rstd.view(), dw.view_mut())
    });
    let [gate, up, dout] = [1, 2, 3].map(|seed| tensor(seed, &[T, F]));
    let [mut hidden, mut dgate, mut dup] = [(); 3].map(|()| zeros(&[T, F]));
    time(group, "swiglu forward", moved(3 * T * F), || {
        swiglu::forward(gate.view(), up.view(), hidden.view_mut())
    });
    time(group, "swiglu backward", moved(5 * T * F), || {
        let outputs = (dgate.view_mut(), dup.view_mut());
        swiglu::backward(dout.view(), gate.view(), up.view(), outputs.0, outputs.1)
    });
    let frequencies = rope::inverse_frequencies(1e6, HEADS[2], &rope::Scaling::None);
    let tables = rope::tables(&Device::Cpu, &frequencies, 1.0, 256).expect("memory");
    let positions =
        Device::Cpu.upload_u32((0..T as u32).map(|t| t % 256).collect()).expect("memory");
    let mut q = tensor(1, &[T, HEADS[0], HEADS[2]]);
    time(group, "rope", moved(2 * T * HEADS[0] * HEADS[2]), || {
        rope::apply(q.view_mut(), positions.view(), &tables, rope::Direction::Forward)
    });
    let ids = Device::Cpu
        .upload_u32((0..T as u32).map(|t| t * 7919 % V as u32).collect())
        .expect("memory");
    let (mut table, mut rows) = (tensor(1, &[V, D]), zeros(&[T, D]));
    time(group, "embedding gather", moved(2 * T * D), || {
        embedding::gather(table.view(), ids.view(), rows.view_mut())
    });
    time(group, "embedding scatter_add", moved(3 * T * D), || {
        embedding::scatter_add(rows.view(), ids.view(), table.view_mut())
    });
}

fn optimizers(group: &mut Group<'_>) {
    let gradient = tensor(1, &[N]);
    let [mut weight, mut exp_avg, mut exp_avg_sq] = [(); 3].map(|()| zeros(&[N]));
    let hyper = adamw::AdamW {
        learning_rate: 1e-4,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
    };
    time(group, "adamw", moved(7 * N), || {
        let state = adamw::State {
            weight: weight.view_mut(),
            exp_avg: exp_avg.view_mut(),
            exp_avg_sq: exp_avg_sq.view_mut(),
            rounded: None,
        };
        adamw::step(&hyper, 10, 1.0, gradient.view(), state)
    });
    time(group, "grad_norm", moved(N), || grad_norm::sum_of_squares(&[gradient.view()]).map(drop));
    let preconditioner = influence::Preconditioner { beta2: 0.999, epsilon: 1e-8, step: 10 };
    time(group, "influence sums", moved(3 * N), || {
        let (v, target) = (Some(exp_avg_sq.view()), weight.view());
        influence::sums(gradient.view(), v, target, &preconditioner).map(|_| ())
    });
}

fn main() {
    let machine = Machine::measure();
    println!(
        "this machine, {} threads: GEMM {:.0} GFLOP/s, copy {:.1} GB/s (read and written)",
        rayon::current_num_threads(),
        machine.gemm_gflops,
        machine.copy_gbytes
    );
    let measurement = AgainstMachine { time: WallTime, formatter: Rates { machine } };
    let mut criterion = Criterion::default()
        .with_measurement(measurement)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
        .configure_from_args();
    let mut group = criterion.benchmark_group("ops");
    products(&mut group);
    attentions(&mut group);
    heads(&mut group);
    elementwise(&mut group);
    optimizers(&mut group);
    group.finish();
    criterion.final_summary();
}
