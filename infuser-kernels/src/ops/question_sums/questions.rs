//! Which rows of a batch belong to which question.

use std::ops::Range;

use crate::error::{Error, Result};

/// The rows of each question of a batch, as ranges. A question may have none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Questions {
    ranges: Vec<Range<usize>>,
    /// Where each question's ranges end in `ranges`.
    ends: Vec<usize>,
    /// One past the last row of all.
    rows: usize,
}

impl Questions {
    /// Adds a question with these rows. Empty ranges are left out, neighbours become one.
    pub fn push(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) {
        let first = self.ranges.len();
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            self.rows = self.rows.max(range.end);
            match self.ranges[first..].last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.ranges.push(range),
            }
        }
        self.ends.push(self.ranges.len());
    }

    /// The same questions where each row has become `per` rows.
    #[must_use]
    pub fn scaled(&self, per: usize) -> Self {
        let scale = |range: &Range<usize>| range.start * per..range.end * per;
        let ranges = self.ranges.iter().map(scale).collect();
        Self { ranges, ends: self.ends.clone(), rows: self.rows * per }
    }

    /// How many questions.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// No questions.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The rows of one question.
    ///
    /// # Panics
    /// If there is no such question.
    pub fn ranges(&self, question: usize) -> &[Range<usize>] {
        let start = question.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ranges[start..self.ends[question]]
    }

    pub(crate) fn check(&self, op: &'static str, rows: usize) -> Result<()> {
        if self.rows <= rows {
            return Ok(());
        }
        let problem = format!("questions with {} rows in a batch of {rows}", self.rows);
        Err(Error::argument(op, problem))
    }
}

/// A row of a table that a question gives a gradient to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touched {
    /// The row of the table.
    pub id: u32,
    /// The question.
    pub question: u32,
}

impl Touched {
    pub(crate) fn check(
        op: &'static str,
        touched: &[Self],
        questions: usize,
        ids: Range<usize>,
    ) -> Result<()> {
        let fits =
            |row: &Self| (row.question as usize) < questions && ids.contains(&(row.id as usize));
        match touched.iter().find(|row| !fits(row)) {
            None => Ok(()),
            Some(Self { id, question }) => Err(Error::argument(
                op,
                format!(
                    "table row {id} of question {question}, expected rows {}..{} of {questions} questions",
                    ids.start, ids.end
                ),
            )),
        }
    }
}
