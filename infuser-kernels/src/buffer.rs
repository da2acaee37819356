//! Owned memory on a device, and borrowed views of it. No arithmetic happens here.

use std::fmt;
use std::ops::Range;

use crate::{
    Device, Dims,
    error::{Error, Result},
};

/// The element type of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE single precision: weights, activations, optimizer state.
    F32,
    /// Unsigned 32-bit: token ids, row indices, positions.
    U32,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::U32 => "u32",
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Storage {
    CpuF32(Vec<f32>),
    CpuU32(Vec<u32>),
}

/// A contiguous row-major tensor that owns its memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    dims: Dims,
    storage: Storage,
}

/// A borrowed, read-only tensor: a whole [`Buffer`] or consecutive rows of one.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    dims: Dims,
    data: Data<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Data<'a> {
    CpuF32(&'a [f32]),
    CpuU32(&'a [u32]),
}

/// A borrowed tensor that an op writes to.
#[derive(Debug)]
pub struct ViewMut<'a> {
    dims: Dims,
    data: DataMut<'a>,
}

#[derive(Debug)]
enum DataMut<'a> {
    CpuF32(&'a mut [f32]),
    CpuU32(&'a mut [u32]),
}

/// A vector of one value, or an error if there is no room for it.
pub(crate) fn filled<T: Clone>(dims: Dims, value: T) -> Result<Vec<T>> {
    let want_bytes = dims.len() * size_of::<T>();
    let mut values = Vec::new();
    values.try_reserve_exact(dims.len()).map_err(|_| Error::Memory {
        device: Device::Cpu.name(),
        dims,
        want_bytes,
    })?;
    values.resize(dims.len(), value);
    Ok(values)
}

fn refill<T: Clone + Default>(values: &mut Vec<T>, dims: Dims) -> Result<()> {
    let len = dims.len();
    let want_bytes = len * size_of::<T>();
    if len > values.capacity() {
        // The old values are not wanted: freeing them first keeps the peak down.
        *values = Vec::new();
        values.try_reserve_exact(len).map_err(|_| Error::Memory {
            device: Device::Cpu.name(),
            dims,
            want_bytes,
        })?;
    }
    values.resize(len, T::default());
    Ok(())
}

impl Buffer {
    pub(crate) fn zeros(device: Device, dims: Dims, dtype: Dtype) -> Result<Self> {
        let storage = match (device, dtype) {
            (Device::Cpu, Dtype::F32) => Storage::CpuF32(filled(dims, 0.0)?),
            (Device::Cpu, Dtype::U32) => Storage::CpuU32(filled(dims, 0)?),
        };
        Ok(Self { dims, storage })
    }

    pub(crate) fn from_f32(device: Device, values: Vec<f32>, dims: Dims) -> Result<Self> {
        if values.len() != dims.len() {
            let got = Dims::new(&[values.len()])?;
            return Err(Error::Shape {
                op: "buffer::from_f32",
                tensor: "values",
                expected: dims,
                got,
            });
        }
        match device {
            Device::Cpu => Ok(Self { dims, storage: Storage::CpuF32(values) }),
        }
    }

    pub(crate) fn from_u32(device: Device, values: Vec<u32>) -> Result<Self> {
        let dims = Dims::new(&[values.len()])?;
        match device {
            Device::Cpu => Ok(Self { dims, storage: Storage::CpuU32(values) }),
        }
    }

    /// The shape.
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        match self.storage {
            Storage::CpuF32(_) => Dtype::F32,
            Storage::CpuU32(_) => Dtype::U32,
        }
    }

    /// Where the memory is.
    pub fn device(&self) -> Device {
        match self.storage {
            Storage::CpuF32(_) | Storage::CpuU32(_) => Device::Cpu,
        }
    }

    /// Size of the memory held.
    pub fn size_bytes(&self) -> usize {
        self.dims.len() * self.dtype().size_bytes()
    }

    /// The whole tensor, to read.
    pub fn view(&self) -> View<'_> {
        let data = match &self.storage {
            Storage::CpuF32(values) => Data::CpuF32(values),
            Storage::CpuU32(values) => Data::CpuU32(values),
        };
        View { dims: self.dims, data }
    }

    /// The whole tensor, to write.
    pub fn view_mut(&mut self) -> ViewMut<'_> {
        let data = match &mut self.storage {
            Storage::CpuF32(values) => DataMut::CpuF32(values),
            Storage::CpuU32(values) => DataMut::CpuU32(values),
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

    /// A copy of the values in host memory.
    ///
    /// # Errors
    /// [`Error::Dtype`] if the buffer does not hold f32.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        Ok(self.view().f32("buffer::to_f32", "self")?.to_vec())
    }

    /// Overwrites all values from host memory.
    ///
    /// # Errors
    /// [`Error::Shape`] on another length, [`Error::Dtype`] if the buffer does not hold f32.
    pub fn copy_from_f32(&mut self, values: &[f32]) -> Result<()> {
        const OP: &str = "buffer::copy_from_f32";
        let expected = self.dims;
        let held = self.view_mut().into_f32(OP, "self")?;
        if held.len() != values.len() {
            let got = Dims::new(&[values.len()])?;
            return Err(Error::Shape { op: OP, tensor: "values", expected, got });
        }
        held.copy_from_slice(values);
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
            Storage::CpuF32(values) => refill(values, dims)?,
            Storage::CpuU32(values) => refill(values, dims)?,
        }
        self.dims = dims;
        Ok(())
    }

    /// Overwrites every element with zero.
    pub fn clear(&mut self) {
        match &mut self.storage {
            Storage::CpuF32(values) => values.fill(0.0),
            Storage::CpuU32(values) => values.fill(0),
        }
    }
}

