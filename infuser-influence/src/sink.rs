//! The gradient sink that sums instead of storing.

use infuser_kernels::{
    Buffer, Device, Dtype, View, ViewMut, Write,
    ops::{
        bias, embedding, head,
        influence::{Preconditioner, Sums},
        matmul,
        question_sums::{self, Against, Questions, Tally, Touched},
        rmsnorm,
    },
};
use infuser_model::{Accumulate, GradientSink, NormFactors, ParamId, Result, RowsOf, Tensors};

use crate::packed::Packed;

/// What gradients are compared with: the reference gradient and the optimizer's state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison<'a> {
    pub(crate) target: &'a Tensors,
    pub(crate) exp_avg_sq: Option<&'a Tensors>,
    pub(crate) preconditioner: Preconditioner,
}

impl<'a> Comparison<'a> {
    pub(crate) fn at(&self, id: ParamId) -> Against<'a> {
        Against {
            target: self.target[id].view(),
            exp_avg_sq: self.exp_avg_sq.map(|v| v[id].view()),
            preconditioner: self.preconditioner,
        }
    }
}

/// Adds up the four sums of each question of a batch while the backward pass runs.
///
/// Memory beside that of the pass: a tile of gradient for each thread, or, for a question that has the
/// batch to itself, one weight's gradient; the logits of a part of the vocabulary; one embedding row for
/// each question and distinct token of it, which together are no larger than the batch's hidden states.
pub(crate) struct Influence<'a> {
    comparison: Comparison<'a>,
    packed: &'a Packed<'a>,
    /// The embedding, if it is the head's weight too.
    tied: Option<ParamId>,
    sums: Tally,
    /// Sorted by row of the table.
    touched: Vec<Touched>,
    /// Gradients of the touched rows, once the head has been there.
    held: Option<Buffer>,
    /// Where the gradient of the whole batch is added, if anybody wants it.
    total: Option<&'a mut Tensors>,
    /// A weight's gradient, of a question that has the batch to itself.
    room: Option<Buffer>,
}

impl<'a> Influence<'a> {
    pub(crate) fn new(
        comparison: Comparison<'a>,
        packed: &'a Packed<'a>,
        tied: Option<ParamId>,
        total: Option<&'a mut Tensors>,
    ) -> Self {
        let mut touched = Vec::new();
        for question in 0..packed.rows.len() {
            let own =
                packed.rows.ranges(question).iter().flat_map(|rows| &packed.tokens[rows.clone()]);
            touched.extend(own.map(|id| Touched { id: *id, question: question as u32 }));
        }
        touched.sort_unstable();
        touched.dedup();
        let sums = Tally::new(packed.rows.len());
        Self { comparison, packed, tied, sums, touched, held: None, total, room: None }
    }

    pub(crate) fn into_sums(self) -> Result<Vec<Sums>> {
        Ok(self.sums.finish()?)
    }

