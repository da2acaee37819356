//! The CUDA side of [`super`].

use super::{Attention, Segments};
use crate::{
    View, ViewMut,
    cuda::{self, Arena, Operands, paged::Cache},
    error::Result,
};

pub(super) fn append(
    op: &'static str,
    cache: &mut Cache,
    segments: &Segments,
    [k, v]: [View<'_>; 2],
) -> Result<()> {
    let driver = &cache.driver().in_arena(Arena::Activations);
    let on = Operands::new(driver, op);
    let plan = segments.plan(k.dims().rows(), cache)?;
    cuda::paged::append(driver, cache, &plan, [on.bf16("k", k)?, on.bf16("v", v)?])
}

pub(super) fn attention(
    op: &'static str,
    (attention, segments): (&Attention, &Segments),
    (q, heads): (View<'_>, usize),
    cache: &Cache,
    [out, lse]: [ViewMut<'_>; 2],
) -> Result<()> {
    let driver = &cache.driver().in_arena(Arena::Activations);
    let on = Operands::new(driver, op);
    let plan = segments.plan(q.dims().rows(), cache)?;
    let outputs = (on.bf16_mut("out", out)?, on.f32_mut("lse", lse)?);
    cuda::paged::attention(driver, attention, &plan, (on.bf16("q", q)?, heads), cache, outputs)
}
