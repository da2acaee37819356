//! A GPU through the driver library, which is looked for at run time.

use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use cudarc::driver::{CudaContext, CudaGraph, CudaStream, DriverError, result, sys};

use super::{
    CubinCache, Kernel, Source,
    blas::{self, Blas, WORKSPACE_BYTES},
    matmul::Product,
    nvrtc,
    staging::{Pinned, Ring},
};
use crate::error::{Error, Result};

const ACTION: &str = "using the GPU";

/// Where a GPU finds what is not part of the program.
#[derive(Debug, Clone, Copy, Default)]
pub struct Folders<'a> {
    /// Holds the compiler and cuBLASLt, if the system's loader does not find them.
    pub libraries: Option<&'a Path>,
    /// Keeps compiled kernels; without it they are compiled every time.
    pub cubins: Option<&'a Path>,
}

/// One GPU: its context, one stream, and all kernels loaded.
pub struct Gpu {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    pool: Pool,
    functions: HashMap<Kernel, Function>,
    /// Opened by the first product.
    blas: Mutex<Option<Blas>>,
    /// Made by the first upload.
    staging: Mutex<Option<Ring<Pinned>>>,
}

/// A loaded entry. Modules are never unloaded: they live as long as the context.
struct Function(sys::CUfunction);

// SAFETY: a function handle is a name that the driver knows; the driver's calls may come from any
// thread that has made the context current, which every method here does first.
unsafe impl Send for Function {}
// SAFETY: as above; a handle is never written after it was made, so sharing it shares no state.
unsafe impl Sync for Function {}

/// Where a device's memory comes from.
struct Pool(sys::CUmemoryPool);

// SAFETY: as of a function.
unsafe impl Send for Pool {}
// SAFETY: as of a function.
unsafe impl Sync for Pool {}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("kernels", &self.functions.len()).finish_non_exhaustive()
    }
}

