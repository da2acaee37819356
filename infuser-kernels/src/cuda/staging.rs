//! Uploads that do not wait for the stream: values go to a slot of host memory that the GPU can read, and
//! from there, when the stream comes to it, to the device.
//!
//! A slot is written again only after the copy from it is done, which its event says; so an upload waits
//! only when all slots are on their way.

use std::{ptr::NonNull, sync::Arc};

use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result};

/// Bytes of a slot; more are copied in parts. Copying one takes about as long as launching it.
const SLOT_BYTES: usize = 256 << 10;
/// Slots: more than the uploads of a step, so that one step's do not wait for the last one's.
const SLOTS: usize = 64;

/// Slots, and copies that read them later.
pub(super) trait Slots {
    type Error;

    /// How many there are, at least one, and the bytes of one, at least one.
    fn shape(&self) -> (usize, usize);

    /// Waits until the last copy from a slot is done; its memory is the caller's until it is sent.
    fn take(&mut self, slot: usize) -> Result<&mut [u8], Self::Error>;

    /// Queues a copy of a slot's first `len` bytes to `address`, and returns before it is done.
    ///
    /// # Safety
    /// `address` is that of at least as many bytes of the device, which stay allocated until what is
    /// queued before their freeing is done; the slot was taken, and its bytes written, after it was last
    /// sent.
    unsafe fn send(&mut self, slot: usize, len: usize, address: u64) -> Result<(), Self::Error>;
}

/// Uploads through slots in turn.
#[derive(Debug)]
pub(super) struct Ring<S> {
    slots: S,
    next: usize,
}

impl<S: Slots> Ring<S> {
    pub(super) fn new(slots: S) -> Self {
        Self { slots, next: 0 }
    }

    /// Queues a copy of `from` to `address`, which may change as soon as this is back.
    ///
    /// # Safety
    /// As [`Slots::send`], for all of `from`.
    pub(super) unsafe fn upload(&mut self, address: u64, from: &[u8]) -> Result<(), S::Error> {
        let (count, bytes) = self.slots.shape();
        for (part, chunk) in from.chunks(bytes).enumerate() {
            let slot = self.next;
            self.next = (slot + 1) % count;
            self.slots.take(slot)?[..chunk.len()].copy_from_slice(chunk);
            let address = address + (part * bytes) as u64;
            // SAFETY: the caller vouches for the addresses of all parts; the slot was just taken, and
            // the part, which is at most as long as it, just written to it.
            unsafe { self.slots.send(slot, chunk.len(), address) }?;
        }
        Ok(())
    }
}

/// Slots in memory that is pinned, with an event each.
#[derive(Debug)]
pub(super) struct Pinned {
    stream: Arc<CudaStream>,
    memory: NonNull<u8>,
    events: Vec<CudaEvent>,
}

// SAFETY: the memory belongs to this value alone, and it is not tied to a thread; streams and events may
// be used from any thread that has made their context current, which every method does first.
unsafe impl Send for Pinned {}

impl Pinned {
    pub(super) fn new(
        context: &Arc<CudaContext>,
        stream: &Arc<CudaStream>,
    ) -> Result<Self, DriverError> {
        // An event that was never recorded is done.
        let events = (0..SLOTS).map(|_| context.new_event(None)).collect::<Result<_, _>>()?;
        // SAFETY: asking for memory touches none; `new_event` made the context current.
        let memory = unsafe { result::malloc_host(SLOTS * SLOT_BYTES, 0) }?;
        let Some(memory) = NonNull::new(memory.cast::<u8>()) else {
            return Err(DriverError(cudarc::driver::sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY));
        };
        // SAFETY: the driver gave this many bytes; every value of a byte is one.
        unsafe { memory.as_ptr().write_bytes(0, SLOTS * SLOT_BYTES) };
        Ok(Self { stream: stream.clone(), memory, events })
    }

    fn slot(&self, slot: usize) -> *mut u8 {
        assert!(slot < SLOTS, "slot {slot} of {SLOTS}");
        // SAFETY: the memory has room for all slots, and this is one of them, as just checked.
        unsafe { self.memory.as_ptr().add(slot * SLOT_BYTES) }
    }
}

impl Slots for Pinned {
    type Error = DriverError;

    fn shape(&self) -> (usize, usize) {
        (SLOTS, SLOT_BYTES)
    }

    fn take(&mut self, slot: usize) -> Result<&mut [u8], DriverError> {
        self.events[slot].synchronize()?;
        // SAFETY: the slot lies in memory that was written when it was made; the last copy from it is
        // done, as the event says, so nobody else reads it while the exclusive borrow lasts.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.slot(slot), SLOT_BYTES) })
    }

