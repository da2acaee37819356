//! The sums of a batch's questions while a backward pass adds them up.

use super::{Against, Sums, cuda, influence};
use crate::{
    Device, View,
    error::{Error, Result},
};

/// Sums of questions, added up tensor by tensor. On CUDA every part stays on the device until
/// [`Tally::finish`], so that the host waits once for all of them.
#[derive(Debug)]
pub struct Tally {
    pub(super) sums: Vec<Sums>,
    pub(super) parts: cuda::Parts,
}

impl Tally {
    /// Nothing summed yet, for so many questions.
    pub fn new(questions: usize) -> Self {
        Self { sums: vec![Sums::default(); questions], parts: cuda::Parts::default() }
    }

    /// How many questions there are.
    pub fn questions(&self) -> usize {
        self.sums.len()
    }

    /// Adds the sums of a gradient of `question` by one tensor.
    ///
    /// # Shapes
    /// `gradient` and `against`: any, the same.
    ///
    /// # Errors
    /// As [`influence::sums`]; [`Error::Argument`] for a question that is not there.
    pub fn add(
        &mut self,
        question: usize,
        gradient: View<'_>,
        against: &Against<'_>,
    ) -> Result<()> {
        const OP: &str = "question_sums::Tally";
        if question >= self.sums.len() {
            let problem = format!("question {question} of {}", self.sums.len());
            return Err(Error::argument(OP, problem));
        }
        against.check(OP, gradient.dims().axes())?;
        match gradient.device() {
            Device::Cpu => {
                let Against { target, exp_avg_sq, preconditioner } = *against;
                let own = influence::sums(gradient, exp_avg_sq, target, &preconditioner)?;
                self.sums[question] += own;
            }
            Device::Cuda(driver) => {
                self.parts.add(&driver, OP, question as u32, gradient, against)?;
            }
        }
        Ok(())
    }

    pub(super) fn check(&self, op: &'static str, questions: usize) -> Result<()> {
        if questions == self.sums.len() {
            return Ok(());
        }
        let problem = format!("a `tally` of {} for {questions} questions", self.sums.len());
        Err(Error::argument(op, problem))
    }

    /// The sums, one a question.
    ///
    /// # Errors
    /// [`Error::Driver`] if the device cannot be read.
    pub fn finish(mut self) -> Result<Vec<Sums>> {
        self.parts.add_to(&mut self.sums)?;
        Ok(self.sums)
    }
}
