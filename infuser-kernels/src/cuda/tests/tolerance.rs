//! How far a kernel may be from the CPU op: one row an output, with its reason. Rendered to
//! `benches/results/cuda-tolerances.md`, which a test holds to this table.

use std::{fmt::Write as _, fs};

use super::*;
use crate::{
    cuda::Kernel,
    testing::{Tolerance, assert_close, widen},
};

/// What an element may differ by: `absolute + of_largest · max|want| + relative · |want|`; all zero is
/// equality to the bit.
#[derive(Debug, Clone, Copy)]
struct Bound {
    dtype: &'static str,
    absolute: f64,
    of_largest: f64,
    relative: f64,
}

/// One output of a kernel, and why its bound is what it is.
struct Row(Kernel, &'static str, Bound, &'static str);

/// The CPU op computes in f32 and its result is rounded to bf16 once: 2⁻⁹ of the value, doubled for a
/// sum that falls on the other side of a tie.
const ROUNDED: Bound =
    Bound { dtype: "bf16", absolute: 1e-5, of_largest: 0.0, relative: 1.0 / 256.0 };
/// The same bits, as bf16.
const SAME_BF16: Bound = Bound { dtype: "bf16", absolute: 0.0, of_largest: 0.0, relative: 0.0 };

/// The same bits, as f32.
const SAME_F32: Bound = f32_within(0.0, 0.0, 0.0);

/// A result of f32.
const fn f32_within(absolute: f64, of_largest: f64, relative: f64) -> Bound {
    Bound { dtype: "f32", absolute, of_largest, relative }
}