/// How many GPUs the driver shows; 0 without a driver, and without one that works.
pub fn gpus() -> usize {
    // SAFETY: the probe only asks the loader whether the library is there; it calls nothing.
    if !unsafe { sys::is_culib_present() } {
        return 0;
    }
    CudaContext::device_count().ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

/// What a stream recorded. It may run only on the stream that it was recorded from.
pub(super) struct StreamGraph {
    graph: CudaGraph,
    stream: Arc<CudaStream>,
}

// SAFETY: a graph is tied to no thread, only its calls must not overlap; each is within a borrow of the
// one owner, which is never shared between threads.
unsafe impl Send for StreamGraph {}

impl StreamGraph {
    pub(super) fn launch(&self) -> Result<()> {
        self.graph.launch().map_err(failed)
    }
}

impl Drop for StreamGraph {
    fn drop(&mut self) {
        // A failure here is that of a launch before it, which the next copy reports.
        let _ = self.stream.synchronize();
    }
}

fn failed(error: DriverError) -> Error {
    Error::driver(ACTION, error.to_string())
}

/// The address, if there is room; what was kept is let go of before there is none. Any other failure is not
/// one of memory: the driver reports a kernel that did not end well by the next call, whatever that asks for.
fn room(
    mut ask: impl FnMut() -> std::result::Result<u64, DriverError>,
    let_go: impl FnOnce() -> std::result::Result<(), DriverError>,
) -> std::result::Result<Option<u64>, DriverError> {
    const FULL: DriverError = DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    let asked = match ask() {
        Err(FULL) => let_go().and_then(|()| ask()),
        asked => asked,
    };
    match asked {
        Ok(address) => Ok(Some(address)),
        Err(FULL) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is freed stays in the pool of the device for what is allocated next. By default all of it goes back
/// to the system whenever a stream is waited for, as after every step, and is asked for anew.
fn keep_freed(pool: sys::CUmemoryPool) -> std::result::Result<(), DriverError> {
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    let mut bytes = u64::MAX;
    // SAFETY: the pool is the device's own, which is never destroyed; the attribute is a u64, copied by the
    // call.
    unsafe { result::mem_pool::set_attribute(pool, threshold, (&raw mut bytes).cast()) }
}

impl Gpu {
    /// Opens a GPU, with every kernel compiled for it.
    ///
    /// # Errors
    /// [`Error::Driver`] without a driver, a GPU of that number, a compiler, or cuBLASLt, saying what
    /// installs it.
    pub fn open(ordinal: usize, Folders { libraries, cubins }: Folders<'_>) -> Result<Self> {
        // SAFETY: the probe only asks the loader whether the library is there; it calls nothing.
        if !unsafe { sys::is_culib_present() } {
            let problem = "there is no NVIDIA driver on this machine; install it (such as by \
                           `sudo apt install nvidia-driver-580`), or use the CPU";
            return Err(Error::driver(ACTION, problem));
        }
        let count = gpus();
        if ordinal >= count {
            let problem = format!(
                "there is an NVIDIA driver, but GPU {ordinal} is not among the {count} that it shows; \
                 use the CPU, or look at `nvidia-smi`"
            );
            return Err(Error::driver(ACTION, problem));
        }
        let compiler = libraries.filter(|folder| folder.join(nvrtc::FILE).exists());
        if !nvrtc::find(compiler)? {
            return Err(Error::driver(ACTION, nvrtc::MISSING));
        }
        if !blas::find(libraries)? {
            return Err(Error::driver(ACTION, blas::MISSING));
        }
        let context = CudaContext::new(ordinal).map_err(failed)?;
        let stream = context.new_stream().map_err(failed)?;
        // SAFETY: the context, and with it the device, is there.
        let pool = unsafe { result::device::get_mem_pool(context.cu_device()) }.map_err(failed)?;
        keep_freed(pool).map_err(failed)?;
        let mut gpu = Self {
            context,
            stream,
            pool: Pool(pool),
            functions: HashMap::new(),
            blas: Mutex::new(None),
            staging: Mutex::new(None),
        };
        let architecture = gpu.architecture()?;
        let cache = cubins.map(CubinCache::new);
        for source in Source::ALL {
            gpu.load(source, &nvrtc::cubin(source, &architecture, cache.as_ref())?)?;
        }
        Ok(gpu)
    }

    /// What the driver calls it.
    ///
    /// # Errors
    /// [`Error::Driver`] if the driver does not say.
    pub fn name(&self) -> Result<String> {
        self.context.name().map_err(failed)
    }

    /// Seconds that the stream takes for what `work` puts into it, by events before and after; waits
    /// for the last one. Pauses in which the stream waits for the host count.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Driver`] if the driver refuses, or a launch so far failed.
    pub fn seconds<E: From<Error>>(
        &self,
        work: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<f64, E> {
        let record = || -> Result<_> {
            let timed = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
            let event = self.context.new_event(timed).map_err(failed)?;
            event.record(&self.stream).map_err(failed)?;
            Ok(event)
        };
        let start = record()?;
        work()?;
        let end = record()?;
        Ok(f64::from(start.elapsed_ms(&end).map_err(failed)?) / 1e3)
    }

    /// From now on the stream records what this thread puts into it, and does nothing.
    pub(super) fn begin_capture(&self) -> Result<()> {
        // What this thread must not do meanwhile, such as waiting for the stream, is then an error.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream.begin_capture(mode).map_err(failed)
    }

    /// What was recorded since.
    pub(super) fn end_capture(&self) -> Result<StreamGraph> {
        let graph = self.stream.end_capture(sys::CUgraphInstantiate_flags(0)).map_err(failed)?;
        let graph = graph.ok_or_else(|| Error::driver(ACTION, "the stream recorded nothing"))?;
        Ok(StreamGraph { graph, stream: self.stream.clone() })
    }

    fn architecture(&self) -> Result<String> {
        use sys::CUdevice_attribute as Attribute;
        let get = |attribute| self.context.attribute(attribute).map_err(failed);
        let major = get(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = get(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        Ok(format!("sm_{major}{minor}"))
    }

    fn load(&mut self, source: Source, cubin: &[u8]) -> Result<()> {
        self.context.bind_to_thread().map_err(failed)?;
        // SAFETY: the image is a whole cubin as the compiler made it, now or, by its checksum, before;
        // the driver copies it.
        let module = unsafe { result::module::load_data(cubin.as_ptr().cast()) };
        let module = module.map_err(failed)?;
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.source() == source) {
            let name = CString::new(kernel.symbol())
                .map_err(|error| Error::driver(ACTION, error.to_string()))?;
            // SAFETY: the module was loaded above and is never unloaded, so the handle stays valid.
            let function = unsafe { result::module::get_function(module, name) };
            self.functions.insert(kernel, Function(function.map_err(failed)?));
        }
        Ok(())
    }

    /// # Safety
    /// As [`super::Driver::launch`]; `bits` holds a value for each parameter.
    pub(super) unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: [u32; 3],
        block: u32,
        bits: &mut [u64],
    ) -> std::result::Result<(), String> {
        self.context.bind_to_thread().map_err(|error| error.to_string())?;
        let function = self.functions.get(&kernel).ok_or("the kernel was not loaded")?;
        let mut arguments: Vec<*mut c_void> =
            bits.iter_mut().map(|bits| std::ptr::from_mut(bits).cast()).collect();
        let [x, y, z] = grid;
        let stream = self.stream.cu_stream();
        // SAFETY: the caller vouches for the arguments; each pointer is to eight bytes that live
        // until the call, which copies them, is back.
        let done = unsafe {
            result::launch_kernel(function.0, (x, y, z), (block, 1, 1), 0, stream, &mut arguments)
        };
        done.map_err(|error| error.to_string())
    }

    /// # Safety
    /// As [`super::Driver::multiply`].
    pub(super) unsafe fn multiply(
        &self,
        product: Product,
        addresses: [u64; 3],
    ) -> std::result::Result<(), String> {
        self.context.bind_to_thread().map_err(|error| error.to_string())?;
        let mut blas = self.blas.lock().unwrap_or_else(PoisonError::into_inner);
        let blas = match &mut *blas {
            Some(blas) => blas,
            none => {
                let workspace =
                    self.allocate(WORKSPACE_BYTES).map_err(|error| error.to_string())?;
                let workspace = workspace.ok_or("no room for a scratch")?;
                none.insert(Blas::open(workspace)?)
            }
        };
        // SAFETY: the caller vouches for the matrices; the context is current, and the stream is its.
        unsafe { blas.multiply(product, addresses, self.stream.cu_stream().cast()) }
    }

    /// The address of new memory; `None` if there is no room.
    pub(super) fn allocate(&self, bytes: usize) -> Result<Option<u64>> {
        self.context.bind_to_thread().map_err(failed)?;
        let stream = self.stream.cu_stream();
        let ask = || {
            // The driver refuses zero bytes.
            // SAFETY: asking for memory touches none; the context is current.
            unsafe { result::malloc_async(stream, bytes.max(1)) }
        };
        // What was freed may lie in pieces that are too small, until the system has it back as a whole.
        let let_go = || {
            // SAFETY: the stream is alive, and the pool is the device's own; what is in use stays.
            unsafe {
                result::stream::synchronize(stream)?;
                result::mem_pool::trim_to(self.pool.0, 0)
            }
        };
        room(ask, let_go).map_err(failed)
    }

    pub(super) fn free(&self, address: u64, _bytes: usize) {
        // A failure here is that of a launch before it, which the next copy reports.
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: the address came from `allocate` and is freed once, by the drop of its owner;
            // the stream runs the launches that use it before.
            let _ = unsafe { result::free_async(address, self.stream.cu_stream()) };
        }
    }

    /// Queues the copy; what comes after it in the stream finds the values.
    pub(super) fn copy_in(&self, address: u64, from: &[u8]) -> Result<()> {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = match &mut *staging {
            Some(ring) => ring,
            none => {
                let slots = Pinned::new(&self.context, &self.stream).map_err(failed)?;
                none.insert(Ring::new(slots))
            }
        };
        // SAFETY: the owner of the address allocated as many bytes as it passes here, and frees them in
        // the order of the stream, after this copy.
        unsafe { ring.upload(address, from) }.map_err(failed)
    }

    /// Waits for all that was queued, even if there is nothing to copy.
    pub(super) fn copy_out(&self, address: u64, to: &mut [u8]) -> Result<()> {
        self.context.bind_to_thread().map_err(failed)?;
        let stream = self.stream.cu_stream();
        // SAFETY: the owner of the address allocated as many bytes as it passes here; the stream is
        // waited for, so `to` is not given back before the copy is done.
        unsafe {
            if !to.is_empty() {
                result::memcpy_dtoh_async(to, address, stream).map_err(failed)?;
            }
            result::stream::synchronize(stream).map_err(failed)
        }
    }

    pub(super) fn copy_within(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.context.bind_to_thread().map_err(failed)?;
        let stream = self.stream.cu_stream();
        // SAFETY: both addresses are those of borrowed slices of this GPU's memory with as many bytes as
        // are passed here, one of them exclusively, so they do not overlap.
        unsafe { result::memcpy_dtod_async(to, from, bytes, stream) }.map_err(failed)
    }

    pub(super) fn zero(&self, address: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.context.bind_to_thread().map_err(failed)?;
        // SAFETY: the address is that of an exclusively borrowed slice of as many bytes as are passed.
        unsafe { result::memset_d8_async(address, 0, bytes, self.stream.cu_stream()) }
            .map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Compared without showing them: the names of errors are in the driver's library.
    #[test]
    fn only_want_of_memory_is_no_room() {
        use sys::CUresult as Code;
        let full = Err(DriverError(Code::CUDA_ERROR_OUT_OF_MEMORY));
        let fault = Err(DriverError(Code::CUDA_ERROR_ILLEGAL_ADDRESS));
        // What is answered first, and then; what came of letting go; and whether it was done.
        for (answers, let_go, want) in [
            (vec![Ok(512)], Ok(()), Ok(Some(512))),
            (vec![fault], Ok(()), fault.map(Some)),
            (vec![full, Ok(512)], Ok(()), Ok(Some(512))),
            (vec![full, full], Ok(()), Ok(None)),
            (vec![full, fault], Ok(()), fault.map(Some)),
            (vec![full], fault.map(drop), fault.map(Some)),
        ] {
            let retried = answers.first() == Some(&full);
            let (mut answers, mut gone) = (answers.into_iter(), false);
            let let_go = || {
                gone = true;
                let_go
            };
            let got = room(|| answers.next().unwrap_or(fault), let_go);
            assert!(got == want);
            assert!(answers.next().is_none() && gone == retried);
        }
    }
}
