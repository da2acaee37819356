//! Recorded work: what it does again, and what it refuses.

use super::*;
use crate::{
    Arena, Device, Error, Write,
    cuda::{Graph, add, matmul, swiglu},
    ops::{embedding, paged::Segments},
};

/// `c = a aᵀ`, then `d = c + (a swiglu a)`, with a scratch that is made, cleared, used and freed.
fn work(driver: &Driver, a: &Memory<bf16>, [c, d]: [&mut Memory<bf16>; 2]) -> crate::Result<()> {
    for _ in 0..2 {
        let mut scratch = Memory::<bf16>::unset(driver, 64)?;
        scratch.slice_mut().clear()?;
        matmul::nt(driver, [8, 8, 8], a.slice(), a.slice(), c.slice_mut(), Write::Overwrite)?;
        swiglu::forward(driver, [a.slice(), a.slice()], scratch.slice_mut())?;
        d.slice_mut().copy_from(c.slice())?;
        add::add_bf16(driver, scratch.slice(), d.slice_mut())?;
    }
    Ok(())
}

fn memory(driver: &Driver, seed: u64) -> Memory<bf16> {
    up(driver, &hard_bf16(seed, 64).0)
}

fn record(
    driver: &Driver,
    a: &Memory<bf16>,
    [c, d]: [&mut Memory<bf16>; 2],
) -> crate::Result<Graph> {
    driver.record(|| work(driver, a, [&mut *c, &mut *d])).unwrap()
}

pub(super) fn check(driver: &Driver) {
    let mut a = memory(driver, 1);
    let [mut c, mut d] = [2, 3].map(|seed| memory(driver, seed));
    let mut graph = record(driver, &a, [&mut c, &mut d]).unwrap();
    for seed in 1..4 {
        if seed > 1 {
            a.slice_mut().upload(&hard_bf16(seed, 64).0).unwrap();
            graph.replay().unwrap();
        }
        let direct = memory(driver, seed);
        let [mut want_c, mut want_d] = [0, 0].map(|seed| memory(driver, seed));
        work(driver, &direct, [&mut want_c, &mut want_d]).unwrap();
        for (got, want) in [(&c, &want_c), (&d, &want_d)] {
            let bits = |memory: &Memory<bf16>| -> Vec<u16> {
                memory.download().unwrap().into_iter().map(bf16::to_bits).collect()
            };
            assert_eq!(bits(got), bits(want), "seed {seed}");
        }
    }
}

#[test]
fn what_is_replayed_is_what_was_done() {
    ORDERS.into_iter().for_each(|order| check(&driver(order)));
}

#[test]
fn a_second_run_does_nothing() {
    let driver = driver(Order::Forward);
    let (a, mut total) = (up(&driver, &[1.0f32; 8]), up(&driver, &[0.0f32; 8]));
    let mut runs = 0;
    let add = |total: &mut Memory<f32>| add::add_f32(&driver, a.slice(), total.slice_mut());
    let graph = driver.record(|| {
        runs += 1;
        add(&mut total)
    });
    let mut graph = graph.unwrap().unwrap();
    assert_eq!((runs, total.download().unwrap()), (2, vec![1.0; 8]));
    graph.replay().unwrap();
    graph.replay().unwrap();
    assert_eq!(total.download().unwrap(), [3.0; 8]);
}

#[test]
fn a_graph_whose_memory_was_freed_refuses() {
    let driver = driver(Order::Forward);
    let a = memory(&driver, 1);
    let [mut c, mut d] = [2, 3].map(|seed| memory(&driver, seed));
    let mut graph = record(&driver, &a, [&mut c, &mut d]).unwrap();
    // Memory that it does not know, and its scratch made again, are nothing to it.
    drop(memory(&driver, 4));
    work(&driver, &a, [&mut c, &mut d]).unwrap();
    assert!(!graph.is_stale());
    graph.replay().unwrap();
    drop(d);
    assert!(graph.is_stale());
    let error = graph.replay().unwrap_err().to_string();
    assert!(error.contains("memory that it uses was freed; record it anew"), "{error}");
}