const ROWS: &[Row] = &[
    Row(
        Kernel::AdamWBf16,
        "rounded",
        SAME_BF16,
        "the f32 weight of the same step, rounded to nearest even",
    ),
    Row(
        Kernel::AdamWF32,
        "weight, exp_avg, exp_avg_sq",
        f32_within(1e-7, 0.0, 2e-6),
        "a few roundings a step, and the GPU may fuse a product with a sum",
    ),
    Row(Kernel::AddBf16, "out", SAME_BF16, "one addition, one rounding"),
    Row(Kernel::AddF32, "out", SAME_F32, "one addition"),
    Row(
        Kernel::AdvantageApply,
        "out",
        f32_within(0.0, 0.0, 2e-7),
        "f64 sums in another order, one rounding to f32",
    ),
    Row(Kernel::BiasForward, "y", SAME_BF16, "one addition, one rounding"),
    Row(Kernel::CastNarrow, "y", SAME_BF16, "one rounding, to nearest even"),
    Row(Kernel::CastWiden, "y", SAME_F32, "exact"),
    Row(
        Kernel::ColumnsSum,
        "dbias",
        f32_within(1e-3, 0.0, 2e-5),
        "hundreds of terms, outliers of 20 and more among them, may cancel to nearly nothing",
    ),
    Row(Kernel::EmbeddingForward, "out", SAME_BF16, "a copy"),
    Row(Kernel::EmbeddingBackward, "dtable", SAME_F32, "the additions of the CPU op, in its order"),
    Row(Kernel::FillBf16, "x", SAME_BF16, "one rounding, to nearest even"),
    Row(Kernel::FillF32, "x", SAME_F32, "exact"),
    Row(
        Kernel::GradNorm,
        "total",
        Bound { dtype: "f64", absolute: 0.0, of_largest: 1e-13, relative: 0.0 },
        "exact squares, f64 sums in another order",
    ),
    Row(
        Kernel::InfluenceRows,
        "dot, gradient_sq",
        Bound { dtype: "f64", absolute: 0.0, of_largest: 1e-12, relative: 0.0 },
        "exact products, f64 sums in another order; of the norms behind the sum",
    ),
    Row(
        Kernel::InfluenceRows,
        "gamma_dot, gamma_sq",
        Bound { dtype: "f64", absolute: 0.0, of_largest: 1e-6, relative: 0.0 },
        "Γ is an f32 after six roundings; of the norms behind the sum",
    ),
    Row(
        Kernel::InfluenceSums,
        "dot, gradient_sq",
        Bound { dtype: "f64", absolute: 0.0, of_largest: 1e-12, relative: 0.0 },
        "exact products, f64 sums in another order; of the norms behind the sum",
    ),
    Row(
        Kernel::InfluenceSums,
        "gamma_dot, gamma_sq",
        Bound { dtype: "f64", absolute: 0.0, of_largest: 1e-6, relative: 0.0 },
        "Γ is an f32 after six roundings; of the norms behind the sum",
    ),
    Row(Kernel::QuestionRowsClear, "dy", SAME_BF16, "a zero or what was there"),
    Row(
        Kernel::QuestionRowsTake,
        "rows",
        SAME_F32,
        "exact products, the additions of the CPU op in its order",
    ),
    Row(
        Kernel::AttentionBackwardKv64,
        "dk, dv",
        Bound { absolute: 1e-5, of_largest: 1.0 / 256.0, ..ROUNDED },
        "p and ds are rounded to bf16 before their products",
    ),
    Row(
        Kernel::AttentionBackwardQ64,
        "dq",
        Bound { absolute: 1e-5, of_largest: 1.0 / 256.0, ..ROUNDED },
        "as dk",
    ),
    Row(
        Kernel::AttentionForward64,
        "out",
        Bound { absolute: 1e-5, of_largest: 1.0 / 512.0, ..ROUNDED },
        "each weight is rounded to bf16 before the product, and an output is at most the largest value",
    ),
    Row(
        Kernel::AttentionForward64,
        "lse",
        f32_within(1e-5, 0.0, 2e-6),
        "a sum of powers of two in parts",
    ),
    Row(
        Kernel::HeadBackwardTile,
        "dlogits",
        ROUNDED,
        "one rounding to bf16; p carries the roundings of a log-sum-exp of tens",
    ),
    Row(
        Kernel::HeadForwardTile,
        "logp, entropy, lse",
        f32_within(2e-5, 0.0, 2e-6),
        "sums of hundreds of powers in tiles; the entropy is a difference of two of them",
    ),
    Row(Kernel::KvAppend, "k, v", SAME_BF16, "a copy"),
    Row(Kernel::KvCopy, "k, v", SAME_BF16, "a copy"),
    Row(
        Kernel::PagedAttention64,
        "out",
        Bound { absolute: 1e-5, of_largest: 2e-5, ..ROUNDED },
        "scores reach 200 with outliers, and e^z carries their 200 roundings; one rounding to bf16",
    ),
    Row(
        Kernel::PagedAttention64,
        "lse",
        f32_within(1e-5, 0.0, 2e-6),
        "a sum of powers of two in parts",
    ),
    Row(
        Kernel::RmsNormForward,
        "y",
        ROUNDED,
        "one rounding to bf16, which may fall on the other side of a tie",
    ),
    Row(
        Kernel::RmsNormForward,
        "rstd",
        f32_within(0.0, 0.0, 2e-5),
        "a sum of hundreds of squares in another order",
    ),
    Row(Kernel::RmsNormForwardAdd, "sum", SAME_BF16, "one addition, one rounding"),
    Row(
        Kernel::RmsNormBackward,
        "dx",
        Bound { absolute: 1e-6, of_largest: 1e-6, ..ROUNDED },
        "`r³ x mean(…)` cancels against `r dy w`, and the sum behind the mean rounds as its largest terms do",
    ),
    Row(
        Kernel::RmsNormBackwardWeight,
        "dw",
        f32_within(2e-4, 0.0, 2e-5),
        "terms reach 20 · 20 · 4, and a sum of hundreds of both signs is as wrong as its terms",
    ),
    Row(
        Kernel::Rope,
        "x",
        ROUNDED,
        "one rounding to bf16; the GPU may fuse a product with the sum",
    ),
    Row(
        Kernel::Sample,
        "logp, raw_logp, entropy",
        f32_within(2e-5, 0.0, 2e-6),
        "sums over the vocabulary, in f64 here and in f32 there; tokens are compared as such",
    ),
    Row(Kernel::Scale, "x", SAME_F32, "one product"),
    Row(
        Kernel::SwigluForward,
        "out",
        ROUNDED,
        "one rounding to bf16; below a gate of −80 exponentials are denormal or zero, each in its own way",
    ),
    Row(Kernel::SwigluBackward, "dgate, dup", ROUNDED, "as forward"),
];