    /// Adds the sums of a parameter that is small enough to form question by question.
    fn vectors(
        &mut self,
        id: ParamId,
        questions: &Questions,
        form: impl Fn(std::ops::Range<usize>, ViewMut<'_>) -> Result<()>,
    ) -> Result<()> {
        let shape = self.comparison.target[id].dims();
        let mut gradient = self.comparison.target[id].device().zeros_f32(shape.axes())?;
        let against = self.comparison.at(id);
        for question in 0..self.sums.questions() {
            gradient.clear()?;
            for range in questions.ranges(question) {
                form(range.clone(), gradient.view_mut())?;
            }
            self.sums.add(question, gradient.view(), &against)?;
        }
        Ok(())
    }

    /// Whether these rows are all of one question's.
    fn alone(questions: &Questions, rows: usize) -> bool {
        questions.len() == 1 && matches!(questions.ranges(0), [all] if *all == (0..rows))
    }

    /// The gradient of the only question by a weight: one large product is faster than its tiles.
    fn form(&mut self, dy: View<'_>, x: View<'_>) -> Result<Buffer> {
        let mut room = match self.room.take() {
            Some(room) => room,
            None => x.device().zeros_f32(&[0])?,
        };
        let axes = [dy.dims().row_len(), x.dims().row_len()];
        room.resize_rows(axes[0] * axes[1])?;
        matmul::tn(dy, x, room.view_mut().reshape(&axes)?, Write::Overwrite)?;
        Ok(room)
    }

    /// Adds the sums of the only question's gradient.
    fn add(&mut self, gradient: Buffer, against: &Against<'_>) -> Result<()> {
        let view = gradient.view().reshape(against.target.dims().axes())?;
        self.sums.add(0, view, against)?;
        self.room = Some(gradient);
        Ok(())
    }

    /// The sums of some rows of the head's weight. Those that [`Influence::embedding`] adds to are taken
    /// out and held: these rows of the table, beginning at `first`.
    fn head_part(
        &mut self,
        dz: &mut Buffer,
        x: View<'_>,
        (touched, first): (std::ops::Range<usize>, usize),
        against: &Against<'_>,
        held: &mut Buffer,
    ) -> Result<()> {
        let outputs = &self.packed.outputs;
        // A copy of each row by itself is for memory that is near.
        let near = x.device() == Device::Cpu;
        if !(near && Self::alone(outputs, x.dims().rows())) {
            if !touched.is_empty() {
                let taken = (&self.touched[touched.clone()], first);
                question_sums::take_rows(
                    dz.view_mut(),
                    x,
                    outputs,
                    taken,
                    held.rows_mut(touched)?,
                )?;
            }
            return Ok(question_sums::linear(dz.view(), x, outputs, against, &mut self.sums)?);
        }
        let mut gradient = self.form(dz.view(), x)?;
        let axes = [dz.dims().row_len(), x.dims().row_len()];
        let nothing = x.device().zeros_f32(&[1, axes[1]])?;
        for place in touched {
            let row = self.touched[place].id as usize - first;
            let mut row = gradient.view_mut().reshape(&axes)?.rows(row..row + 1)?;
            held.rows_mut(place..place + 1)?.copy_from(row.as_view())?;
            row.reborrow().copy_from(nothing.view())?;
        }
        self.add(gradient, against)
    }

    /// The sink of the whole batch's gradient, if anybody wants it.
    fn total(&mut self) -> Option<Accumulate<'_>> {
        self.total.as_deref_mut().map(Accumulate::new)
    }

    /// Zeros for the touched rows.
    fn rows(&self, device: &Device, width: usize) -> Result<Buffer> {
        Ok(device.zeros_f32(&[self.touched.len(), width])?)
    }
}

/// Size of the logits, and of a gradient of their part of the weight, that exist at one time on CUDA.
const CUDA_SCRATCH_BYTES: usize = 128 << 20;

/// Columns of the vocabulary whose logits exist at one time.
fn columns(device: &Device, [outputs, width]: [usize; 2], vocab: usize) -> usize {
    match device {
        Device::Cpu => (head::SCRATCH_BYTES / (4 * outputs.max(1))).max(256).min(vocab.max(1)),
        // Products for many processors at a time, of logits and of a gradient; a multiple of 8, so that
        // rows of the weight are aligned.
        _ => (CUDA_SCRATCH_BYTES / (4 * outputs.max(width).max(1))).max(256) / 8 * 8,
    }
}

