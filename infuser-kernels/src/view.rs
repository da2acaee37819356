//! Borrowed tensors: whole buffers or consecutive rows of one.

use std::ops::Range;

use half::bf16;

use crate::{
    Device, Dims, Dtype,
    cuda::{self, Arena, Indices, Slice, SliceMut},
    error::{Error, Result},
};

/// A borrowed, read-only tensor: a whole [`Buffer`](crate::Buffer) or consecutive rows of one.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(crate) dims: Dims,
    pub(crate) data: Data<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Data<'a> {
    CpuF32(&'a [f32]),
    CpuU32(&'a [u32]),
    CudaF32(Slice<'a, f32>),
    CudaBf16(Slice<'a, bf16>),
    /// Always whole: kernels read what was made of all of them.
    CudaU32(&'a Indices),
}

/// A borrowed tensor that an op writes to.
#[derive(Debug)]
pub struct ViewMut<'a> {
    pub(crate) dims: Dims,
    pub(crate) data: DataMut<'a>,
}

#[derive(Debug)]
pub(crate) enum DataMut<'a> {
    CpuF32(&'a mut [f32]),
    CpuU32(&'a mut [u32]),
    CudaF32(SliceMut<'a, f32>),
    CudaBf16(SliceMut<'a, bf16>),
    CudaU32(&'a mut Indices),
}

fn check_rows(range: &Range<usize>, dims: Dims) -> Result<()> {
    if dims.rank() == 0 || range.start > range.end || range.end > dims.rows() {
        let problem = format!("rows {range:?} are outside a tensor of shape {dims}");
        return Err(Error::argument("buffer::rows", problem));
    }
    Ok(())
}

/// Indices on CUDA are taken as a whole.
fn check_whole(range: &Range<usize>, dims: Dims) -> Result<()> {
    if *range == (0..dims.rows()) {
        return Ok(());
    }
    let problem = format!("indices {range:?} of {dims} on cuda, where they are taken as a whole");
    Err(Error::argument("buffer::rows", problem))
}

fn check_reshape(from: Dims, axes: &[usize]) -> Result<Dims> {
    let dims = Dims::new(axes)?;
    if dims.len() != from.len() {
        return Err(Error::Shape {
            op: "buffer::reshape",
            tensor: "self",
            expected: dims,
            got: from,
        });
    }
    Ok(dims)
}

impl<'a> View<'a> {
    /// The shape.
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        match self.data {
            Data::CpuF32(_) | Data::CudaF32(_) => Dtype::F32,
            Data::CudaBf16(_) => Dtype::Bf16,
            Data::CpuU32(_) | Data::CudaU32(_) => Dtype::U32,
        }
    }

    /// Where the memory is; what this handle allocates, such as an op's scratch, is for
    /// [`Arena::Activations`].
    pub fn device(&self) -> Device {
        let driver = match self.data {
            Data::CpuF32(_) | Data::CpuU32(_) => return Device::Cpu,
            Data::CudaF32(slice) => slice.driver(),
            Data::CudaBf16(slice) => slice.driver(),
            Data::CudaU32(indices) => indices.driver(),
        };
        Device::Cuda(driver.in_arena(Arena::Activations))
    }

    /// Consecutive rows (steps of the first axis).
    ///
    /// # Errors
    /// [`Error::Argument`] if the range leaves the tensor, or is a part of indices on CUDA.
    pub fn rows(self, range: Range<usize>) -> Result<Self> {
        check_rows(&range, self.dims)?;
        let dims = self.dims.with_rows(range.len());
        let width = self.dims.row_len();
        let elements = range.start * width..range.end * width;
        let data = match self.data {
            Data::CpuF32(values) => Data::CpuF32(&values[elements]),
            Data::CpuU32(values) => Data::CpuU32(&values[elements]),
            Data::CudaF32(slice) => Data::CudaF32(slice.range(elements)?),
            Data::CudaBf16(slice) => Data::CudaBf16(slice.range(elements)?),
            Data::CudaU32(indices) => {
                check_whole(&range, self.dims)?;
                Data::CudaU32(indices)
            }
        };
        Ok(Self { dims, data })
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if the element counts differ.
    pub fn reshape(self, axes: &[usize]) -> Result<Self> {
        Ok(Self { dims: check_reshape(self.dims, axes)?, data: self.data })
    }

    /// The elements, for CPU code of the op `op`.
    ///
    /// # Errors
    /// [`Error::Device`] if the view is not on the CPU, [`Error::Dtype`] if it does not hold f32.
    pub fn f32(self, op: &'static str, tensor: &'static str) -> Result<&'a [f32]> {
        match self.data {
            Data::CpuF32(values) => Ok(values),
            _ => {
                Err(refusal(op, tensor, (&Device::Cpu, Dtype::F32), (self.device(), self.dtype())))
            }
        }
    }

    /// The elements, for CPU code of the op `op`.
    ///
    /// # Errors
    /// [`Error::Device`] if the view is not on the CPU, [`Error::Dtype`] if it does not hold u32.
    pub fn u32(self, op: &'static str, tensor: &'static str) -> Result<&'a [u32]> {
        match self.data {
            Data::CpuU32(values) => Ok(values),
            _ => {
                Err(refusal(op, tensor, (&Device::Cpu, Dtype::U32), (self.device(), self.dtype())))
            }
        }
    }
}

/// Why a tensor is not one of the wanted device and type.
pub(crate) fn refusal(
    op: &'static str,
    tensor: &'static str,
    (device, expected): (&Device, Dtype),
    (at, got): (Device, Dtype),
) -> Error {
    if at == *device {
        return Error::Dtype { op, tensor, expected, got };
    }
    let other = if at.name() == device.name() { "another cuda device" } else { at.name() };
    Error::Device { op, tensor, expected: device.name(), got: other }
}

impl<'a> ViewMut<'a> {
    /// The shape.
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.as_view().dtype()
    }

    /// Where the memory is.
    pub fn device(&self) -> Device {
        self.as_view().device()
    }

    /// The same tensor, to read, for as long as `self` is not used.
    pub fn as_view(&self) -> View<'_> {
        let data = match &self.data {
            DataMut::CpuF32(values) => Data::CpuF32(values),
            DataMut::CpuU32(values) => Data::CpuU32(values),
            DataMut::CudaF32(slice) => Data::CudaF32(slice.as_slice()),
            DataMut::CudaBf16(slice) => Data::CudaBf16(slice.as_slice()),
            DataMut::CudaU32(indices) => Data::CudaU32(indices),
        };
        View { dims: self.dims, data }
    }

    /// A shorter borrow of the same tensor, so that it can be passed on and used again.
    pub fn reborrow(&mut self) -> ViewMut<'_> {
        let data = match &mut self.data {
            DataMut::CpuF32(values) => DataMut::CpuF32(values),
            DataMut::CpuU32(values) => DataMut::CpuU32(values),
            DataMut::CudaF32(slice) => DataMut::CudaF32(slice.reborrow()),
            DataMut::CudaBf16(slice) => DataMut::CudaBf16(slice.reborrow()),
            DataMut::CudaU32(indices) => DataMut::CudaU32(indices),
        };
        ViewMut { dims: self.dims, data }
    }

    /// Overwrites all elements with those of a tensor of the same shape and device. Between bf16 and
    /// f32 the values are converted, to nearest, ties to even.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Dtype`] or [`Error::Device`] if the two do not fit;
    /// [`Error::Driver`] or [`Error::Launch`] if the device refuses.
    pub fn copy_from(self, source: View<'_>) -> Result<()> {
        const OP: &str = "buffer::copy_from";
        if self.dims != source.dims {
            let (expected, got) = (self.dims, source.dims);
            return Err(Error::Shape { op: OP, tensor: "source", expected, got });
        }
        let here = (self.device(), self.dtype());
        match (self.data, source.data) {
            (DataMut::CpuF32(to), _) => to.copy_from_slice(source.f32(OP, "source")?),
            (DataMut::CpuU32(to), _) => to.copy_from_slice(source.u32(OP, "source")?),
            (DataMut::CudaU32(to), Data::CudaU32(from)) if to.driver() == from.driver() => {
                to.values_mut().copy_from_slice(from.values());
            }
            (DataMut::CudaF32(to), Data::CudaF32(from)) if to.driver() == from.driver() => {
                to.copy_from(from)?;
            }
            (DataMut::CudaBf16(to), Data::CudaBf16(from)) if to.driver() == from.driver() => {
                to.copy_from(from)?;
            }
            (DataMut::CudaBf16(to), Data::CudaF32(from)) if to.driver() == from.driver() => {
                cuda::cast::narrow(from.driver(), from, to)?;
            }
            (DataMut::CudaF32(to), Data::CudaBf16(from)) if to.driver() == from.driver() => {
                cuda::cast::widen(from.driver(), from, to)?;
            }
            _ => {
                let (device, dtype) = here;
                let found = (source.device(), source.dtype());
                return Err(refusal(OP, "source", (&device, dtype), found));
            }
        }
        Ok(())
    }

    /// Consecutive rows (steps of the first axis).
    ///
    /// # Errors
    /// [`Error::Argument`] if the range leaves the tensor, or is a part of indices on CUDA.
    pub fn rows(self, range: Range<usize>) -> Result<Self> {
        check_rows(&range, self.dims)?;
        let dims = self.dims.with_rows(range.len());
        let width = self.dims.row_len();
        let elements = range.start * width..range.end * width;
        let data = match self.data {
            DataMut::CpuF32(values) => DataMut::CpuF32(&mut values[elements]),
            DataMut::CpuU32(values) => DataMut::CpuU32(&mut values[elements]),
            DataMut::CudaF32(slice) => DataMut::CudaF32(slice.range(elements)?),
            DataMut::CudaBf16(slice) => DataMut::CudaBf16(slice.range(elements)?),
            DataMut::CudaU32(indices) => {
                check_whole(&range, self.dims)?;
                DataMut::CudaU32(indices)
            }
        };
        Ok(Self { dims, data })
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if the element counts differ.
    pub fn reshape(self, axes: &[usize]) -> Result<Self> {
        Ok(Self { dims: check_reshape(self.dims, axes)?, data: self.data })
    }

    /// The elements, for CPU code of the op `op`.
    ///
    /// # Errors
    /// [`Error::Device`] if the view is not on the CPU, [`Error::Dtype`] if it does not hold f32.
    pub fn into_f32(self, op: &'static str, tensor: &'static str) -> Result<&'a mut [f32]> {
        let found = (self.device(), self.dtype());
        match self.data {
            DataMut::CpuF32(values) => Ok(values),
            _ => Err(refusal(op, tensor, (&Device::Cpu, Dtype::F32), found)),
        }
    }

    /// The elements, for CPU code of the op `op`.
    ///
    /// # Errors
    /// [`Error::Device`] if the view is not on the CPU, [`Error::Dtype`] if it does not hold u32.
    pub fn into_u32(self, op: &'static str, tensor: &'static str) -> Result<&'a mut [u32]> {
        let found = (self.device(), self.dtype());
        match self.data {
            DataMut::CpuU32(values) => Ok(values),
            _ => Err(refusal(op, tensor, (&Device::Cpu, Dtype::U32), found)),
        }
    }
}
