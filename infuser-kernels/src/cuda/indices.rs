//! Indices of a device: token ids, rows, positions. A kernel cannot check them, so they stay on the host,
//! where the ops do; what kernels read of them is uploaded once and kept.

use std::sync::{Arc, OnceLock};

use super::{Driver, embedding::Ids, head::Targets, memory::check_len, rope::Positions};
use crate::error::Result;

/// u32 values of a device.
#[derive(Debug)]
pub(crate) struct Indices {
    driver: Driver,
    values: Vec<u32>,
    ids: OnceLock<Arc<Ids>>,
    targets: OnceLock<Arc<Targets>>,
    positions: OnceLock<Arc<Positions>>,
}

impl Indices {
    pub(crate) fn new(driver: &Driver, values: Vec<u32>) -> Self {
        Self {
            driver: driver.clone(),
            values,
            ids: OnceLock::new(),
            targets: OnceLock::new(),
            positions: OnceLock::new(),
        }
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(crate) fn values(&self) -> &[u32] {
        &self.values
    }

    /// The values, to change; what was uploaded of them is forgotten.
    pub(crate) fn values_mut(&mut self) -> &mut Vec<u32> {
        (self.ids, self.targets, self.positions) = Default::default();
        &mut self.values
    }

    /// Other values, as many, in the place of these: what reads the old ones on the device reads the new.
    pub(crate) fn set(&mut self, values: &[u32]) -> Result<()> {
        check_len("cuda::indices::set", "values", values.len(), &[self.values.len()])?;
        self.values.copy_from_slice(values);
        in_place(&mut self.ids, |ids| ids.set(values))?;
        in_place(&mut self.positions, |positions| positions.set(values))?;
        self.targets = OnceLock::new();
        Ok(())
    }

    /// As rows of a table of `rows` rows.
    pub(crate) fn ids(&self, rows: usize) -> Result<Arc<Ids>> {
        let upload = || Ids::upload(&self.driver, &self.values, rows);
        kept(&self.ids, |ids| ids.rows() == rows, upload)
    }

    /// As tokens of a vocabulary.
    pub(crate) fn targets(&self, vocab: usize) -> Result<Arc<Targets>> {
        let upload = || Targets::upload(&self.driver, &self.values, vocab);
        kept(&self.targets, |targets| targets.vocab() == vocab, upload)
    }

    /// As positions in tables of `rows` rows.
    pub(crate) fn positions(&self, rows: usize) -> Result<Arc<Positions>> {
        let upload = || Positions::upload(&self.driver, &self.values, rows);
        kept(&self.positions, |positions| positions.rows() == rows, upload)
    }
}

/// Changes what was uploaded; forgets it if somebody else holds it too, or it cannot be changed.
pub(crate) fn in_place<T>(
    place: &mut OnceLock<Arc<T>>,
    set: impl FnOnce(&mut T) -> Result<()>,
) -> Result<()> {
    let done = match place.get_mut().map(Arc::get_mut) {
        None => return Ok(()),
        Some(Some(kept)) => set(kept).map(|()| true),
        Some(None) => Ok(false),
    };
    if !matches!(done, Ok(true)) {
        *place = OnceLock::new();
    }
    done.map(drop)
}

/// What was uploaded before, if it fits; else a new one, kept if it is the first.
pub(crate) fn kept<T>(
    place: &OnceLock<Arc<T>>,
    fits: impl Fn(&T) -> bool,
    upload: impl Fn() -> Result<T>,
) -> Result<Arc<T>> {
    if let Some(known) = place.get().filter(|known| fits(known)) {
        return Ok(known.clone());
    }
    let new = Arc::new(upload()?);
    Ok(match place.get() {
        Some(_) => new,
        None => place.get_or_init(|| new).clone(),
    })
}
