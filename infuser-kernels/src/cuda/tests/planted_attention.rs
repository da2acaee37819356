//! Bugs put into attention, the cache and the head on purpose: every barrier and bound of theirs.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{
    planted::{Bug, assert_caught},
    *,
};

/// A replacement that makes `check` fail with these words; each is built in a folder of its own.
#[track_caller]
fn assert_needed(from: &'static str, to: &'static str, says: &'static str, check: fn(&Driver)) {
    static BUILDS: AtomicU32 = AtomicU32::new(0);
    let name = format!("attention-{}", BUILDS.fetch_add(1, Ordering::Relaxed)).leak();
    assert_caught(&Bug { name, from, to, says }, check);
}

/// Removes the barrier with this comment.
#[track_caller]
fn assert_barrier_needed(comment: &'static str, says: &'static str, check: fn(&Driver)) {
    let barrier = format!("__syncthreads();  // {comment}").leak();
    assert_needed(barrier, "//", says, check);
}

#[test]
fn every_barrier_of_the_forward_pass_is_needed() {
    for barrier in [
        "the queries are there; each",
        "all queries are taken; the first",
        "these keys are there; the",
        "these values are there; the",
    ] {
        assert_barrier_needed(barrier, "first mismatch", attention::check_forward);
    }
}

#[test]
fn every_barrier_of_the_backward_pass_is_needed() {
    for (barrier, says) in [
        ("keys and values, and the first time queries, are", "dq: first mismatch"),
        ("keys and values are used up", "dq: first mismatch"),
        ("queries and slopes, and the first time keys, are", "first mismatch"),
        ("queries and slopes are used up", "first mismatch"),
    ] {
        assert_barrier_needed(barrier, says, attention::check_backward);
    }
}

#[test]
fn the_barriers_of_cache_and_head_are_needed() {
    assert_barrier_needed("every warp's part is written", "out: first mismatch", paged::check);
    assert_barrier_needed("every warp's sums are there; thread", "first mismatch", head::check);
}

#[test]
fn a_wrong_mask_is_caught() {
    let (causal, window) = ("return key <= query", "query - key < window");
    assert_needed(causal, "return key < query", "first mismatch", attention::check_forward);
    let to = "query - key <= window";
    assert_needed(window, to, "first mismatch", attention::check_forward);
    assert_needed(window, to, "first mismatch", attention::check_backward);
    let (from, to) = ("key < visit.end", "key <= visit.end");
    assert_needed(from, to, "first mismatch", attention::check_backward);
    let (from, to) = ("i >= skip", "i + 1 >= skip");
    assert_needed(from, to, "first mismatch", paged::check);
}

#[test]
fn a_part_too_few_is_caught() {
    let (from, to) = ("split < span.count; split++", "split + 1 < span.count; split++");
    assert_needed(from, to, "out: first mismatch", paged::check);
    let (from, to) = ("target - first < columns", "target - first + 1 < columns");
    assert_needed(from, to, "logp: first mismatch", head::check);
}

#[test]
fn a_copy_that_is_not_waited_for_is_caught() {
    let from = "await_copies();\n        __syncthreads();  // these keys";
    let to = "__syncthreads();  // these keys";
    assert_needed(from, to, "first mismatch", attention::check_forward);
    let from = "    await_copies();\n    write_rows(";
    let to = "    write_rows(";
    assert_needed(from, to, "of its copies", attention::check_forward);
}