/// Kernels whose outputs are held by a row of another one: the second stage of a sum, or the same
/// formula with another input.
const COVERED: &[(Kernel, Kernel)] = &[
    (Kernel::AdvantageMoments, Kernel::AdvantageApply),
    (Kernel::AdvantageShared, Kernel::AdvantageApply),
    (Kernel::AttentionBackwardDot, Kernel::AttentionBackwardQ64),
    (Kernel::AttentionBackwardKv128, Kernel::AttentionBackwardKv64),
    (Kernel::AttentionBackwardQ128, Kernel::AttentionBackwardQ64),
    (Kernel::AttentionForward128, Kernel::AttentionForward64),
    (Kernel::HeadForwardFinish, Kernel::HeadForwardTile),
    (Kernel::PagedAttention128, Kernel::PagedAttention64),
    (Kernel::PagedCombine, Kernel::PagedAttention64),
    (Kernel::ColumnsAdd, Kernel::RmsNormBackwardWeight),
    (Kernel::ColumnsAddF64, Kernel::GradNorm),
    (Kernel::RmsNormForwardAdd, Kernel::RmsNormForward),
];

/// Asserts that an output of a kernel is what the CPU op says, within its row of the table.
#[track_caller]
pub(super) fn check(kernel: Kernel, output: &str, got: &[f32], want: &[f32]) {
    check_scaled(kernel, output, got, want, 1.0);
}

/// [`check`] for the sum of `times` results of the kernel.
#[track_caller]
pub(super) fn check_scaled(kernel: Kernel, output: &str, got: &[f32], want: &[f32], times: f64) {
    let bound = bound(kernel, output);
    let size = |most: f32, x: &f32| if x.is_finite() { most.max(x.abs()) } else { most };
    let largest = f64::from(want.iter().fold(0.0, size));
    let absolute = times * bound.absolute + bound.of_largest * largest;
    assert_close(output, got, &widen(want), Tolerance { absolute, relative: bound.relative });
}

/// [`check`] for f64; `largest` is what the sum is made of.
#[track_caller]
pub(super) fn check_f64(kernel: Kernel, output: &str, got: &[f64], want: &[f64], largest: f64) {
    let bound = bound(kernel, output);
    assert_eq!(got.len(), want.len(), "{output}: length");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let most = bound.absolute + bound.of_largest * largest + bound.relative * want.abs();
        let close = got == want || (got - want).abs() <= most;
        assert!(close, "{output}: mismatch [{i}] got {got:e} want {want:e} within {most:e}");
    }
}

fn bound(kernel: Kernel, output: &str) -> &'static Bound {
    let named = |row: &&Row| row.0 == kernel && row.1.split(", ").any(|name| name == output);
    let row = ROWS.iter().find(named);
    &row.unwrap_or_else(|| panic!("{} has no tolerance for {output}", kernel.symbol())).2
}

fn render() -> String {
    let mut text = String::from(
        "# How far each CUDA kernel may be from the CPU op\n\n\
         Written by `INFUSER_BLESS=1 cargo test -p infuser-kernels tolerance`; every test of a kernel takes\n\
         its bound from here. An element passes within absolute + share of the largest expected + relative;\n\
         three zeros are equality to the bit.\n\n\
         | kernel | output | dtype | absolute | of the largest | relative | reason |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Row(kernel, output, bound, reason) in ROWS {
        let symbol = kernel.symbol();
        let Bound { dtype, absolute, of_largest, relative } = bound;
        let cells = format!("{absolute:.0e} | {of_largest:.0e} | {relative:.1e}");
        writeln!(text, "| {symbol} | {output} | {dtype} | {cells} | {reason} |").unwrap();
    }
    for (kernel, by) in COVERED {
        writeln!(text, "| {} | | | | | | as {} |", kernel.symbol(), by.symbol()).unwrap();
    }
    text
}

#[test]
fn the_tolerance_table_in_the_repository_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/results/cuda-tolerances.md");
    if env::var("INFUSER_BLESS").is_ok_and(|value| value == "1") {
        fs::write(path, render()).unwrap();
    }
    let stored = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(stored, render(), "write it anew with INFUSER_BLESS=1");
}

#[test]
fn every_kernel_has_a_tolerance() {
    for kernel in Kernel::ALL {
        let held = |kernel| ROWS.iter().any(|row| row.0 == kernel);
        let covered = COVERED.iter().any(|(of, by)| *of == kernel && held(*by));
        assert!(held(kernel) || covered, "{} has no tolerance", kernel.symbol());
    }
}
