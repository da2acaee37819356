//! The CUDA side of [`super`]: factors are bf16, a product is either float.

use half::bf16;

use crate::{
    Dtype, View, ViewMut, Write,
    cuda::{
        Driver, Operands, Slice, SliceMut,
        matmul::{Output, nn, nt, tn},
    },
    error::Result,
};

/// Which factor is stored transposed, by name of the product.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Nt,
    Nn,
    Tn,
}

/// The product of `a` and `b`, named `names` with the output, of the sizes `[M, N, K]` of its form.
pub(super) fn multiply(
    driver: &Driver,
    op: &'static str,
    form: Form,
    sizes: [usize; 3],
    ([a, b], out): ([View<'_>; 2], ViewMut<'_>),
    names: [&'static str; 3],
    write: Write,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let factors = [on.bf16(names[0], a)?, on.bf16(names[1], b)?];
    match out.dtype() {
        Dtype::Bf16 => run(driver, form, sizes, factors, on.bf16_mut(names[2], out)?, write),
        _ => run(driver, form, sizes, factors, on.f32_mut(names[2], out)?, write),
    }
}

fn run<T: Output>(
    driver: &Driver,
    form: Form,
    sizes: [usize; 3],
    [a, b]: [Slice<'_, bf16>; 2],
    out: SliceMut<'_, T>,
    write: Write,
) -> Result<()> {
    let [m, n, k] = sizes;
    let terms = match form {
        Form::Nt => k,
        Form::Nn => n,
        Form::Tn => m,
    };
    // A sum of nothing, which the library refuses.
    if terms == 0 {
        return if write == Write::Overwrite { out.clear() } else { Ok(()) };
    }
    match form {
        Form::Nt => nt(driver, sizes, a, b, out, write),
        Form::Nn => nn(driver, sizes, a, b, out, write),
        Form::Tn => tn(driver, sizes, a, b, out, write),
    }
}
