//! Work that is recorded once and run again as a whole: on a GPU a CUDA graph, which costs one launch
//! whatever is in it; on the emulator the list of what was queued.
//!
//! Recording runs the work twice. The first time it is done, and the memory that it takes and gives back
//! is set aside; the second time nothing is done but noted, in that same memory. A graph reads and
//! writes the addresses that it was recorded with, so nothing that it uses may be freed: what is set
//! aside lives as long as any graph of the driver, and freeing anything else makes a graph stale, which
//! then refuses to run. Work that uploads or downloads can only do so the first time.

use std::{
    fmt,
    sync::{
        Arc, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ThreadId},
};

#[cfg(any(test, feature = "testing"))]
use super::simt::Queued;
use super::{Arena, Driver, gpu::StreamGraph, launch::Runner};
use crate::error::{Error, Result};

const ACTION: &str = "recording a graph";

/// Recorded work, with the driver that does it.
pub struct Graph {
    driver: Driver,
    state: Arc<State>,
    /// `None` only while it is dropped.
    captured: Option<Captured>,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("state", &self.state).finish_non_exhaustive()
    }
}

/// As the runner recorded it.
enum Captured {
    Gpu(StreamGraph),
    #[cfg(any(test, feature = "testing"))]
    Simt(Vec<Queued>),
}

impl Runner {
    fn begin_capture(&self) -> Result<()> {
        match self {
            Self::Gpu(gpu) => gpu.begin_capture(),
            #[cfg(any(test, feature = "testing"))]
            Self::Simt(emulator) => {
                emulator.begin_capture();
                Ok(())
            }
        }
    }

    fn end_capture(&self) -> Result<Captured> {
        match self {
            Self::Gpu(gpu) => gpu.end_capture().map(Captured::Gpu),
            #[cfg(any(test, feature = "testing"))]
            Self::Simt(emulator) => Ok(Captured::Simt(emulator.end_capture())),
        }
    }
}

/// What frees of memory are compared with.
#[derive(Debug)]
struct State {
    /// Addresses that the work was given, ascending.
    used: Vec<u64>,
    stale: AtomicBool,
}

/// All that a driver knows of graphs.
#[derive(Debug, Default)]
pub(super) struct Records {
    recorder: Option<Recorder>,
    graphs: Vec<Weak<State>>,
    /// Memory that recorded work takes and gives back.
    pool: Vec<Block>,
    /// Why a graph could not be recorded; then no other is tried.
    fault: Option<Error>,
}

#[derive(Debug)]
struct Recorder {
    /// Work of other threads waits.
    thread: ThreadId,
    /// Addresses that the second run was given, once it has begun.
    used: Option<Vec<u64>>,
    /// Frees that wait for the end of the second run.
    deferred: Vec<(u64, usize, Arena)>,
}

#[derive(Debug)]
struct Block {
    address: u64,
    bytes: usize,
    arena: Arena,
    busy: bool,
}

/// What comes of an allocation or a free while there may be a recording.
pub(super) enum Pooled<T> {
    /// It is dealt with.
    Done(T),
    /// It is the runner's to do.
    Open,
    /// It must not happen now.
    Refused,
}

impl Records {
    fn captured_use(&mut self) -> Option<&mut Vec<u64>> {
        self.recorder.as_mut()?.used.as_mut()
    }

    /// Memory that was set aside, for recorded work.
    pub(super) fn allocate(&mut self, bytes: usize, arena: Arena) -> Pooled<u64> {
        let Some(recorder) = &self.recorder else { return Pooled::Open };
        let fits = |block: &&mut Block| (block.bytes, block.arena) == (bytes, arena) && !block.busy;
        match self.pool.iter_mut().find(fits) {
            Some(block) => {
                block.busy = true;
                Pooled::Done(block.address)
            }
            None if recorder.used.is_some() => Pooled::Refused,
            None => Pooled::Open,
        }
    }

    /// Sets aside what the runner has just allocated, while there is a recording.
    pub(super) fn allocated(&mut self, address: u64, bytes: usize, arena: Arena) {
        if self.recorder.is_some() {
            self.pool.push(Block { address, bytes, arena, busy: true });
        }
    }

