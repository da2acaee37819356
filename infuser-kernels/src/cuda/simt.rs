//! The emulator as a driver: kernels compiled by the host compiler into a shared object, for tests.
//!
//! Memory is the host's, each allocation exactly as long as asked for and filled with NaN, so that a
//! kernel that reads what it should write cannot hide, and a sanitizer sees one byte too far.

use std::{
    alloc::{self, Layout},
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    fs,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

use half::bf16;

use super::{HEADERS, Kernel, Source, matmul::Product};
use crate::{Device, Write, ops::matmul};

const PARTS: [(&str, &str); 7] = [
    ("simt.h", include_str!("../../../kernels-cu/simt/simt.h")),
    ("fiber.h", include_str!("../../../kernels-cu/simt/fiber.h")),
    ("block.h", include_str!("../../../kernels-cu/simt/block.h")),
    ("launch.h", include_str!("../../../kernels-cu/simt/launch.h")),
    ("names.h", include_str!("../../../kernels-cu/simt/names.h")),
    ("matrix.h", include_str!("../../../kernels-cu/simt/matrix.h")),
    ("entry.h", include_str!("../../../kernels-cu/simt/entry.h")),
];

type LaunchFn = unsafe extern "C" fn(
    name: *const c_char,
    grid: *const c_uint,
    block: *const c_uint,
    shared_bytes: usize,
    arguments: *mut *mut c_void,
    signature: *const c_char,
    order: c_int,
    seed: u64,
    error: *mut c_char,
    error_bytes: usize,
) -> c_int;
type KernelFn = unsafe extern "C" fn(index: usize) -> *const c_char;

/// In which order the threads of a block run between barriers: a kernel that is right in one order
/// by luck is wrong in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// First warp and lane first.
    Forward,
    /// Last warp, lane and block first.
    Reverse,
    /// Drawn anew at every turn.
    Random(u64),
}

/// What to compile.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// A sanitizer of the host compiler, `address` or `thread`.
    pub sanitizer: Option<&'static str>,
    /// Text of a source or header to replace, which must stand in it exactly once: planted bugs.
    pub planted: Option<(&'static str, &'static str)>,
    /// Only these sources; all if there are none. A launch of what is left out is an error.
    pub only: Vec<Source>,
}

/// Compiled kernels, in memory.
#[derive(Debug)]
pub struct Emulator {
    launch: LaunchFn,
    kernel: KernelFn,
    order: Order,
    /// What a thread that records queues instead of doing it.
    queue: Mutex<Option<(ThreadId, Vec<Queued>)>>,
}

/// What a stream can be given.
#[derive(Debug)]
pub(super) enum Queued {
    /// A kernel, its grid, its threads a block, and the bits of its arguments.
    Launch(Kernel, [u32; 3], u32, Vec<u64>),
    /// A product, and the addresses of its matrices.
    Multiply(Product, [u64; 3]),
    /// From, to, bytes.
    Copy(u64, u64, usize),
    /// Address, bytes.
    Zero(u64, usize),
}

/// As the allocation of a GPU is aligned to more than any access is wide.
const ALIGNMENT: usize = 16;

fn write_sources(folder: &Path, build: &Build) -> Result<(), String> {
    let mut planted = 0;
    let mut write = |name: &str, text: &str| {
        let mut text = text.to_owned();
        if let Some((from, to)) = build.planted {
            planted += text.matches(from).count();
            text = text.replace(from, to);
        }
        fs::write(folder.join(name), text).map_err(|error| format!("cannot write {name}: {error}"))
    };
    let mut host = String::new();
    for source in Source::ALL {
        write(source.name(), source.text())?;
        if build.only.is_empty() || build.only.contains(&source) {
            host += &format!("#include \"{}\"\n", source.name());
        }
    }
    for (name, text) in HEADERS.into_iter().chain(PARTS) {
        write(name, text)?;
    }
    write("host.cpp", &(host + "#include \"entry.h\"\n"))?;
    match (build.planted, planted) {
        (None, _) | (Some(_), 1) => Ok(()),
        (Some((from, _)), n) => Err(format!("`{from}` stands {n} times in the sources")),
    }
}

