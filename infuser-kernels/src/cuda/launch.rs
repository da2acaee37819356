//! The one way a kernel is launched, and the drivers that do it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[cfg(any(test, feature = "testing"))]
use super::simt::Emulator;
use super::{
    Arena, Element, Gpu, Kernel, MemoryUse, Slice, SliceMut,
    graph::{Pooled, Records},
    matmul::Product,
};
use crate::{
    Dims,
    error::{Error, Result},
};

/// What runs kernels and holds memory. Cloning shares it; each handle allocates for one [`Arena`].
#[derive(Debug, Clone)]
pub struct Driver {
    pub(super) shared: Arc<Shared>,
    arena: Arena,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) runner: Runner,
    memory: Mutex<MemoryUse>,
    pub(super) records: Mutex<Records>,
    /// Told when a recording ends.
    pub(super) recorded: Condvar,
}

#[derive(Debug)]
pub(super) enum Runner {
    Gpu(Arc<Gpu>),
    /// The host, one thread of a block after the other.
    #[cfg(any(test, feature = "testing"))]
    Simt(Emulator),
}

/// One argument of a kernel, as the bits that are passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument {
    letter: char,
    bits: u64,
    /// [`Driver::identity`] of the owner of memory.
    owner: Option<usize>,
}

/// A kernel, its grid and its arguments.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) kernel: Kernel,
    /// Blocks along x and y.
    pub(super) grid: [usize; 2],
    /// Threads a block.
    pub(super) block: u32,
    pub(super) arguments: &'a [Argument],
}

impl<T: Element> From<Slice<'_, T>> for Argument {
    fn from(slice: Slice<'_, T>) -> Self {
        let owner = Some(slice.driver.identity());
        Self { letter: T::LETTER, bits: slice.address, owner }
    }
}

impl<T: Element> From<SliceMut<'_, T>> for Argument {
    fn from(slice: SliceMut<'_, T>) -> Self {
        let owner = Some(slice.driver.identity());
        Self { letter: T::LETTER.to_ascii_uppercase(), bits: slice.address, owner }
    }
}

impl From<u32> for Argument {
    fn from(value: u32) -> Self {
        Self { letter: 'i', bits: value.into(), owner: None }
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Self { letter: 'x', bits: value.to_bits().into(), owner: None }
    }
}

/// A size as a kernel takes it.
pub(super) fn size(op: &'static str, name: &'static str, value: usize) -> Result<u32> {
    // Half the range, so that an index one stride past the end still fits.
    let fits = u32::try_from(value).ok().filter(|value| *value <= u32::MAX / 2);
    fits.ok_or_else(|| Error::argument(op, format!("{name} is {value}, at most 2147483647")))
}

impl Launch<'_> {
    fn failed(&self, grid: [u32; 3], problem: impl Into<String>) -> Error {
        let values: Vec<String> = self.arguments.iter().map(Argument::show).collect();
        let problem = format!("{}; arguments {}", problem.into(), values.join(", "));
        Error::Launch { kernel: self.kernel.symbol(), grid, block: self.block, problem }
    }
}

impl Argument {
    fn show(&self) -> String {
        match self.letter {
            'i' => self.bits.to_string(),
            'x' => f32::from_bits(self.bits as u32).to_string(),
            letter => format!("{letter}*"),
        }
    }
}

impl PartialEq for Driver {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Driver {}

impl Driver {
    /// A GPU. It has one driver: two would not know what the other records of their stream.
    pub fn gpu(gpu: Arc<Gpu>) -> Self {
        Self::new(Runner::Gpu(gpu))
    }

    /// The emulator.
    #[cfg(any(test, feature = "testing"))]
    pub fn simt(emulator: Emulator) -> Self {
        Self::new(Runner::Simt(emulator))
    }

    /// A driver of its own for the same emulator, for tests of what it holds.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn apart(&self) -> Option<Self> {
        match &self.shared.runner {
            Runner::Gpu(_) => None,
            Runner::Simt(emulator) => Some(Self::simt(emulator.again())),
        }
    }

    fn new(runner: Runner) -> Self {
        let shared = Shared {
            runner,
            memory: Mutex::default(),
            records: Mutex::default(),
            recorded: Condvar::new(),
        };
        Self { shared: Arc::new(shared), arena: Arena::default() }
    }

    /// The same driver; what this handle allocates is for `arena`.
    #[must_use]
    pub fn in_arena(&self, arena: Arena) -> Self {
        Self { shared: self.shared.clone(), arena }
    }

    /// The account of its memory.
    pub fn memory_use(&self) -> MemoryUse {
        *self.account()
    }

    /// Peaks begin anew with what is allocated now.
    pub fn reset_memory_peaks(&self) {
        self.account().reset_peaks();
    }

