//! Owned memory on a device. No arithmetic happens here.

use std::{fmt, ops::Range};

use half::bf16;

use crate::{
    Device, Dims, View, ViewMut,
    cuda::{Driver, Element, Indices, Memory},
    error::{Error, Result},
    lines::Lines,
    view::{Data, DataMut},
};

/// The element type of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE single precision: on the CPU everything; on CUDA statistics, gradients of parameters,
    /// optimizer state.
    F32,
    /// The upper half of it: weights and activations on CUDA.
    Bf16,
    /// Unsigned 32-bit: token ids, row indices, positions.
    U32,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::Bf16 => 2,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::U32 => "u32",
        })
    }
}

#[derive(Debug)]
enum Storage {
    CpuF32(Lines),
    CpuU32(Vec<u32>),
    /// The memory may be longer than the tensor.
    CudaF32(Memory<f32>),
    CudaBf16(Memory<bf16>),
    CudaU32(Indices),
}

/// A contiguous row-major tensor that owns its memory.
#[derive(Debug)]
pub struct Buffer {
    dims: Dims,
    storage: Storage,
}

/// The values are compared, wherever they are; what cannot be read is equal to nothing.
impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        let same = self.dims == other.dims && self.dtype() == other.dtype();
        same && match (&self.storage, &other.storage) {
            (Storage::CpuF32(a), Storage::CpuF32(b)) => a[..] == b[..],
            (Storage::CpuU32(a), Storage::CpuU32(b)) => a == b,
            (Storage::CudaU32(a), Storage::CudaU32(b)) => a.values() == b.values(),
            _ if self.device() != other.device() => false,
            _ => self.to_f32().is_ok_and(|a| other.to_f32().is_ok_and(|b| a == b)),
        }
    }
}

/// A vector of one value, or an error if there is no room for it.
pub(crate) fn filled<T: Clone>(dims: Dims, value: T) -> Result<Vec<T>> {
    let mut values = Vec::new();
    reserve(&mut values, dims.len(), dims)?;
    values.resize(dims.len(), value);
    Ok(values)
}

fn refill<T: Clone + Default>(values: &mut Vec<T>, dims: Dims) -> Result<()> {
    reserve(values, dims.len(), dims)?;
    values.resize(dims.len(), T::default());
    Ok(())
}

/// Makes room for `count` values of a tensor of shape `dims`, or says that there is none.
pub(crate) fn reserve<T>(values: &mut Vec<T>, count: usize, dims: Dims) -> Result<()> {
    if count > values.capacity() {
        // The old values are not wanted: freeing them first keeps the peak down.
        *values = Vec::new();
        values.try_reserve_exact(count).map_err(|_| Error::Memory {
            device: Device::Cpu.name(),
            dims,
            want_bytes: count * size_of::<T>(),
            held: None,
        })?;
    }
    Ok(())
}

/// Device memory for `dims`, the old one if it is long enough.
fn grow<T: Element>(memory: &mut Memory<T>, dims: Dims) -> Result<()> {
    if dims.len() > memory.len() {
        let driver = memory.slice().driver().clone();
        *memory = Memory::unset(&driver, 0)?;
        *memory = Memory::unset(&driver, dims.len())?;
    }
    Ok(())
}

fn zeroed<T: Element>(driver: &Driver, len: usize) -> Result<Memory<T>> {
    let mut memory = Memory::unset(driver, len)?;
    memory.slice_mut().clear()?;
    Ok(memory)
}

/// Memory with the first `len` elements of another.
fn copied<T: Element>(from: &Memory<T>, len: usize) -> Result<Memory<T>> {
    let from = from.slice().range(0..len)?;
    let mut memory = Memory::unset(from.driver(), len)?;
    memory.slice_mut().copy_from(from)?;
    Ok(memory)
}

impl Buffer {
    pub(crate) fn zeros(device: &Device, dims: Dims, dtype: Dtype) -> Result<Self> {
        let storage = match (device, dtype) {
            (Device::Cpu, Dtype::F32) => Storage::CpuF32(Lines::zeros(dims)?),
            (Device::Cpu, Dtype::U32) => Storage::CpuU32(filled(dims, 0)?),
            (Device::Cpu, Dtype::Bf16) => {
                let problem = "the CPU holds no bf16; use f32";
                return Err(Error::argument("buffer::zeros", problem));
            }
            (Device::Cuda(driver), Dtype::F32) => Storage::CudaF32(zeroed(driver, dims.len())?),
            (Device::Cuda(driver), Dtype::Bf16) => Storage::CudaBf16(zeroed(driver, dims.len())?),
            (Device::Cuda(driver), Dtype::U32) => {
                Storage::CudaU32(Indices::new(driver, filled(dims, 0)?))
            }
        };
        Ok(Self { dims, storage })
    }