    unsafe fn send(&mut self, slot: usize, len: usize, address: u64) -> Result<(), DriverError> {
        assert!(len <= SLOT_BYTES, "{len} bytes of a slot of {SLOT_BYTES}");
        self.stream.context().bind_to_thread()?;
        // SAFETY: the slot is written, as the caller vouches, and has at least `len` bytes.
        let from = unsafe { std::slice::from_raw_parts(self.slot(slot), len) };
        // SAFETY: the caller vouches for the address; the slot is not written before `take` has waited
        // for the event below, nor freed before the stream is done.
        unsafe { result::memcpy_htod_async(address, from, self.stream.cu_stream()) }?;
        if let Err(error) = self.events[slot].record(&self.stream) {
            // Without the event only the whole stream says when the slot is free.
            self.stream.synchronize()?;
            return Err(error);
        }
        Ok(())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Copies may be on their way. If the stream cannot be waited for, the memory is leaked.
        if self.stream.synchronize().is_ok() {
            // SAFETY: the memory came from `malloc_host`, nothing reads it any more, and it is freed
            // here and nowhere else; `synchronize` made the context current.
            let _ = unsafe { result::free_host(self.memory.as_ptr().cast()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;

    /// Slots whose copies happen as late as they may: when their slot is taken again, or at the end.
    struct Late {
        slots: Vec<Vec<u8>>,
        queued: Vec<(usize, usize, u64)>,
        device: Vec<u8>,
        /// Whether each slot is its writer's.
        taken: Vec<bool>,
        waits: usize,
    }

    impl Late {
        fn new(count: usize, bytes: usize, device: usize) -> Self {
            Self {
                slots: vec![vec![0; bytes]; count],
                queued: Vec::new(),
                device: vec![0xee; device],
                taken: vec![false; count],
                waits: 0,
            }
        }

        /// Does what was queued up to the last copy from `slot`, in order, as a stream does.
        fn wait(&mut self, slot: usize) {
            let Some(last) = self.queued.iter().rposition(|copy| copy.0 == slot) else { return };
            self.waits += 1;
            for (slot, len, address) in self.queued.drain(..=last) {
                let from = &self.slots[slot][..len];
                self.device[address as usize..][..len].copy_from_slice(from);
            }
        }
    }

    impl Slots for Late {
        type Error = String;

        fn shape(&self) -> (usize, usize) {
            (self.slots.len(), self.slots[0].len())
        }

        fn take(&mut self, slot: usize) -> Result<&mut [u8], String> {
            self.wait(slot);
            self.taken[slot] = true;
            Ok(&mut self.slots[slot])
        }

        unsafe fn send(&mut self, slot: usize, len: usize, address: u64) -> Result<(), String> {
            if !mem::take(&mut self.taken[slot]) {
                return Err(format!("slot {slot} was sent without being taken"));
            }
            self.queued.push((slot, len, address));
            Ok(())
        }
    }

    fn bytes(seed: usize, len: usize) -> Vec<u8> {
        (0..len).map(|i| ((i + seed) * 37 % 251) as u8).collect()
    }

    #[test]
    fn what_is_copied_late_is_what_was_uploaded() {
        let mut ring = Ring::new(Late::new(3, 8, 400));
        let mut want = vec![0xee; 400];
        // Nothing, less than a slot, just one, several, and more than all slots hold.
        let sizes = [0, 1, 8, 9, 16, 24, 25, 100, 3, 0, 7, 64];
        let mut at = 0;
        for (seed, len) in sizes.into_iter().enumerate() {
            let mut values = bytes(seed, len);
            // SAFETY: the addresses of this device are places of a vector, which checks them.
            unsafe { ring.upload(at as u64, &values) }.unwrap();
            want[at..at + len].copy_from_slice(&values);
            // The caller's memory is its own again.
            values.fill(0);
            at += len + 2;
        }
        (0..3).for_each(|slot| ring.slots.wait(slot));
        assert_eq!(ring.slots.device, want);
    }

    #[test]
    fn an_upload_waits_only_for_a_slot_that_is_on_its_way() {
        let mut ring = Ring::new(Late::new(4, 8, 64));
        for upload in 0..4 {
            // SAFETY: as above, the addresses are places of a vector.
            unsafe { ring.upload(8 * upload, &[upload as u8; 5]) }.unwrap();
        }
        assert_eq!((ring.slots.waits, ring.slots.queued.len()), (0, 4));
        // SAFETY: as above, the addresses are places of a vector.
        unsafe { ring.upload(40, &[9; 8]) }.unwrap();
        assert_eq!((ring.slots.waits, ring.slots.queued.len()), (1, 4));
        assert_eq!(ring.slots.device[..5], [0; 5]);
        assert_eq!(ring.slots.device[8..13], [0xee; 5], "the others are still on their way");
    }
}