impl Emulator {
    /// Writes the sources to `folder`, compiles them with `compiler`, and loads the result.
    ///
    /// # Errors
    /// What the compiler or the loader said.
    pub fn build(compiler: &str, folder: &Path, build: &Build) -> Result<Self, String> {
        fs::create_dir_all(folder.join("device"))
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        write_sources(folder, build)?;
        let object = folder.join("kernels.so");
        let mut command = Command::new(compiler);
        command.current_dir(folder).args(["-std=c++17", "-O2", "-g1", "-fPIC", "-shared", "-I."]);
        // Hidden, so that two builds in one process share nothing.
        command.args(["-fvisibility=hidden", "-ffp-contract=off", "-Wno-unknown-pragmas"]);
        command.args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-variable"]);
        if let Some(sanitizer) = build.sanitizer {
            command.args([&format!("-fsanitize={sanitizer}"), "-fno-omit-frame-pointer"]);
        }
        let output = command.arg("host.cpp").arg("-o").arg(&object).output();
        let output = output.map_err(|error| {
            format!("`{compiler}`: {error}; the emulator needs a C++17 compiler: install one, or set CXX")
        })?;
        if !output.status.success() {
            return Err(format!("{compiler}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Self::load(&object)
    }

    fn load(object: &Path) -> Result<Self, String> {
        // SAFETY: the object was just built from the project's own sources; its initialisers only
        // fill a list of kernels.
        let library = unsafe { libloading::Library::new(object) }.map_err(|e| e.to_string())?;
        let library = Box::leak(Box::new(library));
        // SAFETY: entry.h defines both symbols with exactly these parameters, and the library is
        // leaked, so they stay loaded.
        let (launch, kernel) = unsafe {
            let launch = library.get::<LaunchFn>(b"simt_launch\0").map_err(|e| e.to_string())?;
            let kernel = library.get::<KernelFn>(b"simt_kernel\0").map_err(|e| e.to_string())?;
            (*launch, *kernel)
        };
        Ok(Self { launch, kernel, order: Order::Forward, queue: Mutex::default() })
    }

    /// The same kernels, run in another order.
    pub fn in_order(&self, order: Order) -> Self {
        Self { launch: self.launch, kernel: self.kernel, order, queue: Mutex::default() }
    }

    /// The same kernels in the same order.
    pub(super) fn again(&self) -> Self {
        self.in_order(self.order)
    }

    pub(super) fn begin_capture(&self) {
        *self.queue() = Some((thread::current().id(), Vec::new()));
    }

    pub(super) fn end_capture(&self) -> Vec<Queued> {
        self.queue().take().map(|(_, queue)| queue).unwrap_or_default()
    }

    fn queue(&self) -> MutexGuard<'_, Option<(ThreadId, Vec<Queued>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether work is only queued now.
    fn queues(&self, work: impl FnOnce() -> Queued) -> bool {
        match &mut *self.queue() {
            Some((thread, queue)) if *thread == thread::current().id() => {
                queue.push(work());
                true
            }
            _ => false,
        }
    }

    /// Does what was queued.
    ///
    /// # Safety
    /// As [`super::Driver::launch`] and [`super::Driver::multiply`], when it was queued and now.
    pub(super) unsafe fn replay(&self, queued: &[Queued]) -> Result<(), String> {
        for work in queued {
            match work {
                Queued::Launch(kernel, grid, block, bits) => {
                    // SAFETY: the caller's promise, word for word.
                    unsafe { self.launch(*kernel, *grid, *block, &mut bits.clone()) }?;
                }
                Queued::Multiply(product, addresses) => {
                    // SAFETY: the caller's promise, word for word.
                    unsafe { self.multiply(*product, *addresses) }?;
                }
                Queued::Copy(from, to, bytes) => self.copy_within(*from, *to, *bytes),
                Queued::Zero(address, bytes) => self.zero(*address, *bytes),
            }
        }
        Ok(())
    }

    /// What the sources export: symbol and parameter letters.
    pub fn kernels(&self) -> Vec<(String, String)> {
        let entry = |index| {
            // SAFETY: any index may be asked for; the string lives until the next call on this
            // thread and is copied before that.
            let line = unsafe { (self.kernel)(index) };
            // SAFETY: if it is not null, it points to a string that ends in a zero.
            let line = (!line.is_null()).then(|| unsafe { CStr::from_ptr(line) })?;
            let line = line.to_string_lossy().into_owned();
            line.split_once(' ').map(|(name, letters)| (name.to_owned(), letters.to_owned()))
        };
        (0..).map_while(entry).collect()
    }

    /// # Safety
    /// As [`super::Driver::launch`]; `bits` holds a value for each parameter.
    pub(super) unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: [u32; 3],
        block: u32,
        bits: &mut [u64],
    ) -> Result<(), String> {
        if self.queues(|| Queued::Launch(kernel, grid, block, bits.to_vec())) {
            return Ok(());
        }
        let name = CString::new(kernel.symbol()).map_err(|error| error.to_string())?;
        let signature = CString::new(kernel.signature()).map_err(|error| error.to_string())?;
        let mut arguments: Vec<*mut c_void> =
            bits.iter_mut().map(|bits| std::ptr::from_mut(bits).cast()).collect();
        let (order, seed) = match self.order {
            Order::Forward => (0, 1),
            Order::Reverse => (1, 1),
            Order::Random(seed) => (2, seed),
        };
        let mut error = [0u8; 1024];
        let block = [block, 1, 1];
        // SAFETY: the strings end in a zero, grid and block hold three sizes each, and each argument
        // points to eight bytes that live here; the caller vouches for the memory behind them.
        let code = unsafe {
            (self.launch)(
                name.as_ptr(),
                grid.as_ptr(),
                block.as_ptr(),
                0,
                arguments.as_mut_ptr(),
                signature.as_ptr(),
                order,
                seed,
                error.as_mut_ptr().cast(),
                error.len(),
            )
        };
        if code == 0 {
            return Ok(());
        }
        let end = error.iter().position(|&byte| byte == 0).unwrap_or(error.len());
        Err(String::from_utf8_lossy(&error[..end]).into_owned())
    }

    /// The product by the CPU op of the same form, rounded once.
    ///
    /// # Safety
    /// As [`super::Driver::multiply`].
    pub(super) unsafe fn multiply(
        &self,
        product: Product,
        [a, b, c]: [u64; 3],
    ) -> Result<(), String> {
        if self.queues(|| Queued::Multiply(product, [a, b, c])) {
            return Ok(());
        }
        let [rows, cols, inner] =
            [product.rows, product.cols, product.inner].map(|size| size as usize);
        let len = rows * cols;
        // SAFETY: the caller vouches that A and B hold as many elements as the product says, and that
        // nobody writes them.
        let (a, b) = unsafe {
            let read = |at, len| std::slice::from_raw_parts(at as *const bf16, len);
            (read(a, rows * inner), read(b, inner * cols))
        };
        let wide = |values: &[bf16]| values.iter().map(|x| x.to_f32()).collect::<Vec<f32>>();
        let upload = |values: Vec<f32>, axes: [usize; 2]| Device::Cpu.upload_f32(values, &axes);
        let compute = |before: Vec<f32>| {
            let order = |shape: [usize; 2], flip| if flip { [shape[1], shape[0]] } else { shape };
            let [left, right] = product.transposed;
            let a = upload(wide(a), order([rows, inner], left))?;
            let b = upload(wide(b), order([inner, cols], right))?;
            let mut c = upload(before, [rows, cols])?;
            let write = if product.add { Write::Add } else { Write::Overwrite };
            match product.transposed {
                [false, true] => matmul::nt(a.view(), b.view(), c.view_mut(), write)?,
                [false, false] => matmul::nn(a.view(), b.view(), c.view_mut(), write)?,
                [true, _] => matmul::tn(a.view(), b.view(), c.view_mut(), write)?,
            }
            c.to_f32()
        };
        if product.f32_output {
            // SAFETY: the caller vouches that C holds rows times columns of f32, which nobody else borrows.
            let c = unsafe { std::slice::from_raw_parts_mut(c as *mut f32, len) };
            c.copy_from_slice(&compute(c.to_vec()).map_err(|error| error.to_string())?);
        } else {
            // SAFETY: the caller vouches that C holds rows times columns of bf16, which nobody else borrows.
            let c = unsafe { std::slice::from_raw_parts_mut(c as *mut bf16, len) };
            let sums = compute(wide(c)).map_err(|error| error.to_string())?;
            c.iter_mut().zip(sums).for_each(|(c, sum)| *c = bf16::from_f32(sum));
        }
        Ok(())
    }

    pub(super) fn allocate(&self, bytes: usize) -> Option<u64> {
        let layout = Layout::from_size_align(bytes.max(1), ALIGNMENT).ok()?;
        // SAFETY: the layout has at least one byte; the new memory is filled before anyone reads it.
        let memory = unsafe {
            let memory = alloc::alloc(layout);
            if memory.is_null() {
                return None;
            }
            memory.write_bytes(0xff, layout.size());
            memory
        };
        Some(memory as u64)
    }

    pub(super) fn free(&self, address: u64, bytes: usize) {
        if let Ok(layout) = Layout::from_size_align(bytes.max(1), ALIGNMENT) {
            // SAFETY: the address came from `allocate` with the same size, and its only owner frees
            // it once, when it is dropped.
            unsafe { alloc::dealloc(address as *mut u8, layout) };
        }
    }

    pub(super) fn copy_in(&self, address: u64, from: &[u8]) {
        // SAFETY: the owner of the address allocated as many bytes as it passes here, and a borrowed
        // slice cannot overlap memory that only the owner knows.
        unsafe { (address as *mut u8).copy_from_nonoverlapping(from.as_ptr(), from.len()) };
    }

    pub(super) fn copy_out(&self, address: u64, to: &mut [u8]) {
        // SAFETY: as in `copy_in`; what no kernel wrote holds the fill of `allocate`.
        unsafe { (address as *const u8).copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
    }

    pub(super) fn copy_within(&self, from: u64, to: u64, bytes: usize) {
        if self.queues(|| Queued::Copy(from, to, bytes)) {
            return;
        }
        // SAFETY: both addresses are those of borrowed slices with as many bytes as are passed here, one
        // of them exclusively, so they do not overlap.
        unsafe { (from as *const u8).copy_to_nonoverlapping(to as *mut u8, bytes) };
    }

    pub(super) fn zero(&self, address: u64, bytes: usize) {
        if self.queues(|| Queued::Zero(address, bytes)) {
            return;
        }
        // SAFETY: the address is that of an exclusively borrowed slice of as many bytes as are passed.
        unsafe { (address as *mut u8).write_bytes(0, bytes) };
    }
}
