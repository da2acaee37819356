//! Bugs put into the sources on purpose: each must be caught by the test that watches for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{rmsnorm::*, *};
use crate::cuda::Source;

/// A replacement in the sources, and what the failure must say: caught for another reason is missed.
pub(super) struct Bug {
    pub(super) name: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) says: &'static str,
}

/// What `check` fails with in each order, on kernels of some of the sources, or of all if there are none.
fn failures(bug: &Bug, only: Vec<Source>, check: fn(&Driver)) -> Vec<String> {
    let planted = Some((bug.from, bug.to));
    let emulator = build(bug.name, &Build { planted, only, ..Build::default() }).unwrap();
    let failure = |order| {
        let driver = Driver::simt(emulator.in_order(order));
        let failure = catch_unwind(AssertUnwindSafe(|| check(&driver))).err()?;
        Some(failure.downcast_ref::<String>().cloned().unwrap_or_default())
    };
    ORDERS.into_iter().filter_map(failure).collect()
}

/// Asserts that `check` fails in some order, and says why.
#[track_caller]
pub(super) fn assert_caught(bug: &Bug, check: fn(&Driver)) {
    // Compiling takes longer than any check: first only the source that the bug stands in and the second
    // stages of sums, then, if it stands in a header or the check needs more, everything.
    let source = Source::ALL.into_iter().find(|source| source.text().contains(bug.from));
    let few = source.map(|source| failures(bug, vec![source, Source::Columns], check));
    let enough = |all: &Vec<String>| !all.iter().any(|one| one.contains("no kernel named"));
    let failures = few.filter(enough).unwrap_or_else(|| failures(bug, Vec::new(), check));
    let found = failures.iter().any(|failure| failure.contains(bug.says));
    assert!(found, "{}: not caught as such: {failures:?}", bug.name);
}

#[test]
fn a_removed_barrier_is_caught() {
    let barrier = "__syncthreads();  // all stripes are written";
    let says = "dw: first mismatch";
    assert_caught(
        &Bug { name: "barrier", from: barrier, to: "// all stripes are written", says },
        check_backward_weight,
    );
}

#[test]
fn a_bound_that_is_one_too_low_is_caught() {
    let (from, to) = ("row < end; row += STRIPES) {", "row + 1 < end; row += STRIPES) {");
    let says = "dw: first mismatch";
    assert_caught(&Bug { name: "bound", from, to, says }, check_backward_weight);
}

#[test]
fn swapped_arguments_are_caught() {
    let from = "backward_row<8>(dy + at, x + at,";
    let says = "dx: first mismatch";
    assert_caught(
        &Bug { name: "swap", from, to: "backward_row<8>(x + at, dy + at,", says },
        check_backward,
    );
}

#[test]
fn swapped_parameters_of_another_type_are_refused() {
    let from = "const bf16* x, const float* rstd, float* partial";
    let to = "const float* rstd, const bf16* x, float* partial";
    let says = "takes (bfbFiii), got (bbfFiii)";
    assert_caught(&Bug { name: "types", from, to, says }, check_backward_weight);
}

#[test]
fn a_barrier_that_not_all_threads_reach_is_caught() {
    let from = "    __syncthreads();  // all stripes";
    let to =
        "    if (stripe == 0)\n        __syncthreads();\n    else\n        __syncthreads(); //";
    let says = "while others wait in the one at line";
    assert_caught(&Bug { name: "divergent", from, to, says }, check_backward_weight);
}

#[test]
fn a_reduction_without_one_step_is_caught() {
    let says = "y: first mismatch";
    assert_caught(
        &Bug {
            name: "butterfly",
            from: "lanes = 16; lanes; lanes >>= 1) x +=",
            to: "lanes = 8; lanes; lanes >>= 1) x +=",
            says,
        },
        check_forward,
    );
}

#[test]
fn removed_barriers_of_the_stages_of_a_sum_are_caught() {
    let line = "__syncthreads();  // the sums of all stripes";
    let bug = Bug { name: "columns", from: line, to: "//", says: "dbias: first mismatch" };
    assert_caught(&bug, bias::check_backward);
    let line = "__syncthreads();  // every stripe is summed";
    let bug = Bug { name: "columns64", from: line, to: "//", says: "total: mismatch" };
    assert_caught(&bug, optimizer::check_norm);
    let line = "__syncthreads();  // every warp's sum is there";
    let bug = Bug { name: "block_sum", from: line, to: "//", says: "total: mismatch" };
    assert_caught(&bug, optimizer::check_norm);
}

#[test]
fn a_chunk_that_ends_one_turn_early_is_caught() {
    let (from, to) = ("turn < TURNS; turn++", "turn + 1 < TURNS; turn++");
    let bug = Bug { name: "turn", from, to, says: "total: mismatch" };
    assert_caught(&bug, optimizer::check_norm);
}

