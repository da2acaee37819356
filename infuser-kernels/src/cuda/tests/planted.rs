//! Bugs put into the sources on purpose: each must be caught by the test that watches for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{rmsnorm::*, *};

/// A replacement in the sources, and what the failure must say: caught for another reason is missed.
pub(super) struct Bug {
    pub(super) name: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) says: &'static str,
}

/// What `check` fails with, if it fails in some order.
#[track_caller]
pub(super) fn assert_caught(bug: &Bug, check: fn(&Driver)) {
    let planted = Some((bug.from, bug.to));
    let emulator = build(bug.name, &Build { sanitizer: None, planted }).unwrap();
    let failures: Vec<String> = ORDERS
        .into_iter()
        .filter_map(|order| {
            let driver = Driver::Simt(Arc::new(emulator.in_order(order)));
            let failure = catch_unwind(AssertUnwindSafe(|| check(&driver))).err()?;
            Some(failure.downcast_ref::<String>().cloned().unwrap_or_default())
        })
        .collect();
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
    let (from, to) = ("row < end; row += STRIPES", "row + 1 < end; row += STRIPES");
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
        &Bug { name: "butterfly", from: "lanes = 16; lanes;", to: "lanes = 8; lanes;", says },
        check_forward,
    );
}
