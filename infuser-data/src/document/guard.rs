//! Runs a decoder that is not ours on a thread of its own: with a stack that is large enough for
//! deeply nested input, and with a panic turned into a reason.

use std::thread;

/// The result of `work`, or why there is none.
pub(super) fn run<T: Send>(
    stack_bytes: usize,
    work: impl FnOnce() -> Result<T, String> + Send,
) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(stack_bytes).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| format!("no thread to read it on: {error}"))?;
        thread.join().unwrap_or_else(|_| Err("damaged: its decoder gave up".into()))
    })
}