fn check_rows(range: &Range<usize>, dims: Dims) -> Result<()> {
    if dims.rank() == 0 || range.start > range.end || range.end > dims.rows() {
        let problem = format!("rows {range:?} are outside a tensor of shape {dims}");
        return Err(Error::argument("buffer::rows", problem));
    }
    Ok(())
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
            Data::CpuF32(_) => Dtype::F32,
            Data::CpuU32(_) => Dtype::U32,
        }
    }

    /// Where the memory is.
    pub fn device(&self) -> Device {
        match self.data {
            Data::CpuF32(_) | Data::CpuU32(_) => Device::Cpu,
        }
    }

    /// Consecutive rows (steps of the first axis).
    ///
    /// # Errors
    /// [`Error::Argument`] if the range leaves the tensor.
    pub fn rows(self, range: Range<usize>) -> Result<Self> {
        check_rows(&range, self.dims)?;
        let dims = self.dims.with_rows(range.len());
        let width = self.dims.row_len();
        let elements = range.start * width..range.end * width;
        let data = match self.data {
            Data::CpuF32(values) => Data::CpuF32(&values[elements]),
            Data::CpuU32(values) => Data::CpuU32(&values[elements]),
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
    /// [`Error::Dtype`] if the view does not hold f32.
    pub fn f32(self, op: &'static str, tensor: &'static str) -> Result<&'a [f32]> {
        match self.data {
            Data::CpuF32(values) => Ok(values),
            _ => Err(Error::Dtype { op, tensor, expected: Dtype::F32, got: self.dtype() }),
        }
    }

    /// The elements, for CPU code of the op `op`.
    ///
    /// # Errors
    /// [`Error::Dtype`] if the view does not hold u32.
    pub fn u32(self, op: &'static str, tensor: &'static str) -> Result<&'a [u32]> {
        match self.data {
            Data::CpuU32(values) => Ok(values),
            _ => Err(Error::Dtype { op, tensor, expected: Dtype::U32, got: self.dtype() }),
        }
    }
}

impl<'a> ViewMut<'a> {
    /// The shape.
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        match self.data {
            DataMut::CpuF32(_) => Dtype::F32,
            DataMut::CpuU32(_) => Dtype::U32,
        }
    }

    /// Where the memory is.
    pub fn device(&self) -> Device {
        match self.data {
            DataMut::CpuF32(_) | DataMut::CpuU32(_) => Device::Cpu,
        }
    }

    /// The same tensor, to read, for as long as `self` is not used.
    pub fn as_view(&self) -> View<'_> {
        let data = match &self.data {
            DataMut::CpuF32(values) => Data::CpuF32(values),
            DataMut::CpuU32(values) => Data::CpuU32(values),
        };
        View { dims: self.dims, data }
    }

    /// A shorter borrow of the same tensor, so that it can be passed on and used again.
    pub fn reborrow(&mut self) -> ViewMut<'_> {
        let data = match &mut self.data {
            DataMut::CpuF32(values) => DataMut::CpuF32(values),
            DataMut::CpuU32(values) => DataMut::CpuU32(values),
        };
        ViewMut { dims: self.dims, data }
    }

    /// Overwrites all elements with those of a tensor of the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Dtype`] if the two differ.
    pub fn copy_from(self, source: View<'_>) -> Result<()> {
        const OP: &str = "buffer::copy_from";
        if self.dims != source.dims {
            let (expected, got) = (self.dims, source.dims);
            return Err(Error::Shape { op: OP, tensor: "source", expected, got });
        }
        match self.data {
            DataMut::CpuF32(values) => values.copy_from_slice(source.f32(OP, "source")?),
            DataMut::CpuU32(values) => values.copy_from_slice(source.u32(OP, "source")?),
        }
        Ok(())
    }

    /// Consecutive rows (steps of the first axis).
    ///
    /// # Errors
    /// [`Error::Argument`] if the range leaves the tensor.
    pub fn rows(self, range: Range<usize>) -> Result<Self> {
        check_rows(&range, self.dims)?;
        let dims = self.dims.with_rows(range.len());
        let width = self.dims.row_len();
        let elements = range.start * width..range.end * width;
        let data = match self.data {
            DataMut::CpuF32(values) => DataMut::CpuF32(&mut values[elements]),
            DataMut::CpuU32(values) => DataMut::CpuU32(&mut values[elements]),
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
    /// [`Error::Dtype`] if the view does not hold f32.
    pub fn into_f32(self, op: &'static str, tensor: &'static str) -> Result<&'a mut [f32]> {
        let got = self.dtype();
        match self.data {
            DataMut::CpuF32(values) => Ok(values),
            _ => Err(Error::Dtype { op, tensor, expected: Dtype::F32, got }),
        }
    }

    /// The elements, for CPU code of the op `op`.
    ///
    /// # Errors
    /// [`Error::Dtype`] if the view does not hold u32.
    pub fn into_u32(self, op: &'static str, tensor: &'static str) -> Result<&'a mut [u32]> {
        let got = self.dtype();
        match self.data {
            DataMut::CpuU32(values) => Ok(values),
            _ => Err(Error::Dtype { op, tensor, expected: Dtype::U32, got }),
        }
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