#[test]
fn moments_that_are_swapped_are_caught() {
    let from = "m = load<N>(exp_avg), v = load<N>(exp_avg_sq);";
    let to = "m = load<N>(exp_avg_sq), v = load<N>(exp_avg);";
    let bug = Bug { name: "moments", from, to, says: "weight: first mismatch" };
    assert_caught(&bug, optimizer::check_steps);
}

#[test]
fn a_token_that_is_added_twice_is_caught() {
    let (from, to) = ("widen(dout[u64(order[i])", "widen(dout[u64(order[i - (i > 0)])");
    let bug = Bug { name: "twice", from, to, says: "dtable: first mismatch" };
    assert_caught(&bug, embedding::check);
}

#[test]
fn bugs_in_the_influence_pass_are_caught() {
    let barrier = "cannot write over them.\n        __syncthreads();";
    let bugs = [
        ("influence-barrier", barrier, "\n", "gradient_sq: mismatch"),
        (
            "influence-half",
            "warps[q % 2][warp][kind] = total;",
            "warps[0][warp][kind] = total;",
            "gradient_sq: mismatch",
        ),
        (
            "influence-tail",
            "at + i < count ? x[at + i]",
            "at + i + 1 < count ? x[at + i]",
            "gradient_sq: mismatch",
        ),
    ];
    for (name, from, to, says) in &bugs {
        assert_caught(&Bug { name, from, to, says }, influence::check);
    }
    let (from, to) =
        ("double gradient = g.at[i], target = m", "double target = g.at[i], gradient = m");
    assert_caught(
        &Bug { name: "roles", from, to, says: "gradient_sq: mismatch" },
        influence::check,
    );
    let (from, to) = ("0x1p80f : 1.0f", "1.0f : 1.0f");
    let bug = Bug { name: "denormals", from, to, says: "gamma_sq: mismatch" };
    assert_caught(&bug, influence::check_scales);
}

#[test]
fn bugs_in_the_rows_of_questions_are_caught() {
    let bugs = [
        (
            "rows-range",
            "ranges[2 * range]; t < ranges[2 * range + 1]; t++",
            "ranges[2 * range] + 1; t < ranges[2 * range + 1]; t++",
            "rows: first mismatch",
        ),
        (
            "rows-clear",
            "ranges[2 * range] + threadIdx.x; t <",
            "ranges[2 * range] + threadIdx.x; t + 1 <",
            "dy: first mismatch",
        ),
        (
            "rows-own",
            "row = u64(ids[blockIdx.x]) * width",
            "row = u64(ids[0]) * width",
            "dot: mismatch",
        ),
    ];
    for (name, from, to, says) in bugs {
        // All sources: the check runs kernels of two of them.
        assert_caught(&Bug { name, from, to, says }, question_rows::check);
    }
}

#[test]
fn bugs_in_advantages_are_caught() {
    let says = "out: first mismatch";
    let bugs = [
        // The next sum overwrites what another warp has not read yet.
        ("block_sum-2", "__syncthreads();  // every thread has read them", "//"),
        ("biased", "squares / double(end - begin - 1)", "squares / double(end - begin)"),
        ("diluted", "if (moments[2 * group + 1] > 0.0) {", "{"),
    ];
    for (name, from, to) in bugs {
        assert_caught(&Bug { name, from, to, says }, advantage::check);
    }
    // Lanes that disagree whether a group varies part ways at the next sum of the warp.
    let (from, to) = ("bool varies = warp_sum(others) > 0.0;", "bool varies = others > 0.0;");
    let says = "but lane 1 is at line";
    assert_caught(&Bug { name: "equal", from, to, says }, advantage::check);
}

/// The others, which results do not always show, are in `sanitized.rs`.
#[test]
fn removed_barriers_of_the_sampler_are_caught() {
    let barriers = [
        "what was seen is written again",
        "every warp's largest is there",
        "all chunks are summed",
        "the bins are empty",
        "the bins are full",
        "the bin where the mass is reached",
        "every warp's total is there",
    ];
    for barrier in barriers {
        let from: &str = format!("__syncthreads();  // {barrier}").leak();
        assert_caught(&Bug { name: "sample", from, to: "//", says: "" }, sample::check_penalty);
    }
}

#[test]
fn bugs_in_the_sampler_are_caught() {
    let bugs = [
        ("ties", "id <= cut.id", "id < cut.id"),
        ("order", "bits >> 31 ? ~bits", "bits >> 31 ? bits"),
        ("least", "p(id) >= least", "p(id) > least"),
        ("philox", "0x9e3779b9u", "0x9e3779b8u"),
        ("passed", "if (!passed && target < here)", "if (!passed && target <= here)"),
        ("mass", "room.bins[bin] < left", "room.bins[bin] <= left"),
    ];
    for (name, from, to) in bugs {
        assert_caught(&Bug { name, from, to, says: "tokens of" }, sample::check);
    }
}
