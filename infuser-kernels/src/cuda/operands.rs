//! The operands of an op as the memory of its driver.

use half::bf16;

use super::{Arena, Driver, Indices, Memory, Slice, SliceMut};
use crate::{
    Device, Dtype, View, ViewMut,
    error::{Error, Result},
    view::{Data, DataMut, refusal},
};

/// Takes the tensors of one op on one driver; all others are refused by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands<'d> {
    pub(crate) driver: &'d Driver,
    pub(crate) op: &'static str,
}

impl<'d> Operands<'d> {
    pub(crate) fn new(driver: &'d Driver, op: &'static str) -> Self {
        Self { driver, op }
    }

    fn refuse(&self, tensor: &'static str, want: Dtype, view: View<'_>) -> Error {
        let here = Device::Cuda(self.driver.clone());
        refusal(self.op, tensor, (&here, want), (view.device(), view.dtype()))
    }

    pub(crate) fn f32<'a>(&self, tensor: &'static str, view: View<'a>) -> Result<Slice<'a, f32>> {
        match view.data {
            Data::CudaF32(slice) if slice.driver() == self.driver => Ok(slice),
            _ => Err(self.refuse(tensor, Dtype::F32, view)),
        }
    }

    pub(crate) fn bf16<'a>(&self, tensor: &'static str, view: View<'a>) -> Result<Slice<'a, bf16>> {
        match view.data {
            Data::CudaBf16(slice) if slice.driver() == self.driver => Ok(slice),
            _ => Err(self.refuse(tensor, Dtype::Bf16, view)),
        }
    }

    pub(crate) fn u32<'a>(&self, tensor: &'static str, view: View<'a>) -> Result<&'a Indices> {
        match view.data {
            Data::CudaU32(indices) if indices.driver() == self.driver => Ok(indices),
            _ => Err(self.refuse(tensor, Dtype::U32, view)),
        }
    }

    pub(crate) fn f32_mut<'a>(
        &self,
        tensor: &'static str,
        view: ViewMut<'a>,
    ) -> Result<SliceMut<'a, f32>> {
        self.f32(tensor, view.as_view())?;
        match view.data {
            DataMut::CudaF32(slice) => Ok(slice),
            _ => Err(self.refuse(tensor, Dtype::F32, view.as_view())),
        }
    }

    pub(crate) fn bf16_mut<'a>(
        &self,
        tensor: &'static str,
        view: ViewMut<'a>,
    ) -> Result<SliceMut<'a, bf16>> {
        self.bf16(tensor, view.as_view())?;
        match view.data {
            DataMut::CudaBf16(slice) => Ok(slice),
            _ => Err(self.refuse(tensor, Dtype::Bf16, view.as_view())),
        }
    }
}

/// A tensor, or a copy of it in `held` if it does not start where 16-byte accesses may: rows of a width
/// that no power of two divides.
pub(crate) fn aligned<'a>(
    tensor: Slice<'a, bf16>,
    held: &'a mut Option<Memory<bf16>>,
) -> Result<Slice<'a, bf16>> {
    if tensor.address.is_multiple_of(16) {
        return Ok(tensor);
    }
    let driver = tensor.driver().in_arena(Arena::Activations);
    let held = held.insert(Memory::unset(&driver, tensor.len)?);
    held.slice_mut().copy_from(tensor)?;
    Ok(held.slice())
}