impl GradientSink for Influence<'_> {
    fn linear(&mut self, weight: ParamId, x: View<'_>, dy: View<'_>) -> Result<()> {
        if let Some(mut total) = self.total() {
            total.linear(weight, x, dy)?;
        }
        let (against, questions) = (self.comparison.at(weight), &self.packed.rows);
        if Self::alone(questions, x.dims().rows()) {
            let gradient = self.form(dy, x)?;
            return self.add(gradient, &against);
        }
        Ok(question_sums::linear(dy, x, questions, &against, &mut self.sums)?)
    }

    fn bias(&mut self, id: ParamId, dy: View<'_>) -> Result<()> {
        if let Some(mut total) = self.total() {
            total.bias(id, dy)?;
        }
        let questions = &self.packed.rows;
        self.vectors(id, questions, |rows, out| Ok(bias::backward(dy.rows(rows)?, out)?))
    }

    fn norm(&mut self, weight: ParamId, factors: NormFactors<'_>) -> Result<()> {
        if let Some(mut total) = self.total() {
            total.norm(weight, factors)?;
        }
        let NormFactors { dy, x, rstd, rows } = factors;
        let questions = match rows {
            RowsOf::Tokens => self.packed.rows.clone(),
            RowsOf::TokenHeads(heads) => self.packed.rows.scaled(heads),
            RowsOf::Outputs => self.packed.outputs.clone(),
        };
        self.vectors(weight, &questions, |rows, out| {
            let (dy, x, rstd) = (dy.rows(rows.clone())?, x.rows(rows.clone())?, rstd.rows(rows)?);
            Ok(rmsnorm::backward_weight(dy, x, rstd, out)?)
        })
    }

    /// The last: adds what the rows of the table get as embeddings to what they got as the head's.
    fn embedding(&mut self, table: ParamId, tokens: View<'_>, dx: View<'_>) -> Result<()> {
        if let Some(mut total) = self.total() {
            total.embedding(table, tokens, dx)?;
        }
        let mut held = match self.held.take() {
            Some(held) => held,
            None => self.rows(&tokens.device(), dx.dims().row_len())?,
        };
        let mut places = vec![0; self.packed.tokens.len()];
        for question in 0..self.packed.rows.len() {
            for row in self.packed.rows.ranges(question).iter().cloned().flatten() {
                let wanted = Touched { id: self.packed.tokens[row], question: question as u32 };
                let Ok(place) = self.touched.binary_search(&wanted) else {
                    unreachable!("`new` lists every token of every question")
                };
                places[row] = place as u32;
            }
        }
        let places = tokens.device().upload_u32(places)?;
        embedding::scatter_add(dx, places.view(), held.view_mut())?;
        let against = self.comparison.at(table);
        Ok(question_sums::touched(held.view(), &self.touched, &against, &mut self.sums)?)
    }

    /// Part by part of the vocabulary: the logits' gradient, its share of `dx`, the sums of those rows
    /// of the weight.
    fn head(
        &mut self,
        weight: ParamId,
        head: &head::Head<'_>,
        upstream: &head::Upstream<'_>,
        mut dx: ViewMut<'_>,
    ) -> Result<()> {
        let (outputs, vocab) = (head.x.dims().rows(), head.weight.dims().rows());
        let device = head.x.device();
        let tied = self.tied == Some(weight);
        let mut held = self.rows(&device, if tied { head.x.dims().row_len() } else { 0 })?;
        let against = self.comparison.at(weight);
        let step = columns(&device, [outputs, head.x.dims().row_len()], vocab);
        let mut write = Write::Overwrite;
        // Parts of `dx` are added up in f32 and rounded once.
        let mut sum = match dx.dtype() {
            Dtype::F32 => None,
            _ => Some(device.zeros_f32(dx.dims().axes())?),
        };
        for start in (0..vocab).step_by(step) {
            let columns = start..vocab.min(start + step);
            let mut dz = device.zeros_float(&[outputs, columns.len()])?;
            head::dlogits(head, columns.clone(), upstream, dz.view_mut())?;
            let out = sum.as_mut().map_or_else(|| dx.reborrow(), Buffer::view_mut);
            matmul::nn(dz.view(), head.weight.rows(columns.clone())?, out, write)?;
            write = Write::Add;
            if let Some(total) = &mut self.total {
                let rows = total[weight].rows_mut(columns.clone())?;
                matmul::tn(dz.view(), head.x, rows, Write::Add)?;
            }
            let place = |id| self.touched.partition_point(|row| (row.id as usize) < id);
            let own = if tied { place(columns.start)..place(columns.end) } else { 0..0 };
            let against = against.rows(columns.clone())?;
            self.head_part(&mut dz, head.x, (own, columns.start), &against, &mut held)?;
        }
        self.held = tied.then_some(held);
        if let Some(sum) = sum {
            dx.copy_from(sum.view())?;
        }
        Ok(())
    }
}
