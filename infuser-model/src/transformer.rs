//! The whole model: embeddings, blocks, last norm, head; forward, then backward in reverse.

use infuser_kernels::{
    Buffer, Device, View, Write,
    ops::{attention::Segments, embedding, head, matmul, paged, rmsnorm},
};

use crate::{
    batch::Batch,
    block,
    config::ModelConfig,
    error::{Error, Result},
    generate::{Cache, Step},
    layers::attention::{Context, Keys},
    layout::{Layout, Tensors},
    packed::PackedWeights,
    sink::{GradientSink, NormFactors, RowsOf},
    workspace::{Keep, Workspace},
};

/// What a forward pass reads.
struct Input<'a> {
    tokens: View<'a>,
    positions: View<'a>,
    /// One past the largest position.
    max_position: usize,
    output_rows: View<'a>,
    segments: &'a Segments,
    paged: Option<(&'a paged::Segments, &'a mut Cache)>,
    packed: Option<&'a PackedWeights>,
}

/// A decoder-only transformer with its weights.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    layout: Layout,
    weights: Tensors,
}

/// The gradient of a loss by what a forward pass computed, one value for each output of the batch.
#[derive(Debug, Clone, Copy)]
pub struct OutputGradient<'a> {
    /// By the log-probabilities.
    pub logp: &'a [f32],
    /// By the entropies; `None` if the loss does not contain them.
    pub entropy: Option<&'a [f32]>,
}

impl Model {
    /// A model with these weights.
    ///
    /// # Errors
    /// [`Error::Batch`] if a weight has another shape than the config implies.
    pub fn new(config: ModelConfig, weights: Tensors) -> Result<Self> {
        let layout = Layout::new(&config);
        let fits = weights.buffers().len() == layout.params().len()
            && layout.iter().all(|(id, param)| weights[id].dims().axes() == param.axes);
        if !fits {
            return Err(Error::Setting("the weights do not have the shapes of the config".into()));
        }
        Ok(Self { config, layout, weights })
    }

    /// A second model with the same weights.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the device has no room.
    pub fn copy(&self) -> Result<Self> {
        let (config, layout) = (self.config.clone(), self.layout.clone());
        Ok(Self { config, layout, weights: self.weights.copy()? })
    }

    /// The sizes and choices.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The parameters' names, shapes and ids.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The weights.
    pub fn weights(&self) -> &Tensors {
        &self.weights
    }

    /// The weights, for an optimizer to change.
    pub fn weights_mut(&mut self) -> &mut Tensors {
        &mut self.weights
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.weights[self.layout.embedding].device()
    }

    /// An empty workspace for this model.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the device has no room.
    pub fn workspace(&self, keep: Keep) -> Result<Workspace> {
        Workspace::new(&self.config, self.device(), keep)
    }