#[test]
fn scratch_is_kept_with_the_graphs_and_goes_with_them() {
    let driver = driver(Order::Forward);
    let scratch = driver.in_arena(Arena::Cache);
    let live = || driver.memory_use().of(Arena::Cache).live_bytes;
    let graph = |sizes: &[usize]| -> Graph {
        let all = || sizes.iter().try_for_each(|n| Memory::<u32>::unset(&scratch, *n).map(drop));
        driver.record(all).unwrap().unwrap()
    };
    let first = graph(&[3, 3, 5]);
    assert_eq!(live(), 4 * (3 + 5), "one piece serves again");
    let second = graph(&[5, 7]);
    assert_eq!(live(), 4 * (3 + 5 + 7), "graphs share");
    drop(first);
    assert_eq!(live(), 4 * (3 + 5 + 7));
    drop(second);
    assert_eq!(live(), 0);
}

/// What work makes and keeps is its maker's.
#[test]
fn memory_that_outlives_the_work_is_freed_by_who_holds_it() {
    let driver = driver(Order::Forward);
    let mut kept = None;
    let graph = driver.record(|| {
        if kept.is_none() {
            kept = Some(Memory::<f32>::unset(&driver, 9)?);
        }
        kept.as_mut().map_or(Ok(()), |kept| kept.slice_mut().clear())
    });
    let mut graph = graph.unwrap().unwrap();
    let mut kept = kept.unwrap();
    kept.slice_mut().upload(&[1.0; 9]).unwrap();
    graph.replay().unwrap();
    assert_eq!(kept.download().unwrap(), [0.0; 9]);
    drop(kept);
    assert!(graph.is_stale());
    drop(graph);
    assert_eq!(driver.memory_use().total().live_bytes, 0);
}

/// Why nothing was recorded of `work` on a driver of its own, to which nothing is left.
fn fault(work: impl Fn(&Driver, &mut Memory<f32>) -> crate::Result<()>) -> String {
    let driver = driver(Order::Forward);
    let mut memory = up(&driver, &[0.0f32; 3]);
    let error = driver.record(|| work(&driver, &mut memory)).unwrap().unwrap_err();
    assert_eq!(driver.graph_fault(), Some(error.clone()));
    // Not tried again, but done.
    let again = driver.record(|| memory.slice_mut().upload(&[7.0; 3])).unwrap();
    assert_eq!(again.unwrap_err(), error);
    assert_eq!(memory.download().unwrap(), [7.0; 3]);
    drop(memory);
    assert_eq!(driver.memory_use().total().live_bytes, 0);
    error.to_string()
}

/// Scratch of one graph that the work of another one keeps is no longer the first one's.
#[test]
fn scratch_that_is_kept_makes_its_graph_stale() {
    let driver = driver(Order::Forward);
    let scratch = || Memory::<f32>::unset(&driver, 9);
    let clear = || scratch().and_then(|mut memory| memory.slice_mut().clear());
    let mut first = driver.record(clear).unwrap().unwrap();
    let mut kept = None;
    let keeps = || {
        kept = kept.take().map_or_else(scratch, Ok).map(Some)?;
        kept.as_mut().map_or(Ok(()), |kept: &mut Memory<f32>| kept.slice_mut().clear())
    };
    let second = driver.record(keeps).unwrap().unwrap();
    assert!(first.is_stale() && !second.is_stale() && first.replay().is_err());
    drop((first, second, kept));
    assert_eq!(driver.memory_use().total().live_bytes, 0);
}

#[test]
fn a_panic_ends_a_recording() {
    let driver = driver(Order::Forward);
    let mut memory = up(&driver, &[1.0f32; 2]);
    for last in [1, 2] {
        let runs = AtomicUsize::new(0);
        let work = || {
            assert!(runs.fetch_add(1, Ordering::Relaxed) + 1 < last, "planned");
            Ok::<(), Error>(())
        };
        let recorded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            driver.record(work).map(drop)
        }));
        assert!(recorded.is_err());
        // Done at once again, and by any thread.
        memory.slice_mut().upload(&[2.0; 2]).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| memory.slice_mut().clear().unwrap());
        });
        assert_eq!(memory.download().unwrap(), [0.0; 2]);
    }
}

