//! The CUDA side of [`super`].

use super::{Normalisation, Singleton};
use crate::{
    View, ViewMut,
    cuda::{self, Driver, Operands},
    error::Result,
};

/// Unlike the CPU, which looks at every reward, this reports one that is not finite by advantages that
/// are not.
pub(super) fn normalise(
    driver: &Driver,
    op: &'static str,
    [rewards, groups]: [View<'_>; 2],
    normalisation: Normalisation,
    singleton: Singleton,
    out: ViewMut<'_>,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let groups = cuda::advantage::Groups::upload(driver, on.u32("groups", groups)?.values())?;
    let (rewards, out) = (on.f32("rewards", rewards)?, on.f32_mut("out", out)?);
    cuda::advantage::normalise(driver, rewards, &groups, normalisation, singleton, out)
}