    fn account(&self) -> MutexGuard<'_, MemoryUse> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells drivers apart: the address of what they share with their clones. Memory and launch keep
    /// their driver alive, so no two that meet can have one address.
    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Runs a kernel; on a GPU, puts it in the stream. An empty grid does nothing.
    ///
    /// # Safety
    /// Every memory argument is as long as the kernel's header says for the other arguments, and
    /// what the kernel writes overlaps nothing else that it uses unless the header allows it.
    pub(super) unsafe fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        let letters: String = launch.arguments.iter().map(|argument| argument.letter).collect();
        let [x, y] = launch.grid;
        let limits = (i32::MAX as usize, 65535);
        let grid = [x.min(limits.0) as u32, y.min(limits.1) as u32, 1];
        if x > limits.0 || y > limits.1 {
            return Err(launch.failed(grid, format!("{x} by {y} blocks, at most {limits:?}")));
        }
        if letters != launch.kernel.signature() {
            let expected = launch.kernel.signature();
            return Err(launch.failed(grid, format!("takes ({expected}), got ({letters})")));
        }
        let here =
            |argument: &Argument| argument.owner.is_none_or(|owner| owner == self.identity());
        if let Some(foreign) = launch.arguments.iter().position(|argument| !here(argument)) {
            let problem = format!("argument {foreign} is the memory of another driver");
            return Err(launch.failed(grid, problem));
        }
        if x == 0 || y == 0 {
            return Ok(());
        }
        let mut bits: Vec<u64> = launch.arguments.iter().map(|argument| argument.bits).collect();
        let memory = launch.arguments.iter().filter(|argument| argument.owner.is_some());
        let _entered = self.enter(memory.map(|argument| argument.bits));
        let done = match &self.shared.runner {
            // SAFETY: the caller vouches for the memory; the letters above match the parameters, so
            // each value has at least the bytes that its parameter reads.
            Runner::Gpu(gpu) => unsafe { gpu.launch(launch.kernel, grid, launch.block, &mut bits) },
            #[cfg(any(test, feature = "testing"))]
            // SAFETY: as above, and the emulator compares the letters with the compiled parameters.
            Runner::Simt(emulator) => unsafe {
                emulator.launch(launch.kernel, grid, launch.block, &mut bits)
            },
        };
        done.map_err(|problem| launch.failed(grid, problem))
    }

    /// Multiplies two matrices; on a GPU, puts it in the stream.
    ///
    /// # Safety
    /// The addresses of A, B and C hold matrices of the product's sizes in this driver's memory, A and
    /// B of bf16 and C of what it says, and C overlaps neither other one.
    pub(super) unsafe fn multiply(&self, product: Product, addresses: [u64; 3]) -> Result<()> {
        let _entered = self.enter(addresses);
        let done = match &self.shared.runner {
            // SAFETY: the caller's promise, word for word.
            Runner::Gpu(gpu) => unsafe { gpu.multiply(product, addresses) },
            #[cfg(any(test, feature = "testing"))]
            // SAFETY: the caller's promise, word for word.
            Runner::Simt(emulator) => unsafe { emulator.multiply(product, addresses) },
        };
        done.map_err(|problem| Error::driver("multiplying matrices", problem))
    }

    pub(super) fn allocate(&self, bytes: usize, dims: Dims) -> Result<u64> {
        let mut records = self.records();
        match records.allocate(bytes, self.arena) {
            Pooled::Done(address) => return Ok(address),
            Pooled::Refused => {
                let problem = "the second run takes memory that the first did not";
                return Err(Error::driver("recording a graph", problem));
            }
            Pooled::Open => {}
        }
        let room = match &self.shared.runner {
            Runner::Gpu(gpu) => gpu.allocate(bytes)?,
            #[cfg(any(test, feature = "testing"))]
            Runner::Simt(emulator) => emulator.allocate(bytes),
        };
        let mut account = self.account();
        let address = room.ok_or_else(|| Error::Memory {
            device: "cuda",
            dims,
            want_bytes: bytes,
            held: Some(Box::new(*account)),
        })?;
        account.take(self.arena, bytes);
        records.allocated(address, bytes, self.arena);
        Ok(address)
    }

    /// Frees what a handle for the same arena allocated.
    pub(super) fn free(&self, address: u64, bytes: usize) {
        let mut records = self.records();
        if let Pooled::Done(()) = records.free(address, bytes, self.arena) {
            return;
        }
        match &self.shared.runner {
            Runner::Gpu(gpu) => gpu.free(address, bytes),
            #[cfg(any(test, feature = "testing"))]
            Runner::Simt(emulator) => emulator.free(address, bytes),
        }
        self.account().give_back(self.arena, bytes);
    }

    pub(super) fn copy_in(&self, address: u64, from: &[u8]) -> Result<()> {
        let _entered = self.enter_unrecorded("an upload")?;
        match &self.shared.runner {
            Runner::Gpu(gpu) => gpu.copy_in(address, from),
            #[cfg(any(test, feature = "testing"))]
            Runner::Simt(emulator) => {
                emulator.copy_in(address, from);
                Ok(())
            }
        }
    }

    pub(super) fn copy_out(&self, address: u64, to: &mut [u8]) -> Result<()> {
        let _entered = self.enter_unrecorded("a download")?;
        match &self.shared.runner {
            Runner::Gpu(gpu) => gpu.copy_out(address, to),
            #[cfg(any(test, feature = "testing"))]
            Runner::Simt(emulator) => {
                emulator.copy_out(address, to);
                Ok(())
            }
        }
    }

    /// Copies between two ranges of this driver's memory that do not overlap.
    pub(super) fn copy_within(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        let _entered = self.enter([from, to]);
        match &self.shared.runner {
            Runner::Gpu(gpu) => gpu.copy_within(from, to, bytes),
            #[cfg(any(test, feature = "testing"))]
            Runner::Simt(emulator) => {
                emulator.copy_within(from, to, bytes);
                Ok(())
            }
        }
    }

    /// Overwrites with zero bytes.
    pub(super) fn zero(&self, address: u64, bytes: usize) -> Result<()> {
        let _entered = self.enter([address]);
        match &self.shared.runner {
            Runner::Gpu(gpu) => gpu.zero(address, bytes),
            #[cfg(any(test, feature = "testing"))]
            Runner::Simt(emulator) => {
                emulator.zero(address, bytes);
                Ok(())
            }
        }
    }
}
