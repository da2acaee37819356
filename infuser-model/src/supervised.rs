//! Supervised training: raise the log-probability of given texts.

use crate::{
    BatchBuilder, Model,
    error::{Error, Result},
    layout::Tensors,
    optim::{Optimizer, StepReport},
    sink::Accumulate,
    transformer::OutputGradient,
    workspace::{Keep, Workspace},
};

/// A text to learn from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Example {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// How much each token counts in the loss, as long as `tokens`; 0 for what is given. The first
    /// token is never predicted.
    pub weights: Vec<f32>,
}

impl Example {
    /// Adds tokens of one weight.
    pub fn push(&mut self, tokens: &[u32], weight: f32) {
        self.tokens.extend(tokens);
        self.weights.extend(std::iter::repeat_n(weight, tokens.len()));
    }

    /// Tokens before the first that counts: they need no head.
    fn given(&self) -> usize {
        let scored = self.weights.iter().skip(1).position(|weight| *weight != 0.0);
        scored.map_or(self.tokens.len(), |at| at + 1)
    }

    /// The sum of the weights of the tokens that are predicted.
    fn weight(&self) -> f64 {
        self.weights.iter().skip(1).map(|weight| f64::from(*weight)).sum()
    }
}

/// The memory of training steps on one model.
#[derive(Debug)]
pub struct Supervised {
    workspace: Workspace,
    gradients: Tensors,
    batch_tokens: usize,
}

/// What one step saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learned {
    /// Mean of `-log p` over the tokens that count, weighted, before the step.
    pub loss: f64,
    /// Tokens that were read.
    pub tokens: usize,
    /// What the optimizer did.
    pub step: StepReport,
}

impl Supervised {
    /// Memory for steps in micro-batches of about `batch_tokens` tokens: more is faster and takes more
    /// memory, and changes sums only by rounding.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the device has no room.
    pub fn new(model: &Model, keep: Keep, batch_tokens: usize) -> Result<Self> {
        let workspace = Workspace::new(model.config(), model.device(), keep)?;
        let gradients = Tensors::zeros(model.layout(), model.device())?;
        Ok(Self { workspace, gradients, batch_tokens: batch_tokens.max(1) })
    }

    /// One step on the weighted mean of `-log p` over all tokens of `examples` that count.
    ///
    /// # Errors
    /// [`Error::Setting`] if nothing counts, or an example has other than one weight for each token.
    pub fn step(
        &mut self,
        model: &mut Model,
        optimizer: &mut Optimizer,
        examples: &[Example],
    ) -> Result<Learned> {
        self.gradients.clear()?;
        let total = checked_weight(examples)?;
        let mut loss = 0.0;
        for batch in micro_batches(examples, self.batch_tokens) {
            loss += self.add(model, batch, total)?;
        }
        let tokens = examples.iter().map(|example| example.tokens.len()).sum();
        let step = optimizer.step(model.weights_mut(), &self.gradients)?;
        Ok(Learned { loss, tokens, step })
    }

    /// The weighted mean of `-log p`, without a step.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn loss(&mut self, model: &Model, examples: &[Example]) -> Result<f64> {
        let total = checked_weight(examples)?;
        let mut loss = 0.0;
        for batch in micro_batches(examples, self.batch_tokens) {
            loss += self.forward(model, batch, total)?.1;
        }
        Ok(loss)
    }

    /// Runs a micro-batch forward: the batch, its part of the loss, and the loss's gradient.
    fn forward(
        &mut self,
        model: &Model,
        examples: &[Example],
        total: f64,
    ) -> Result<(crate::Batch, f64, Vec<f32>)> {
        let mut builder = BatchBuilder::default();
        let mut weights: Vec<f32> = Vec::new();
        for example in examples {
            let given = example.given().min(example.tokens.len());
            let prompt = builder.prompt(&example.tokens[..given]);
            builder.response(&prompt, &example.tokens[given..]);
            weights.extend(&example.weights[given..]);
        }
        let batch = builder.build(model.device())?;
        model.forward(&batch, 1.0, &mut self.workspace)?;
        let logp = self.workspace.logp()?;
        let terms = logp.iter().zip(&weights).map(|(p, w)| -f64::from(*p) * f64::from(*w) / total);
        let loss = terms.sum();
        let gradient = weights.iter().map(|weight| (-f64::from(*weight) / total) as f32).collect();
        Ok((batch, loss, gradient))
    }

    fn add(&mut self, model: &Model, examples: &[Example], total: f64) -> Result<f64> {
        let (batch, loss, logp) = self.forward(model, examples, total)?;
        let gradient = OutputGradient { logp: &logp, entropy: None };
        let mut sink = Accumulate::new(&mut self.gradients);
        model.backward(&batch, gradient, &mut self.workspace, &mut sink)?;
        Ok(loss)
    }
}

