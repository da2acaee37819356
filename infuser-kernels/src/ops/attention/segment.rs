//! Who sees whom: segments, their checks, and the visible range of a query row.

use std::{
    ops::{Deref, Range},
    sync::{Arc, OnceLock},
};

use super::Attention;
use crate::{
    cuda::{Driver, attention::Packing, kept},
    error::{Error, Result},
};

/// Consecutive queries of one sequence and the key rows they may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Rows of the query tensor. Segments are listed in this order and do not overlap in it.
    pub q: Range<usize>,
    /// The segment's own rows of the key tensor; the last one belongs to the last query.
    pub kv: Range<usize>,
    /// Rows of the key tensor that come before the segment's own, all visible; empty for none.
    pub prefix: Range<usize>,
}

/// The segments of a batch, in the order of their queries, with what a device has made of them: every
/// layer reads that, and it is made once.
#[derive(Debug, Default)]
pub struct Segments {
    list: Vec<Segment>,
    packing: OnceLock<Arc<Packing>>,
}

impl From<Vec<Segment>> for Segments {
    fn from(list: Vec<Segment>) -> Self {
        Self { list, packing: OnceLock::new() }
    }
}

impl Deref for Segments {
    type Target = [Segment];

    fn deref(&self) -> &[Segment] {
        &self.list
    }
}

impl Segments {
    /// Uploaded for so many rows of queries and keys.
    pub(super) fn packing(&self, driver: &Driver, rows: [usize; 2]) -> Result<Arc<Packing>> {
        let fits = |packing: &Packing| packing.is_for(driver, rows);
        kept(&self.packing, fits, || Packing::upload(driver, &self.list, rows))
    }
}

impl Segment {
    /// A sequence of its own: queries and keys are the same rows, and nothing comes before.
    pub fn causal(rows: Range<usize>) -> Self {
        Self { q: rows.clone(), kv: rows, prefix: 0..0 }
    }

    /// A continuation of the rows `prefix`, which several segments may share.
    pub fn after(prefix: Range<usize>, rows: Range<usize>) -> Self {
        Self { q: rows.clone(), kv: rows, prefix }
    }

    /// The two stretches of key rows this segment sees, the prefix first.
    pub(super) fn stretches(&self) -> [Stretch; 2] {
        [
            Stretch { rows: self.prefix.clone(), position: 0 },
            Stretch { rows: self.kv.clone(), position: self.prefix.len() },
        ]
    }

    /// The row of the key tensor that holds `position`.
    pub(super) fn row(&self, position: usize) -> usize {
        match position.checked_sub(self.prefix.len()) {
            None => self.prefix.start + position,
            Some(own) => self.kv.start + own,
        }
    }

    /// The position of query `i` of this segment.
    pub(crate) fn position(&self, i: usize) -> usize {
        self.prefix.len() + self.kv.len() - self.q.len() + i
    }
}

/// Consecutive key rows at consecutive positions.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    pub(super) rows: Range<usize>,
    /// The position of the first row.
    position: usize,
}

impl Stretch {
    /// The part of this stretch, counted from its start, that a query at `position` sees.
    pub(super) fn visible(&self, position: usize, window: Option<usize>) -> Range<usize> {
        let len = self.rows.len();
        let end = (position + 1).saturating_sub(self.position).min(len);
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
        first.saturating_sub(self.position).min(end)..end
    }
}

/// Checks that a window sees something.
pub(crate) fn check_window(op: &'static str, attention: &Attention) -> Result<()> {
    if attention.window == Some(0) {
        return Err(Error::argument(op, "a sliding window of 0 sees nothing; use at least 1"));
    }
    Ok(())
}

/// Checks that every range is inside its tensor, of `rows` queries or `kv_rows` keys, and that queries
/// are listed in order.
pub(crate) fn check_segments(
    op: &'static str,
    segments: &[Segment],
    [rows, kv_rows]: [usize; 2],
) -> Result<()> {
    let mut next_row = 0;
    for (i, segment) in segments.iter().enumerate() {
        let Segment { q, kv, prefix } = segment;
        let fail = |what: String| Err(Error::argument(op, format!("segment {i}: {what}")));
        if q.start > q.end || q.start < next_row || q.end > rows {
            return fail(format!("queries {q:?} are not after row {next_row} and within {rows}",));
        }
        for (name, range) in [("keys", kv), ("prefix", prefix)] {
            if range.start > range.end || range.end > kv_rows {
                return fail(format!("{name} {range:?} are not within {kv_rows} rows"));
            }
        }
        if kv.len() < q.len() {
            return fail(format!("{} queries but only {} keys of its own", q.len(), kv.len()));
        }
        let overlap = kv.start.max(prefix.start)..kv.end.min(prefix.end);
        if !overlap.is_empty() {
            return fail(format!("keys {kv:?} and prefix {prefix:?} overlap"));
        }
        next_row = q.end;
    }
    Ok(())
}
