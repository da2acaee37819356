//! A small model that is trained on the spot, and questions to it: sums and differences modulo 23.
//!
//! Half trained, it is right now and then, so that its answers to a question differ in reward; its
//! optimizer has a state that means something. That is what influence scores are made for, at a size
//! at which the step they are about can be taken for every question.

use std::path::Path;

use infuser_influence::{Question, Response, Weights};
use infuser_kernels::{Device, rng::Stream};
use infuser_model::{
    Accumulate, Batch, BatchBuilder, Keep, Layout, Model, ModelConfig, OutputGradient, Result,
    Tensors,
    optim::{AdamW, Optimizer, OptimizerSettings, Schedule},
};
use infuser_rl::advantage::{Normalisation, Singleton, normalise};

/// Numbers are their own tokens.
const MODULUS: u32 = 23;
/// The tokens of the operations, and of the equals sign.
const OPERATIONS: [u32; 2] = [MODULUS, MODULUS + 1];
const EQUALS: u32 = MODULUS + 2;

/// Tasks of one training step.
const TASKS: usize = 32;

/// 57 thousand parameters.
const CONFIG: &str = r#"{
    "model_type": "qwen3", "vocab_size": 32, "hidden_size": 48, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 12,
    "max_position_embeddings": 64, "rope_theta": 10000.0, "tie_word_embeddings": true
}"#;

/// Which task: an operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Sum or difference.
    pub difference: bool,
    numbers: [u32; 2],
}

impl Task {
    fn draw(stream: Stream, difference: bool) -> Self {
        let number = |i| (stream.bits(i) % u64::from(MODULUS)) as u32;
        Self { difference, numbers: [number(0), number(1)] }
    }

    fn prompt(&self) -> Vec<u32> {
        let [a, b] = self.numbers;
        vec![a, OPERATIONS[usize::from(self.difference)], b, EQUALS]
    }

    fn answer(&self) -> u32 {
        let [a, b] = self.numbers;
        let b = if self.difference { MODULUS - b } else { b };
        (a + b) % MODULUS
    }
}

/// The model, and the optimizer that trained it.
#[derive(Debug)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// Its optimizer, as the last step left it.
    pub optimizer: Optimizer,
    /// Mean loss of the last step, in nats an answer.
    pub loss: f64,
}

/// The untrained model's `config.json`.
pub fn config() -> &'static str {
    CONFIG
}

/// Trains for so many steps of AdamW.
///
/// # Errors
/// If there is no memory.
pub fn train(steps: u64, seed: u64) -> Result<Trained> {
    let mut model = model(seed)?;
    let settings = OptimizerSettings {
        adamw: AdamW { learning_rate: 3e-3, ..OptimizerSettings::default().adamw },
        schedule: Schedule::Constant { warmup_steps: 10 },
        max_norm: Some(1.0),
    };
    let mut optimizer = Optimizer::new(model.layout(), Device::Cpu, settings)?;
    let mut gradients = Tensors::zeros(model.layout(), Device::Cpu)?;
    let mut workspace = model.workspace(Keep::Everything)?;
    let mut loss = f64::NAN;
    for step in 0..steps {
        let mut builder = BatchBuilder::default();
        for i in 0..TASKS as u64 {
            let stream = Stream::new(seed).child(1).child(step).child(i);
            let task = Task::draw(stream, i % 2 == 1);
            let prompt = builder.prompt(&task.prompt());
            builder.response(&prompt, &[task.answer()]);
        }
        let batch = builder.build(Device::Cpu)?;
        model.forward(&batch, 1.0, &mut workspace)?;
        loss = -workspace.logp()?.iter().map(|x| f64::from(*x)).sum::<f64>() / TASKS as f64;
        let dlogp = vec![-1.0 / TASKS as f32; batch.outputs()];
        gradients.clear()?;
        let sink = &mut Accumulate::new(&mut gradients);
        let gradient = OutputGradient { logp: &dlogp, entropy: None };
        model.backward(&batch, gradient, &mut workspace, sink)?;
        optimizer.step(model.weights_mut(), &gradients)?;
    }
    Ok(Trained { model, optimizer, loss })
}

fn model(seed: u64) -> Result<Model> {
    let config = ModelConfig::parse(Path::new("arithmetic"), CONFIG.as_bytes())?;
    let layout = Layout::new(&config);
    let mut weights = Tensors::zeros(&layout, Device::Cpu)?;
    for (id, param) in layout.iter() {
        let stream = Stream::new(seed).child(0).child(id.index() as u64);
        let norm = param.axes.len() == 1;
        let elements = param.axes.iter().product::<usize>() as u64;
        let value = |i| if norm { 1.0 } else { 0.1 * stream.normal(i) as f32 };
        weights[id].copy_from_f32(&(0..elements).map(value).collect::<Vec<f32>>())?;
    }
    Model::new(config, weights)
}

/// So many questions, each with eight answers of the model, drawn at temperature 1, whose advantage is
/// their reward less the group's mean: 1 for the right answer, else 0.
///
/// # Errors
/// If there is no memory.
pub fn questions(
    model: &Model,
    count: u64,
    difference: impl Fn(u64) -> bool,
    stream: Stream,
) -> Result<Vec<Question>> {
    const SAMPLES: u64 = 8;
    let mut workspace = model.workspace(Keep::Nothing)?;
    let question = |i: u64| {
        let stream = stream.child(i);
        let task = Task::draw(stream, difference(i));
        let prompt = task.prompt();
        let last = prompt.len() as u32 - 1;
        let batch = Batch::sequences(Device::Cpu, &[&prompt])?.with_output_rows(vec![last])?;
        let logits = model.logits(&batch, &mut workspace)?.to_f32()?;
        let answers: Vec<u32> =
            (0..SAMPLES).map(|r| sample(&logits, stream.uniform(100 + r))).collect();
        let right = |answer: &u32| f32::from(u8::from(*answer == task.answer()));
        let rewards: Vec<f32> = answers.iter().map(right).collect();
        let group = vec![0; rewards.len()];
        let advantages =
            normalise(&rewards, &group, Normalisation::Centred, Singleton::Zero).unwrap_or(rewards);
        let response = |(answer, advantage): (&u32, f32)| Response {
            tokens: vec![*answer],
            advantage,
            weights: Weights::One,
        };
        let responses = answers.iter().zip(advantages).map(response).collect();
        Ok(Question { prompt, responses })
    };
    (0..count).map(question).collect()
}

/// The token whose share of the distribution holds `uniform`.
fn sample(logits: &[f32], uniform: f64) -> u32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|z| f64::from(z - top).exp()).collect();
    let mut left = uniform * weights.iter().sum::<f64>();
    let found = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    found.unwrap_or(weights.len() - 1) as u32
}