    /// Takes back what was set aside; graphs that use anything else become stale.
    pub(super) fn free(&mut self, address: u64, bytes: usize, arena: Arena) -> Pooled<()> {
        if let Some(recorder) = &mut self.recorder {
            let own = |block: &&mut Block| block.busy && block.address == address;
            if let Some(block) = self.pool.iter_mut().find(own) {
                block.busy = false;
                return Pooled::Done(());
            }
            if recorder.used.is_some() {
                recorder.deferred.push((address, bytes, arena));
                return Pooled::Done(());
            }
        }
        self.make_stale(address, bytes);
        Pooled::Open
    }

    /// Graphs that use this memory do not own it any more.
    fn make_stale(&mut self, address: u64, bytes: usize) {
        self.graphs.retain(|graph| graph.strong_count() > 0);
        let end = address + bytes.max(1) as u64;
        for graph in self.graphs.iter().filter_map(Weak::upgrade) {
            let first = graph.used.partition_point(|used| *used < address);
            if graph.used.get(first).is_some_and(|used| *used < end) {
                graph.stale.store(true, Ordering::Relaxed);
            }
        }
    }

    /// What recorded work holds when it is done is its maker's, and no scratch of other graphs.
    fn hand_over(&mut self) {
        let (kept, pool) = std::mem::take(&mut self.pool).into_iter().partition(|block| block.busy);
        self.pool = pool;
        let kept: Vec<Block> = kept;
        kept.iter().for_each(|block| self.make_stale(block.address, block.bytes));
    }
}

/// A recording under way. However it ends, the driver is free for others again.
struct Recording<'d> {
    driver: &'d Driver,
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        let mut records = self.driver.lock_records();
        if records.captured_use().is_some() {
            // The work panicked, and what comes next is not to be recorded.
            let _ = self.driver.shared.runner.end_capture();
        }
        let deferred = records.recorder.take().map(|recorder| recorder.deferred);
        records.hand_over();
        drop(records);
        self.driver.shared.recorded.notify_all();
        for (address, bytes, arena) in deferred.into_iter().flatten() {
            self.driver.in_arena(arena).free(address, bytes);
        }
        self.driver.free_unused_pool();
    }
}

impl Recording<'_> {
    /// The second run.
    fn capture<E: fmt::Display>(
        &self,
        mut work: impl FnMut() -> std::result::Result<(), E>,
    ) -> Result<Graph> {
        let driver = self.driver;
        driver.shared.runner.begin_capture()?;
        if let Some(recorder) = &mut driver.lock_records().recorder {
            recorder.used = Some(Vec::new());
        }
        let worked = work();
        // Ended even if the work failed, or the stream would go on recording.
        let captured = driver.shared.runner.end_capture();
        let mut records = driver.lock_records();
        let used = records.recorder.as_mut().and_then(|recorder| recorder.used.take());
        worked.map_err(|error| Error::driver(ACTION, error.to_string()))?;
        let (captured, mut used) = (Some(captured?), used.unwrap_or_default());
        used.sort_unstable();
        used.dedup();
        records.hand_over();
        let state = Arc::new(State { used, stale: AtomicBool::new(false) });
        records.graphs.push(Arc::downgrade(&state));
        Ok(Graph { driver: driver.clone(), state, captured })
    }
}

impl Driver {
    /// Does `work`, and records it. The graph does the same again with what then lies in the memory that
    /// the work used; without one, the error says why there is none, and the work is done all the same.
    ///
    /// `work` runs a second time without effect on the device, and must then ask for the same. Where that
    /// failed once ([`Driver::graph_fault`]), it is not tried again.
    ///
    /// # Errors
    /// Those of the work when it is done.
    pub fn record<E: fmt::Display>(
        &self,
        mut work: impl FnMut() -> std::result::Result<(), E>,
    ) -> std::result::Result<Result<Graph>, E> {
        let mut records = self.records();
        let nested = || Error::driver(ACTION, "there is one within another");
        let refusal = records.fault.clone().or_else(|| records.recorder.is_some().then(nested));
        if let Some(refusal) = refusal {
            drop(records);
            work()?;
            return Ok(Err(refusal));
        }
        let thread = thread::current().id();
        records.recorder = Some(Recorder { thread, used: None, deferred: Vec::new() });
        drop(records);
        let recording = Recording { driver: self };
        work()?;
        let graph = recording.capture(work);
        if let Err(fault) = &graph {
            self.lock_records().fault = Some(fault.clone());
        }
        Ok(graph)
    }

