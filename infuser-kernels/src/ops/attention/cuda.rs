//! The CUDA side of [`super`].

use super::{Attention, Gradients, Saved, Segments, Sizes};
use crate::{
    View, ViewMut,
    cuda::{self, Driver, Operands, attention::Inputs},
    error::Result,
};

fn inputs<'a>(on: &Operands<'_>, sizes: &Sizes, [q, k, v]: [View<'a>; 3]) -> Result<Inputs<'a>> {
    let heads = [sizes.heads, sizes.kv_heads, sizes.width];
    Ok(Inputs { q: on.bf16("q", q)?, k: on.bf16("k", k)?, v: on.bf16("v", v)?, heads })
}

pub(super) fn forward(
    driver: &Driver,
    op: &'static str,
    (attention, segments, sizes): (&Attention, &Segments, &Sizes),
    qkv: [View<'_>; 3],
    [out, lse]: [ViewMut<'_>; 2],
) -> Result<()> {
    let on = Operands::new(driver, op);
    let inputs = inputs(&on, sizes, qkv)?;
    let outputs = (on.bf16_mut("out", out)?, on.f32_mut("lse", lse)?);
    let packing = segments.packing(driver, [sizes.rows, sizes.kv_rows])?;
    cuda::attention::forward(driver, attention, &packing, &inputs, outputs)
}

pub(super) fn backward(
    driver: &Driver,
    op: &'static str,
    (attention, segments, sizes): (&Attention, &Segments, &Sizes),
    (saved, dout): (Saved<'_>, View<'_>),
    gradients: Gradients<'_>,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let Saved { q, k, v, out, lse } = saved;
    let inputs = inputs(&on, sizes, [q, k, v])?;
    let saved = cuda::attention::Saved {
        out: on.bf16("out", out)?,
        lse: on.f32("lse", lse)?,
        dout: on.bf16("dout", dout)?,
    };
    let Gradients { dq, dk, dv } = gradients;
    let gradients = cuda::attention::Gradients {
        dq: on.bf16_mut("dq", dq)?,
        dk: on.bf16_mut("dk", dk)?,
        dv: on.bf16_mut("dv", dv)?,
    };
    let packing = segments.packing(driver, [sizes.rows, sizes.kv_rows])?;
    cuda::attention::backward(driver, attention, &packing, &inputs, saved, gradients)
}
