//! Threads that do not fall asleep between ops, and what each of them keeps.

use std::{
    cell::Cell,
    hint,
    sync::atomic::{AtomicBool, Ordering},
    thread::LocalKey,
    time::{Duration, Instant},
};

use rayon::Yield;

/// How long a thread looks for work in vain. Not for ever: the thread may have something to finish that `f`
/// waits for, and do this while that waits in turn for a part that others took.
const PATIENCE: Duration = Duration::from_micros(200);

/// Runs `f` in the pool of the caller while the pool's other threads stay awake.
///
/// An op of a decode step takes tens of microseconds, and between two that run on several threads there
/// are some that run on one. A thread of rayon that finds no work for that long falls asleep, and waking
/// it takes as long again.
pub fn awake<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        if rayon::current_num_threads() > 1 {
            let (own, done) = (rayon::current_thread_index(), &done);
            // Not on the thread of `f`: what it waits for there would wait for it.
            scope.spawn_broadcast(move |_, context| {
                if Some(context.index()) != own {
                    work_until(done);
                }
            });
        }
        let _end = End(&done);
        f()
    })
}

/// Ends the waiting, also when `f` panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Does what other threads have to give until `done`, or until there has been nothing for a while.
fn work_until(done: &AtomicBool) {
    let mut since = Instant::now();
    while !done.load(Ordering::Acquire) && since.elapsed() < PATIENCE {
        match rayon::yield_now() {
            Some(Yield::Executed) => since = Instant::now(),
            _ => hint::spin_loop(),
        }
    }
}

/// Calls `f` with memory that a thread keeps from one call to the next. A thread that waits for others may
/// begin another such call meanwhile; that one finds nothing kept.
pub(crate) fn with_scratch<T: Default, R>(
    scratch: &'static LocalKey<Cell<T>>,
    f: impl FnOnce(&mut T) -> R,
) -> R {
    let mut values = scratch.take();
    let result = f(&mut values);
    scratch.set(values);
    result
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;
    use crate::testing::on_threads;

    #[test]
    fn work_is_done_on_any_number_of_threads_and_a_panic_ends_it() {
        for threads in [1, 2, 5] {
            on_threads(threads, || {
                let sum: u64 = awake(|| (0..1000u64).into_par_iter().map(|i| awake(|| i)).sum());
                assert_eq!(sum, 499_500);
                let panic = std::panic::catch_unwind(|| awake(|| panic!("for the test")));
                assert!(panic.is_err());
            });
        }
        assert_eq!(awake(|| 7), 7, "from outside of a pool");
    }
}