    /// Computes log-probability and entropy of every output of the batch, at a temperature; read them
    /// with [`Workspace::logp`] and [`Workspace::entropy`].
    ///
    /// # Errors
    /// [`Error::Batch`] for tokens outside the vocabulary or sequences longer than the model's
    /// positions; [`Error::Setting`] for a temperature that is not positive.
    pub fn forward(
        &self,
        batch: &Batch,
        temperature: f32,
        workspace: &mut Workspace,
    ) -> Result<()> {
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Error::Setting(format!("temperature {temperature} is not positive")));
        }
        self.hidden(Input::of(batch), workspace)?;
        workspace.temperature = temperature;
        let last = &mut workspace.last;
        let head = self.head(batch, last.normed.view(), temperature);
        let outputs = head::Outputs {
            logp: last.logp.view_mut(),
            entropy: last.entropy.view_mut(),
            lse: last.lse.view_mut(),
        };
        Ok(head::forward(&head, outputs)?)
    }

    /// The logits of every output row, `[N, V]`. For tests and inspection; training never needs them.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn logits(&self, batch: &Batch, workspace: &mut Workspace) -> Result<Buffer> {
        self.hidden(Input::of(batch), workspace)?;
        let mut logits = self.device().zeros_f32(&[batch.outputs(), self.config.vocab])?;
        let weight = self.weights[self.layout.head].view();
        matmul::nt(workspace.last.normed.view(), weight, logits.view_mut(), Write::Overwrite)?;
        Ok(logits)
    }

    /// The weights laid out for many forward passes; a change of the weights makes it stale.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the device has no room.
    pub fn pack(&self) -> Result<PackedWeights> {
        PackedWeights::new(&self.layout, &self.weights)
    }

    /// Runs some tokens of some sequences whose earlier keys and values are in `cache`, stores theirs,
    /// and overwrites `logits` with those of the step's output rows, `[N, V]`. A row has the bits of
    /// the same row of [`Model::logits`] for the whole sequence.
    ///
    /// # Errors
    /// As [`Model::forward`], and [`Error::Kernel`] for segments that leave the cache.
    pub(crate) fn step(
        &self,
        step: &Step,
        packed: &PackedWeights,
        cache: &mut Cache,
        workspace: &mut Workspace,
        logits: &mut Buffer,
    ) -> Result<()> {
        let input = Input {
            tokens: step.tokens.view(),
            positions: step.positions.view(),
            max_position: step.max_position,
            output_rows: step.output_rows.view(),
            segments: &step.unpaged,
            paged: Some((&step.segments, cache)),
            packed: Some(packed),
        };
        self.hidden(input, workspace)?;
        logits.resize_rows(step.output_rows.dims().len())?;
        let (x, out) = (workspace.last.normed.view(), logits.view_mut());
        match packed.get(self.layout.head) {
            Some(weight) => matmul::nt_packed(x, weight, out, Write::Overwrite)?,
            None => matmul::nt(x, self.weights[self.layout.head].view(), out, Write::Overwrite)?,
        }
        Ok(())
    }

    /// The gradient of a loss by all parameters, handed to `sink`, for the batch and temperature of
    /// the last [`Model::forward`] on this workspace.
    ///
    /// # Errors
    /// [`Error::Setting`] if the workspace kept nothing or the gradient has another length than the
    /// outputs.
    pub fn backward(
        &self,
        batch: &Batch,
        gradient: OutputGradient<'_>,
        workspace: &mut Workspace,
        sink: &mut dyn GradientSink,
    ) -> Result<()> {
        if workspace.keep() == Keep::Nothing {
            return Err(Error::Setting("backward needs a workspace that keeps activations".into()));
        }
        workspace.fit_backward(&self.config)?;
        self.head_backward(batch, gradient, workspace, sink)?;
        for layer in (0..self.config.layers.len()).rev() {
            let (input, output, slot) =
                (workspace.stream(layer), workspace.stream(layer + 1), workspace.block(layer));
            let recompute =
                workspace.keep() == Keep::BlockInputs && layer + 1 < self.config.layers.len();
            let Workspace { streams, saved, tables, backward, .. } = workspace;
            let context = self.context(layer, &Input::of(batch), tables);
            let [x, y] = pair(streams, input, output);
            if recompute {
                let saved = &mut saved[slot];
                block::forward(&context, x.view(), saved, Keys::Batch, y.view_mut())?;
            }
            let Some(backward) = backward else { unreachable!("fit_backward made it") };
            let memory = (&saved[slot], &mut backward.scratch);
            block::backward(&context, x.view(), memory, &mut backward.dstream, sink)?;
        }
        let Some(backward) = &workspace.backward else { unreachable!("fit_backward made it") };
        sink.embedding(self.layout.embedding, batch.tokens.view(), backward.dstream.view())
    }

    /// Runs embeddings and blocks, and leaves the normed output rows in `workspace.last`.
    fn hidden(&self, mut input: Input<'_>, workspace: &mut Workspace) -> Result<()> {
        self.check(input.max_position)?;
        let [rows, outputs] = [input.tokens, input.output_rows].map(|view| view.dims().len());
        workspace.fit(&self.config, rows, outputs, input.max_position)?;
        let table = self.weights[self.layout.embedding].view();
        embedding::gather(table, input.tokens, workspace.streams[0].view_mut())?;
        let layers = self.config.layers.len();
        // Of a prompt, only the last row is of use after the last block's keys and values.
        let few = workspace.keep() == Keep::Nothing && outputs < rows;
        for layer in 0..layers {
            self.block(layer, input.reborrow(), workspace, few && layer + 1 == layers)?;
        }
        let stream = workspace.stream(layers);
        let Workspace { streams, last, .. } = workspace;
        let x = if few {
            streams[stream].view()
        } else {
            embedding::gather(streams[stream].view(), input.output_rows, last.x.view_mut())?;
            last.x.view()
        };
        let weight = self.weights[self.layout.final_norm].view();
        let (y, rstd) = (last.normed.view_mut(), last.rstd.view_mut());
        Ok(rmsnorm::forward(x, weight, self.config.norm_epsilon, y, rstd)?)
    }

    /// Runs one block, or with `few` what of it the output rows need.
    fn block(
        &self,
        layer: usize,
        input: Input<'_>,
        workspace: &mut Workspace,
        few: bool,
    ) -> Result<()> {
        let (from, to, slot) =
            (workspace.stream(layer), workspace.stream(layer + 1), workspace.block(layer));
        let Workspace { streams, saved, tables, last, .. } = workspace;
        let context = self.context(layer, &input, tables);
        let [x, y] = pair(streams, from, to);
        let keys = match input.paged {
            None => Keys::Batch,
            Some((segments, cache)) => Keys::Paged(segments, cache.layer(layer)),
        };
        let (x, saved) = (x.view(), &mut saved[slot]);
        if few {
            let outputs = [&mut last.x, y];
            return block::forward_rows(&context, x, saved, keys, input.output_rows, outputs);
        }
        block::forward(&context, x, saved, keys, y.view_mut())
    }

    /// Head, last norm and the way back to the rows of the stream.
    fn head_backward(
        &self,
        batch: &Batch,
        gradient: OutputGradient<'_>,
        workspace: &mut Workspace,
        sink: &mut dyn GradientSink,
    ) -> Result<()> {
        let outputs = batch.outputs();
        let lengths = [Some(gradient.logp.len()), gradient.entropy.map(<[f32]>::len)];
        if let Some(length) = lengths.into_iter().flatten().find(|&length| length != outputs) {
            let problem = format!("a gradient of {length} values for {outputs} outputs");
            return Err(Error::Setting(problem));
        }
        let device = self.device();
        let dlogp = device.upload_f32(gradient.logp.to_vec(), &[outputs])?;
        let dentropy = gradient.entropy.map(|d| device.upload_f32(d.to_vec(), &[outputs]));
        let dentropy = dentropy.transpose()?;
        let temperature = workspace.temperature;
        let Workspace { last, backward, .. } = workspace;
        let Some(backward) = backward else { unreachable!("fit_backward made it") };
        let head = self.head(batch, last.normed.view(), temperature);
        let upstream = head::Upstream {
            lse: last.lse.view(),
            entropy: last.entropy.view(),
            dlogp: dlogp.view(),
            dentropy: dentropy.as_ref().map(Buffer::view),
        };
        sink.head(self.layout.head, &head, &upstream, backward.dnormed.view_mut())?;
        let (dy, x, rstd) = (backward.dnormed.view(), last.x.view(), last.rstd.view());
        let id = self.layout.final_norm;
        sink.norm(id, NormFactors { dy, x, rstd, rows: RowsOf::Outputs })?;
        let dx = backward.dx.view_mut();
        rmsnorm::backward(dy, x, self.weights[id].view(), rstd, dx, Write::Overwrite)?;
        backward.dstream.clear()?;
        let rows = batch.output_rows.view();
        Ok(embedding::scatter_add(backward.dx.view(), rows, backward.dstream.view_mut())?)
    }

    fn head<'a>(&'a self, batch: &'a Batch, x: View<'a>, temperature: f32) -> head::Head<'a> {
        let weight = self.weights[self.layout.head].view();
        head::Head { x, weight, targets: batch.targets.view(), temperature }
    }

    fn context<'a>(
        &'a self,
        layer: usize,
        input: &Input<'a>,
        tables: &'a [infuser_kernels::ops::rope::Tables],
    ) -> Context<'a> {
        let kind = self.config.layers[layer];
        Context {
            config: &self.config,
            weights: &self.weights,
            packed: input.packed,
            params: &self.layout.layers[layer],
            window: kind.window,
            segments: input.segments,
            positions: input.positions,
            tables: &tables[kind.rope],
        }
    }

    fn check(&self, max_position: usize) -> Result<()> {
        if max_position > self.config.max_positions {
            return Err(Error::Batch(format!(
                "a sequence of {max_position} tokens is longer than the {} positions of the model",
                self.config.max_positions
            )));
        }
        Ok(())
    }
}

impl<'a> Input<'a> {
    fn of(batch: &'a Batch) -> Self {
        Self {
            tokens: batch.tokens.view(),
            positions: batch.positions.view(),
            max_position: batch.max_position,
            output_rows: batch.output_rows.view(),
            segments: &batch.segments,
            paged: None,
            packed: None,
        }
    }

    fn reborrow(&mut self) -> Input<'_> {
        let paged = self.paged.as_mut().map(|(segments, cache)| (*segments, &mut **cache));
        Input { paged, ..*self }
    }
}

/// Two different buffers of a list.
fn pair(buffers: &mut [Buffer], i: usize, j: usize) -> [&mut Buffer; 2] {
    match buffers.get_disjoint_mut([i, j]) {
        Ok(pair) => pair,
        Err(_) => unreachable!("neighbouring streams are different buffers"),
    }
}