fn checked_weight(examples: &[Example]) -> Result<f64> {
    if let Some(bad) = examples.iter().position(|e| e.tokens.len() != e.weights.len()) {
        return Err(Error::Setting(format!("example {bad} has not one weight for each token")));
    }
    let total: f64 = examples.iter().map(Example::weight).sum();
    if total > 0.0 && total.is_finite() {
        return Ok(total);
    }
    Err(Error::Setting("nothing to learn: no token of these examples counts".into()))
}

/// Cuts a list where a micro-batch is full; an example longer than that stands alone.
fn micro_batches(examples: &[Example], tokens: usize) -> impl Iterator<Item = &[Example]> {
    let mut rest = examples;
    std::iter::from_fn(move || {
        let mut used = 0;
        let fits = |example: &&Example| {
            used += example.tokens.len();
            used <= tokens
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (now, later) = rest.split_at(count);
        rest = later;
        (!now.is_empty()).then_some(now)
    })
}

#[cfg(test)]
mod tests {
    use infuser_kernels::Device;

    use super::*;
    use crate::{
        ModelConfig,
        optim::{AdamW, OptimizerSettings},
    };

    fn model() -> Model {
        let text = br#"{"model_type": "qwen3", "vocab_size": 20, "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 64, "hidden_act": "silu",
            "attention_bias": false, "tie_word_embeddings": true}"#;
        let config = ModelConfig::parse("config.json".as_ref(), text).unwrap();
        Model::fresh(config, 1, Device::Cpu).unwrap()
    }

    fn optimizer(model: &Model) -> Optimizer {
        let adamw = AdamW { learning_rate: 3e-3, ..OptimizerSettings::default().adamw };
        let settings = OptimizerSettings { adamw, ..OptimizerSettings::default() };
        Optimizer::new(model.layout(), Device::Cpu, settings).unwrap()
    }

    /// Texts in which each token that counts follows from the one before.
    fn examples(from: u32, count: u32) -> Vec<Example> {
        let example = |i| {
            let mut example = Example::default();
            example.push(&[i % 20, (i * 7) % 20], 0.0);
            for step in 1..6 {
                example.push(&[(i * 7 + step * 3) % 20], if step == 3 { 2.0 } else { 1.0 });
            }
            example
        };
        (from..from + count).map(example).collect()
    }

    #[test]
    fn what_can_be_learned_is_learned() {
        let mut model = model();
        let mut optimizer = optimizer(&model);
        let mut supervised = Supervised::new(&model, Keep::Everything, 64).unwrap();
        let first = supervised.loss(&model, &examples(0, 20)).unwrap();
        for step in 0..60 {
            let learned = supervised.step(&mut model, &mut optimizer, &examples(step, 8)).unwrap();
            assert_eq!(learned.tokens, 56);
        }
        let last = supervised.loss(&model, &examples(0, 20)).unwrap();
        assert!(first > 2.5 && last < 0.3, "{first} to {last}");
    }

    /// A token counts by its weight, and the cut into micro-batches does not.
    #[test]
    fn the_loss_is_the_weighted_mean_however_it_is_cut() {
        let model = model();
        let examples = examples(3, 9);
        let alone = |example: &Example, at: usize| {
            let mut only = example.clone();
            only.weights.fill(0.0);
            only.weights[at] = 1.0;
            Supervised::new(&model, Keep::Nothing, 1).unwrap().loss(&model, &[only]).unwrap()
        };
        let (mut sum, mut weight) = (0.0, 0.0);
        for example in &examples {
            for at in 2..example.tokens.len() {
                sum += f64::from(example.weights[at]) * alone(example, at);
                weight += f64::from(example.weights[at]);
            }
        }
        for tokens in [1, 20, 1000] {
            let mut supervised = Supervised::new(&model, Keep::Nothing, tokens).unwrap();
            let loss = supervised.loss(&model, &examples).unwrap();
            assert!((loss - sum / weight).abs() < 1e-6, "{loss} {}", sum / weight);
        }
        let stepped = |tokens| {
            let mut model = model.copy().unwrap();
            let mut supervised = Supervised::new(&model, Keep::BlockInputs, tokens).unwrap();
            let mut optimizer = optimizer(&model);
            supervised.step(&mut model, &mut optimizer, &examples).unwrap().step.gradient_norm
        };
        assert!((stepped(1) / stepped(1000) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn nothing_to_learn_is_refused() {
        let model = model();
        let mut supervised = Supervised::new(&model, Keep::Nothing, 64).unwrap();
        let only = |weights: Vec<f32>| Example { tokens: vec![1, 2], weights };
        for example in [only(vec![1.0, 0.0]), only(vec![1.0]), only(vec![1.0, f32::NAN])] {
            assert!(supervised.loss(&model, &[example]).is_err());
        }
        assert!(supervised.loss(&model, &[]).is_err());
    }
}