    pub(crate) fn from_f32(device: &Device, values: Vec<f32>, dims: Dims) -> Result<Self> {
        if values.len() != dims.len() {
            let got = Dims::new(&[values.len()])?;
            return Err(Error::Shape {
                op: "buffer::from_f32",
                tensor: "values",
                expected: dims,
                got,
            });
        }
        let storage = match device {
            Device::Cpu => Storage::CpuF32(Lines::of(&values, dims)?),
            Device::Cuda(driver) => Storage::CudaF32(Memory::upload(driver, &values)?),
        };
        Ok(Self { dims, storage })
    }

    pub(crate) fn from_u32(device: &Device, values: Vec<u32>) -> Result<Self> {
        let dims = Dims::new(&[values.len()])?;
        let storage = match device {
            Device::Cpu => Storage::CpuU32(values),
            Device::Cuda(driver) => Storage::CudaU32(Indices::new(driver, values)),
        };
        Ok(Self { dims, storage })
    }

    /// A second buffer with the same values.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no room.
    pub fn copy(&self) -> Result<Self> {
        let len = self.dims.len();
        let storage = match &self.storage {
            Storage::CpuF32(values) => Storage::CpuF32(Lines::of(values, self.dims)?),
            Storage::CpuU32(values) => Storage::CpuU32(values.clone()),
            Storage::CudaF32(memory) => Storage::CudaF32(copied(memory, len)?),
            Storage::CudaBf16(memory) => Storage::CudaBf16(copied(memory, len)?),
            Storage::CudaU32(indices) => {
                Storage::CudaU32(Indices::new(indices.driver(), indices.values().to_vec()))
            }
        };
        Ok(Self { dims: self.dims, storage })
    }

