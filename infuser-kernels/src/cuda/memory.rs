//! Owned memory of a driver, and borrowed runs of it that kernels take.

use std::{fmt, marker::PhantomData, ops::Range};

use half::bf16;

use super::launch::Driver;
use crate::{
    Dims,
    error::{Error, Result},
};

/// What device memory can hold.
pub trait Element: bytemuck::Pod + fmt::Debug {
    /// The letter of memory of it that a kernel only reads.
    const LETTER: char;
}

impl Element for bf16 {
    const LETTER: char = 'b';
}

impl Element for f32 {
    const LETTER: char = 'f';
}

impl Element for f64 {
    const LETTER: char = 'd';
}

impl Element for u32 {
    const LETTER: char = 'u';
}

/// Elements in the memory of a driver; freed when dropped.
#[derive(Debug)]
pub struct Memory<T: Element> {
    driver: Driver,
    address: u64,
    len: usize,
    element: PhantomData<T>,
}

/// Elements that a kernel reads. It knows its driver: an address means nothing to another one.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a, T> {
    pub(super) driver: &'a Driver,
    pub(super) address: u64,
    pub(super) len: usize,
    memory: PhantomData<&'a [T]>,
}

/// Elements that a kernel writes; it knows its driver, as [`Slice`] does.
#[derive(Debug)]
pub struct SliceMut<'a, T> {
    pub(super) driver: &'a Driver,
    pub(super) address: u64,
    pub(super) len: usize,
    memory: PhantomData<&'a mut [T]>,
}

impl<T: Element> Memory<T> {
    /// Room for `len` elements, of no particular value.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is none.
    pub fn unset(driver: &Driver, len: usize) -> Result<Self> {
        // First the length, which bounds the size in bytes.
        let dims = Dims::new(&[len])?;
        let address = driver.allocate(len * size_of::<T>(), dims)?;
        Ok(Self { driver: driver.clone(), address, len, element: PhantomData })
    }

    /// A copy of host values.
    ///
    /// # Errors
    /// As [`Memory::unset`], or [`Error::Driver`] if the copy fails.
    pub fn upload(driver: &Driver, values: &[T]) -> Result<Self> {
        let memory = Self::unset(driver, values.len())?;
        driver.copy_in(memory.address, bytemuck::cast_slice(values))?;
        Ok(memory)
    }

    /// A copy of the values on the host, after all launches so far.
    ///
    /// # Errors
    /// [`Error::Driver`] if the copy, or a launch before it, failed.
    pub fn download(&self) -> Result<Vec<T>> {
        let mut values = vec![T::zeroed(); self.len];
        self.driver.copy_out(self.address, bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }

    /// How many elements it has room for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Room for nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it, to read.
    pub fn slice(&self) -> Slice<'_, T> {
        let Self { driver, address, len, .. } = self;
        Slice { driver, address: *address, len: *len, memory: PhantomData }
    }

    /// All of it, to write.
    pub fn slice_mut(&mut self) -> SliceMut<'_, T> {
        let Self { driver, address, len, .. } = self;
        SliceMut { driver, address: *address, len: *len, memory: PhantomData }
    }
}

impl<'a, T: Element> Slice<'a, T> {
    /// A run of its elements. Kernels with wide accesses take one that starts at a multiple of 16
    /// bytes.
    ///
    /// # Errors
    /// [`Error::Argument`] if the range leaves it.
    pub fn range(self, range: Range<usize>) -> Result<Self> {
        if range.start > range.end || range.end > self.len {
            let problem = format!("elements {range:?} of {}", self.len);
            return Err(Error::argument("cuda::slice::range", problem));
        }
        let address = self.address + (range.start * size_of::<T>()) as u64;
        Ok(Self { address, len: range.len(), ..self })
    }

    /// A copy of the values on the host, after all launches so far.
    ///
    /// # Errors
    /// [`Error::Driver`] if the copy, or a launch before it, failed.
    pub fn download(self) -> Result<Vec<T>> {
        let mut values = vec![T::zeroed(); self.len];
        self.driver.copy_out(self.address, bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }
}

impl<'a, T> Slice<'a, T> {
    /// Its driver.
    pub(crate) fn driver(&self) -> &'a Driver {
        self.driver
    }

    /// The first elements, as many as there are of `len`.
    pub(crate) fn first(self, len: usize) -> Self {
        Self { len: len.min(self.len), ..self }
    }
}

impl<T: Element> SliceMut<'_, T> {
    /// A run of its elements, as [`Slice::range`].
    ///
    /// # Errors
    /// [`Error::Argument`] if the range leaves it.
    pub fn range(self, range: Range<usize>) -> Result<Self> {
        let Slice { address, len, .. } = self.as_slice().range(range)?;
        Ok(Self { address, len, ..self })
    }

    /// Overwrites the elements with host values.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of them, [`Error::Driver`] if the copy fails.
    pub fn upload(self, values: &[T]) -> Result<()> {
        check_len("cuda::memory::upload", "values", values.len(), &[self.len])?;
        self.driver.copy_in(self.address, bytemuck::cast_slice(values))
    }

    /// Overwrites the elements with others of the same driver, which do not overlap them.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of them, [`Error::Argument`] for those of another driver,
    /// [`Error::Driver`] if the copy fails.
    pub fn copy_from(self, source: Slice<'_, T>) -> Result<()> {
        const OP: &str = "cuda::memory::copy_from";
        check_len(OP, "source", source.len, &[self.len])?;
        if source.driver != self.driver {
            return Err(Error::argument(OP, "`source` is the memory of another driver"));
        }
        self.driver.copy_within(source.address, self.address, self.len * size_of::<T>())
    }

    /// Overwrites the elements with zero.
    ///
    /// # Errors
    /// [`Error::Driver`] if the driver refuses.
    pub fn clear(self) -> Result<()> {
        self.driver.zero(self.address, self.len * size_of::<T>())
    }
}

impl<'a, T> SliceMut<'a, T> {
    /// Its driver.
    pub(crate) fn driver(&self) -> &'a Driver {
        self.driver
    }

    /// The first elements, as many as there are of `len`.
    pub(crate) fn first(self, len: usize) -> Self {
        Self { len: len.min(self.len), ..self }
    }

    /// The same elements, to read.
    pub fn as_slice(&self) -> Slice<'_, T> {
        let Self { driver, address, len, .. } = self;
        Slice { driver, address: *address, len: *len, memory: PhantomData }
    }

    /// The same elements for one launch of several.
    pub fn reborrow(&mut self) -> SliceMut<'_, T> {
        let Self { driver, address, len, .. } = self;
        SliceMut { driver, address: *address, len: *len, memory: PhantomData }
    }
}

impl<T: Element> Drop for Memory<T> {
    fn drop(&mut self) {
        self.driver.free(self.address, self.len * size_of::<T>());
    }
}

/// `got` elements are what the shape asks for.
pub(super) fn check_len(
    op: &'static str,
    tensor: &'static str,
    got: usize,
    axes: &[usize],
) -> Result<()> {
    let expected = Dims::new(axes)?;
    if got == expected.len() {
        return Ok(());
    }
    Err(Error::Shape { op, tensor, expected, got: Dims::new(&[got])? })
}

/// A tensor of bf16 starts where 16-byte accesses may.
pub(super) fn check_aligned(op: &'static str, tensor: &'static str, address: u64) -> Result<()> {
    if address.is_multiple_of(16) {
        return Ok(());
    }
    Err(Error::argument(op, format!("`{tensor}` does not start at a multiple of 16 bytes")))
}