#[test]
fn what_cannot_be_recorded_is_done_once_and_said() {
    let error = fault(|_, memory| memory.slice_mut().upload(&[4.0; 3]));
    assert!(error.ends_with("an upload cannot be recorded"), "{error}");
    let error = fault(|_, memory| memory.download().map(drop));
    assert!(error.ends_with("a download cannot be recorded"), "{error}");
    // A second run that asks for more than the first.
    let runs = AtomicUsize::new(0);
    let error = fault(|driver, _| {
        Memory::<f32>::unset(driver, runs.fetch_add(1, Ordering::Relaxed)).map(drop)
    });
    assert!(error.contains("memory that the first did not"), "{error}");
}

#[test]
fn work_that_fails_fails_as_without_a_recording() {
    let driver = driver(Order::Forward);
    let mut memory = up(&driver, &[1.0f32; 3]);
    let error = driver.record(|| memory.slice_mut().upload(&[1.0])).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    // One within another is only done, and the driver goes on.
    let outer = driver.record(|| {
        let inner = driver.record(|| memory.slice_mut().clear())?;
        assert!(inner.unwrap_err().to_string().contains("within another"));
        Ok::<(), Error>(())
    });
    outer.unwrap().unwrap();
    assert_eq!((memory.download().unwrap(), driver.graph_fault()), (vec![0.0; 3], None));
}

#[test]
fn other_threads_wait_for_a_recording() {
    let driver = driver(Order::Forward);
    let (mut own, mut other) = (up(&driver, &[1.0f32; 4]), up(&driver, &[1.0f32; 4]));
    let (begun, waiting) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let other = &mut other;
        scope.spawn(move || {
            waiting.recv().unwrap();
            other.slice_mut().clear().unwrap();
        });
        let graph = driver.record(|| {
            // The first run lets the other thread come.
            let _ = begun.send(());
            std::thread::sleep(std::time::Duration::from_millis(20));
            own.slice_mut().clear()
        });
        graph.unwrap().unwrap();
    });
    assert_eq!((own.download().unwrap(), other.download().unwrap()), (vec![0.0; 4], vec![0.0; 4]));
}

#[test]
fn a_graph_is_dropped_when_no_other_thread_records() {
    let driver = driver(Order::Forward);
    let mut memory = up(&driver, &[1.0f32; 4]);
    let graph = driver.record(|| memory.slice_mut().clear()).unwrap().unwrap();
    let (begun, waiting) = std::sync::mpsc::channel();
    let (dropped, done) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            waiting.recv().unwrap();
            drop(graph);
            dropped.send(()).unwrap();
        });
        let recorded = driver.record(|| {
            let _ = begun.send(());
            // The other thread comes, and may do what it does not wait with.
            let early = done.recv_timeout(std::time::Duration::from_millis(50));
            assert!(early.is_err(), "dropped while there is a recording");
            memory.slice_mut().clear()
        });
        recorded.unwrap().unwrap();
        done.recv().unwrap();
    });
}

#[test]
fn indices_and_segments_change_in_place() {
    let device = Device::Cuda(driver(Order::Forward));
    let Device::Cuda(driver) = &device else { unreachable!("just made") };
    let table = device.upload_float((0..48).map(|i| (i / 8) as f32).collect(), &[6, 8]).unwrap();
    let mut ids = device.upload_u32(vec![5, 0, 5]).unwrap();
    let mut out = device.zeros_float(&[3, 8]).unwrap();
    let gather = driver.record(|| embedding::gather(table.view(), ids.view(), out.view_mut()));
    let mut gather = gather.unwrap().unwrap();
    for rows in [[1, 2, 3], [4, 4, 4]] {
        ids.set_u32(&rows).unwrap();
        gather.replay().unwrap();
        let first: Vec<f32> = out.to_f32().unwrap().into_iter().step_by(8).collect();
        assert_eq!(first, rows.map(|row| row as f32));
    }
    assert!(!gather.is_stale());
    // Nothing that a kernel could not check gets to it.
    assert!(ids.set_u32(&[0, 0, 6]).unwrap_err().to_string().contains("`ids`[2] is 6"));
    assert!(ids.set_u32(&[0, 0]).is_err() && out.set_u32(&[0]).is_err());
    let mut cpu = Device::Cpu.upload_u32(vec![1, 2]).unwrap();
    cpu.set_u32(&[3, 4]).unwrap();
    assert!(cpu == Device::Cpu.upload_u32(vec![3, 4]).unwrap() && cpu.set_u32(&[1]).is_err());
    let mut empty = Segments::with_room(Vec::new(), 8);
    empty.set(Vec::new()).unwrap();
}