    /// The shape.
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        match self.storage {
            Storage::CpuF32(_) | Storage::CudaF32(_) => Dtype::F32,
            Storage::CudaBf16(_) => Dtype::Bf16,
            Storage::CpuU32(_) | Storage::CudaU32(_) => Dtype::U32,
        }
    }

    /// Where the memory is; what this handle allocates is for [`Arena::Activations`](crate::Arena).
    pub fn device(&self) -> Device {
        self.view().device()
    }

    /// Size of the tensor.
    pub fn size_bytes(&self) -> usize {
        self.dims.len() * self.dtype().size_bytes()
    }

    /// The whole tensor, to read.
    pub fn view(&self) -> View<'_> {
        let len = self.dims.len();
        let data = match &self.storage {
            Storage::CpuF32(values) => Data::CpuF32(values),
            Storage::CpuU32(values) => Data::CpuU32(values),
            Storage::CudaF32(memory) => Data::CudaF32(memory.slice().first(len)),
            Storage::CudaBf16(memory) => Data::CudaBf16(memory.slice().first(len)),
            Storage::CudaU32(indices) => Data::CudaU32(indices),
        };
        View { dims: self.dims, data }
    }

    /// The whole tensor, to write.
    pub fn view_mut(&mut self) -> ViewMut<'_> {
        let len = self.dims.len();
        let data = match &mut self.storage {
            Storage::CpuF32(values) => DataMut::CpuF32(values),
            Storage::CpuU32(values) => DataMut::CpuU32(values),
            Storage::CudaF32(memory) => DataMut::CudaF32(memory.slice_mut().first(len)),
            Storage::CudaBf16(memory) => DataMut::CudaBf16(memory.slice_mut().first(len)),
            Storage::CudaU32(indices) => DataMut::CudaU32(indices),
        };
        ViewMut { dims: self.dims, data }
    }

    /// Consecutive rows (steps of the first axis), to read.
    ///
    /// # Errors
    /// [`Error::Argument`] if the range leaves the tensor.
    pub fn rows(&self, range: Range<usize>) -> Result<View<'_>> {
        self.view().rows(range)
    }

    /// Consecutive rows (steps of the first axis), to write.
    ///
    /// # Errors
    /// [`Error::Argument`] if the range leaves the tensor.
    pub fn rows_mut(&mut self, range: Range<usize>) -> Result<ViewMut<'_>> {
        self.view_mut().rows(range)
    }

    /// A copy of the values in host memory, bf16 widened. On CUDA it waits for all work before it.
    ///
    /// # Errors
    /// [`Error::Dtype`] if the buffer holds indices; [`Error::Driver`] if the device cannot be read.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let len = self.dims.len();
        match &self.storage {
            Storage::CudaF32(memory) => memory.slice().range(0..len)?.download(),
            Storage::CudaBf16(memory) => {
                let values = memory.slice().range(0..len)?.download()?;
                Ok(values.into_iter().map(bf16::to_f32).collect())
            }
            _ => Ok(self.view().f32("buffer::to_f32", "self")?.to_vec()),
        }
    }

    /// Overwrites all values from host memory; bf16 is rounded to nearest, ties to even.
    ///
    /// # Errors
    /// [`Error::Shape`] on another length, [`Error::Dtype`] if the buffer holds indices,
    /// [`Error::Driver`] if the device cannot be written.
    pub fn copy_from_f32(&mut self, values: &[f32]) -> Result<()> {
        const OP: &str = "buffer::copy_from_f32";
        let expected = self.dims;
        if expected.len() != values.len() {
            let got = Dims::new(&[values.len()])?;
            return Err(Error::Shape { op: OP, tensor: "values", expected, got });
        }
        match &mut self.storage {
            Storage::CudaF32(memory) => memory.slice_mut().range(0..values.len())?.upload(values),
            Storage::CudaBf16(memory) => {
                let rounded: Vec<bf16> = values.iter().map(|x| bf16::from_f32(*x)).collect();
                memory.slice_mut().range(0..rounded.len())?.upload(&rounded)
            }
            _ => {
                self.view_mut().into_f32(OP, "self")?.copy_from_slice(values);
                Ok(())
            }
        }
    }

    /// Overwrites all indices, in place: what was recorded with the old ones ([`crate::cuda::Graph`]) reads
    /// the new ones.
    ///
    /// # Errors
    /// [`Error::Shape`] on another length, [`Error::Dtype`] if the buffer holds no indices,
    /// [`Error::Argument`] for one outside what ops took the old ones for.
    pub fn set_u32(&mut self, values: &[u32]) -> Result<()> {
        const OP: &str = "buffer::set_u32";
        if let Storage::CudaU32(indices) = &mut self.storage {
            return indices.set(values);
        }
        let (expected, got) = (self.dims, Dims::new(&[values.len()])?);
        let own = self.view_mut().into_u32(OP, "self")?;
        if own.len() != values.len() {
            return Err(Error::Shape { op: OP, tensor: "values", expected, got });
        }
        own.copy_from_slice(values);
        Ok(())
    }

    /// Changes the length of the first axis, keeping the memory if it is large enough. What the
    /// tensor holds afterwards is unspecified: this is for scratch that follows the batch size.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no room to grow.
    pub fn resize_rows(&mut self, rows: usize) -> Result<()> {
        let mut axes = self.dims.axes().to_vec();
        if axes.is_empty() {
            return Err(Error::argument("buffer::resize_rows", "a scalar has no rows"));
        }
        axes[0] = rows;
        let dims = Dims::new(&axes)?;
        match &mut self.storage {
            Storage::CpuF32(values) => values.resize(dims)?,
            Storage::CpuU32(values) => refill(values, dims)?,
            Storage::CudaF32(memory) => grow(memory, dims)?,
            Storage::CudaBf16(memory) => grow(memory, dims)?,
            Storage::CudaU32(indices) => refill(indices.values_mut(), dims)?,
        }
        self.dims = dims;
        Ok(())
    }

    /// Overwrites every element with zero.
    ///
    /// # Errors
    /// [`Error::Driver`] if the device refuses.
    pub fn clear(&mut self) -> Result<()> {
        match &mut self.storage {
            Storage::CpuF32(values) => values.fill(0.0),
            Storage::CpuU32(values) => values.fill(0),
            Storage::CudaF32(memory) => memory.slice_mut().clear()?,
            Storage::CudaBf16(memory) => memory.slice_mut().clear()?,
            Storage::CudaU32(indices) => indices.values_mut().fill(0),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_consecutive_elements() {
        let buffer = Device::Cpu.upload_f32((0..12).map(|i| i as f32).collect(), &[4, 3]).unwrap();
        let rows = buffer.rows(1..3).unwrap();
        assert_eq!(rows.dims().axes(), [2, 3]);
        assert_eq!(rows.f32("test", "rows").unwrap(), [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert!(buffer.rows(3..5).is_err());
        assert_eq!(buffer.rows(4..4).unwrap().dims().len(), 0);
    }

    #[test]
    fn a_wrong_type_or_size_is_an_error_value() {
        let ids = Device::Cpu.upload_u32(vec![1, 2]).unwrap();
        let error = ids.view().f32("test", "ids").unwrap_err();
        assert_eq!(error.to_string(), "test: `ids` holds u32, expected f32");
        assert!(Device::Cpu.upload_f32(vec![0.0; 3], &[2, 2]).is_err());
        assert!(ids.view().reshape(&[3]).is_err());
    }

    #[test]
    fn rows_can_grow_shrink_and_be_copied() {
        let mut buffer = Device::Cpu.upload_f32(vec![1.0; 6], &[2, 3]).unwrap();
        buffer.resize_rows(5).unwrap();
        assert_eq!(buffer.dims().axes(), [5, 3]);
        buffer.resize_rows(1).unwrap();
        let source = Device::Cpu.upload_f32(vec![4.0, 5.0, 6.0], &[1, 3]).unwrap();
        buffer.view_mut().copy_from(source.view()).unwrap();
        assert_eq!(buffer, source);
        assert!(buffer.view_mut().copy_from(source.rows(0..0).unwrap()).is_err());
        assert!(buffer.resize_rows(1 << 50).is_err());
    }

    #[test]
    fn a_buffer_past_memory_is_an_error_value() {
        let error = Device::Cpu.zeros_f32(&[1 << 50]).unwrap_err();
        assert!(matches!(error, Error::Memory { .. }), "{error}");
    }
}
