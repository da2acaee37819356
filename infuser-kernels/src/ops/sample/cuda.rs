//! The CUDA side of [`super`].

use super::{Draw, Drawn, Uniform};
use crate::{
    View,
    cuda::{self, Driver, Operands},
    error::{Error, Result},
};

pub(super) fn draw(
    driver: &Driver,
    op: &'static str,
    logits: View<'_>,
    shape: [usize; 2],
    draws: &[Draw<'_>],
) -> Result<Vec<Drawn>> {
    let on = Operands::new(driver, op);
    let mut own = Vec::with_capacity(draws.len());
    for Draw { row, sampling, uniform, penalty } in draws.iter().copied() {
        let Uniform::Of(stream, index) = uniform else {
            let problem = "a number is given, but cuda draws its own; name a stream";
            return Err(Error::argument(op, problem));
        };
        own.push(cuda::sample::Draw { row, sampling, stream, index, penalty });
    }
    cuda::sample::draw(driver, on.f32("logits", logits)?, shape, &own)?.download()
}