    /// Why work is not recorded on this driver, if it was tried.
    pub fn graph_fault(&self) -> Option<Error> {
        self.records().fault.clone()
    }

    fn lock_records(&self) -> MutexGuard<'_, Records> {
        self.shared.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records, once no other thread is recording.
    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        let mut records = self.lock_records();
        let other = |records: &Records| {
            let recorder = records.recorder.as_ref();
            recorder.is_some_and(|recorder| recorder.thread != thread::current().id())
        };
        while other(&records) {
            let waited = self.shared.recorded.wait(records);
            records = waited.unwrap_or_else(PoisonError::into_inner);
        }
        records
    }

    /// Comes before all that is put in the stream, with the memory that it is given. What this returns is
    /// held until it is there, so that no other thread begins to record in between.
    pub(super) fn enter(
        &self,
        addresses: impl IntoIterator<Item = u64>,
    ) -> Option<MutexGuard<'_, Records>> {
        let mut records = self.records();
        if let Some(used) = records.captured_use() {
            used.extend(addresses);
        }
        match &self.shared.runner {
            Runner::Gpu(_) => Some(records),
            // It tells threads apart by itself, and a product may wait for other work of its thread.
            #[cfg(any(test, feature = "testing"))]
            Runner::Simt(_) => None,
        }
    }

    /// As [`Driver::enter`], for what cannot be recorded.
    pub(super) fn enter_unrecorded(&self, what: &str) -> Result<Option<MutexGuard<'_, Records>>> {
        match self.records().captured_use() {
            None => {}
            Some(_) => return Err(Error::driver(ACTION, format!("{what} cannot be recorded"))),
        }
        Ok(self.enter([]))
    }

    /// Frees what was set aside, if no graph is left that may use it.
    fn free_unused_pool(&self) {
        let mut records = self.lock_records();
        let used = records.graphs.iter().any(|graph| graph.strong_count() > 0);
        let blocks = match used || records.recorder.is_some() {
            true => Vec::new(),
            false => std::mem::take(&mut records.pool),
        };
        drop(records);
        for Block { address, bytes, arena, .. } in blocks {
            self.in_arena(arena).free(address, bytes);
        }
    }
}

impl Graph {
    /// Whether something that it uses was freed, so that it must be recorded anew.
    pub fn is_stale(&self) -> bool {
        self.state.stale.load(Ordering::Relaxed)
    }

    /// Does the work again; on a GPU, puts it in the stream.
    ///
    /// # Errors
    /// [`Error::Driver`] if the graph is stale, or the driver refuses.
    pub fn replay(&mut self) -> Result<()> {
        const ACTION: &str = "replaying a graph";
        let _entered = self.driver.enter_unrecorded("a graph")?;
        if self.is_stale() {
            return Err(Error::driver(ACTION, "memory that it uses was freed; record it anew"));
        }
        match (&self.captured, &self.driver.shared.runner) {
            (Some(Captured::Gpu(graph)), _) => graph.launch(),
            #[cfg(any(test, feature = "testing"))]
            // SAFETY: the memory was checked when the work was queued, and none of it was freed since,
            // or the graph were stale.
            (Some(Captured::Simt(queued)), Runner::Simt(emulator)) => unsafe {
                emulator.replay(queued).map_err(|problem| Error::driver(ACTION, problem))
            },
            _ => Ok(()),
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // On a GPU the stream is waited for, which would spoil what another thread records from it.
        let mut records = self.driver.records();
        // First what uses the memory.
        self.captured = None;
        records.graphs.retain(|graph| !std::ptr::eq(graph.as_ptr(), Arc::as_ptr(&self.state)));
        drop(records);
        self.driver.free_unused_pool();
    }
}
