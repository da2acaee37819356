//! Launches of `advantage.cu`. Formulas are those of [`crate::ops::advantage`].

use super::{
    Driver, Kernel, Memory, Slice, SliceMut,
    launch::{Argument, Launch, size},
    memory::check_len,
};
use crate::{
    error::Result,
    ops::advantage::{Normalisation, Singleton},
};

/// One warp: a block owns a group.
const WARP: u32 = 32;
/// Threads of the one block that looks at all groups.
const BLOCK: u32 = 256;

/// Which rows belong to which group, sorted by group.
#[derive(Debug)]
pub struct Groups {
    /// `[N]`: rows by group, those of a group ascending.
    members: Memory<u32>,
    /// `[G + 1]`: where each group begins in `members`.
    starts: Memory<u32>,
    rows: usize,
    groups: usize,
}

impl Groups {
    /// Sorts rows by group and uploads them. `groups` holds the group of each row, in any order; ids may
    /// leave gaps.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for more than 2³¹ − 1 rows; as [`Memory::upload`].
    pub fn upload(driver: &Driver, groups: &[u32]) -> Result<Self> {
        let rows = size("cuda::advantage::groups", "rows", groups.len())?;
        let mut members: Vec<u32> = (0..rows).collect();
        members.sort_unstable_by_key(|&row| (groups[row as usize], row));
        let mut starts = vec![0];
        for group in members.chunk_by(|&a, &b| groups[a as usize] == groups[b as usize]) {
            starts.push(starts[starts.len() - 1] + group.len() as u32);
        }
        Ok(Self {
            members: Memory::upload(driver, &members)?,
            starts: Memory::upload(driver, &starts)?,
            rows: groups.len(),
            groups: starts.len() - 1,
        })
    }
}

fn letter(normalisation: Normalisation) -> u32 {
    match normalisation {
        Normalisation::GroupStd => 0,
        Normalisation::DualStd => 1,
        Normalisation::BatchStd => 2,
        Normalisation::Centred => 3,
    }
}

/// The advantage of every row, in f64 and rounded once. Rows of a group are added in their order, so
/// that another order of rows may change the last bit. Rewards stay on the device and are not looked
/// at here: one that is not finite gives advantages that are not finite, or the largest f32.
///
/// # Shapes
/// `rewards`, `out`: `[N]`, for the N rows of `groups`.
///
/// # Errors
/// [`crate::Error::Shape`] naming the tensor that does not fit, [`crate::Error::Memory`] without room
/// for the moments, [`crate::Error::Launch`] if the driver refuses.
pub fn normalise(
    driver: &Driver,
    rewards: Slice<'_, f32>,
    groups: &Groups,
    normalisation: Normalisation,
    singleton: Singleton,
    out: SliceMut<'_, f32>,
) -> Result<()> {
    const OP: &str = "cuda::advantage::normalise";
    check_len(OP, "rewards", rewards.len, &[groups.rows])?;
    check_len(OP, "out", out.len, &[groups.rows])?;
    if groups.groups == 0 {
        return Ok(());
    }
    let count = size(OP, "groups", groups.groups)?;
    let mut moments = Memory::<f64>::unset(driver, 2 * groups.groups)?;
    let mut shared = Memory::<f64>::unset(driver, 1)?;
    let (members, starts) = (groups.members.slice(), groups.starts.slice());
    let inputs: [Argument; 3] = [rewards.into(), members.into(), starts.into()];
    let run = |kernel, blocks, block, rest: &[Argument]| {
        let arguments = [&inputs[..], rest].concat();
        let launch = Launch { kernel, grid: [blocks, 1], block, arguments: &arguments };
        // SAFETY: rewards and out hold a value for each row; `Groups` made members and starts for each
        // other, and every group has a row; moments and shared are of the header's sizes and were made
        // here; the exclusive borrow of out overlaps nothing.
        unsafe { driver.launch(&launch) }
    };
    let raw = u32::from(singleton == Singleton::Raw);
    let rest = [moments.slice_mut().into(), raw.into()];
    run(Kernel::AdvantageMoments, groups.groups, WARP, &rest)?;
    let mode = letter(normalisation);
    if matches!(normalisation, Normalisation::DualStd | Normalisation::BatchStd) {
        let (moments, shared) = (moments.slice(), shared.slice_mut());
        let rest = [moments.into(), shared.into(), count.into(), mode.into()];
        run(Kernel::AdvantageShared, 1, BLOCK, &rest)?;
    }
    let (moments, shared) = (moments.slice(), shared.slice());
    let rest = [moments.into(), shared.into(), out.into(), mode.into()];
    run(Kernel::AdvantageApply, groups.groups, WARP, &rest)
}
