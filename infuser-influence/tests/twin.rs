//! The same scores in f64: a whole model of the plain twins of the ops, forward and backward, one
//! sequence after the other.

use infuser_influence::{
    AdamState, Objective, Preconditioner, Question, Scorer, Settings, Sums, Target, Weights,
};
use infuser_kernels::{
    ops::{
        attention::{Segment, reference::Problem},
        embedding::reference as embedding,
        head::reference as head,
        influence::reference as influence,
        matmul::reference as matmul,
        rmsnorm::reference as rmsnorm,
        rope::{Direction, inverse_frequencies, reference as rope},
        swiglu::reference as swiglu,
    },
    rng::Stream,
    testing::widen,
};
use infuser_model::{Keep, LayerParams, Model, ModelConfig, ParamId, Unwatched};

use crate::random::{mean_squares, model, questions};

const TEMPERATURE: f64 = 0.5;
const ADAM: Preconditioner = Preconditioner { beta2: 0.999, epsilon: 1e-8, step: 7 };

type Values = Vec<f64>;

/// A model with norms before its parts, a norm for each head, no biases, and one table for
/// embeddings and head.
struct Twin<'a> {
    model: &'a Model,
    weights: Vec<Values>,
}

/// Tokens, and the coefficient of each output's log-probability in the loss.
struct Sequence {
    tokens: Vec<u32>,
    coefficients: Values,
}

/// What one layer saves: inputs of its two norms, projections, and what goes into products.
struct Saved {
    x: Values,
    normed: Values,
    raw: [Values; 2],
    qkv: [Values; 3],
    mixed: Values,
    mid: Values,
    mid_normed: Values,
    gate_up: [Values; 2],
    hidden: Values,
}

fn add(to: &mut [f64], values: &[f64]) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to += value);
}

fn sum(a: &[f64], b: &[f64]) -> Values {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn dot(a: &[Values], b: &[Values]) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| a * b).sum()
}

impl<'a> Twin<'a> {
    fn new(model: &'a Model) -> Self {
        let buffers = model.weights().buffers().iter();
        Self { model, weights: buffers.map(|b| widen(&b.to_f32().unwrap())).collect() }
    }

    /// `θ + step · direction`.
    fn moved(&self, direction: &[Values], step: f64) -> Self {
        let pairs = self.weights.iter().zip(direction);
        let moved =
            |(w, d): (&Values, &Values)| w.iter().zip(d).map(|(w, d)| w + step * d).collect();
        Self { model: self.model, weights: pairs.map(moved).collect() }
    }

    fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    fn w(&self, id: ParamId) -> &[f64] {
        &self.weights[id.index()]
    }

    fn epsilon(&self) -> f64 {
        self.config().norm_epsilon.into()
    }

    fn rotate(&self, x: &[f64], heads: usize, direction: Direction) -> Values {
        let config = self.config();
        let rope = &config.ropes[0];
        let frequencies = inverse_frequencies(rope.theta, config.head_width, &rope.scaling);
        let tokens = x.len() / heads / config.head_width;
        let positions: Vec<u32> = (0..tokens as u32).collect();
        rope::apply(x, heads, &positions, &frequencies, 1.0, direction)
    }

    fn attention<'s>(&self, segments: &'s [Segment]) -> Problem<'s> {
        let config = self.config();
        Problem {
            heads: config.heads,
            kv_heads: config.kv_heads,
            width: config.head_width,
            scale: f64::from(config.attention_scale()),
            window: None,
            segments,
        }
    }

    fn layer(&self, p: &LayerParams, x: Values, segments: &[Segment]) -> (Values, Saved) {
        let config = self.config();
        let (width, epsilon) = (config.width, self.epsilon());
        let (normed, _) = rmsnorm::forward(&x, self.w(p.attention_norm), epsilon);
        let project = |weight: ParamId| matmul::nt(&normed, self.w(weight), width);
        let raw = [project(p.q.weight), project(p.k.weight)];
        let norms = [p.q_norm.unwrap(), p.k_norm.unwrap()];
        let rotated = |i: usize, heads: usize| {
            let (y, _) = rmsnorm::forward(&raw[i], self.w(norms[i]), epsilon);
            self.rotate(&y, heads, Direction::Forward)
        };
        let qkv = [rotated(0, config.heads), rotated(1, config.kv_heads), project(p.v.weight)];
        let (mixed, _) = self.attention(segments).forward(&qkv[0], &qkv[1], &qkv[2]);
        let q_width = config.heads * config.head_width;
        let mid = sum(&x, &matmul::nt(&mixed, self.w(p.o.weight), q_width));
        let (mid_normed, _) = rmsnorm::forward(&mid, self.w(p.mlp_norm), epsilon);
        let gate_up = [p.gate, p.up].map(|l| matmul::nt(&mid_normed, self.w(l.weight), width));
        let hidden = swiglu::forward(&gate_up[0], &gate_up[1]);
        let out = sum(&mid, &matmul::nt(&hidden, self.w(p.down.weight), config.ffn));
        (out, Saved { x, normed, raw, qkv, mixed, mid, mid_normed, gate_up, hidden })
    }

    /// Turns the gradient of a layer's output into that of its input, and adds those of its weights.
    fn layer_backward(
        &self,
        p: &LayerParams,
        saved: &Saved,
        segments: &[Segment],
        dout: Values,
        gradient: &mut [Values],
    ) -> Values {
        let config = self.config();
        let (width, ffn, epsilon) = (config.width, config.ffn, self.epsilon());
        let q_width = config.heads * config.head_width;
        let mut put = |id: ParamId, values: Values| add(&mut gradient[id.index()], &values);

        put(p.down.weight, matmul::tn(&dout, &saved.hidden, width, ffn));
        let dhidden = matmul::nn(&dout, self.w(p.down.weight), width, ffn);
        let (dgate, dup) = swiglu::backward(&dhidden, &saved.gate_up[0], &saved.gate_up[1]);
        let mut dnormed = vec![0.0; saved.mid.len()];
        for (linear, dy) in [(p.gate, &dgate), (p.up, &dup)] {
            put(linear.weight, matmul::tn(dy, &saved.mid_normed, ffn, width));
            add(&mut dnormed, &matmul::nn(dy, self.w(linear.weight), ffn, width));
        }
        let (dx, dw) = rmsnorm::backward(&dnormed, &saved.mid, self.w(p.mlp_norm), epsilon);
        put(p.mlp_norm, dw);
        let dmid = sum(&dout, &dx);

        put(p.o.weight, matmul::tn(&dmid, &saved.mixed, width, q_width));
        let dmixed = matmul::nn(&dmid, self.w(p.o.weight), width, q_width);
        let [q, k, v] = &saved.qkv;
        let [dq, dk, dv] = self.attention(segments).backward(q, k, v, &dmixed);
        let mut unproject = |i: usize, heads: usize, dy: &[f64], norm: Option<ParamId>| {
            let dy = self.rotate(dy, heads, Direction::Backward);
            let norm = norm.unwrap();
            let (dx, dw) = rmsnorm::backward(&dy, &saved.raw[i], self.w(norm), epsilon);
            put(norm, dw);
            dx
        };
        let dq = unproject(0, config.heads, &dq, p.q_norm);
        let dk = unproject(1, config.kv_heads, &dk, p.k_norm);
        let mut dnormed = vec![0.0; saved.x.len()];
        for (linear, dy) in [(p.q, &dq), (p.k, &dk), (p.v, &dv)] {
            let out = dy.len() * width / saved.x.len();
            put(linear.weight, matmul::tn(dy, &saved.normed, out, width));
            add(&mut dnormed, &matmul::nn(dy, self.w(linear.weight), out, width));
        }
        let (dx, dw) = rmsnorm::backward(&dnormed, &saved.x, self.w(p.attention_norm), epsilon);
        put(p.attention_norm, dw);
        sum(&dmid, &dx)
    }

    /// The loss of sequences, `Σ coefficient · logp`, and its gradient.
    fn run(&self, sequences: &[Sequence]) -> (f64, Vec<Values>) {
        let mut gradient: Vec<Values> =
            self.weights.iter().map(|values| vec![0.0; values.len()]).collect();
        let layout = self.model.layout();
        let (width, vocab) = (self.config().width, self.config().vocab);
        let table = self.w(layout.embedding);
        let mut loss = 0.0;
        for Sequence { tokens, coefficients } in sequences {
            let segments = [Segment::causal(0..tokens.len())];
            let mut x = embedding::gather(table, tokens, width);
            let mut saved = Vec::new();
            for params in &layout.layers {
                let (out, own) = self.layer(params, x, &segments);
                (x, _) = (out, saved.push(own));
            }
            let norm = self.w(layout.final_norm);
            let (y, _) = rmsnorm::forward(&x, norm, self.epsilon());
            let y = &y[..y.len() - width];
            let targets = &tokens[1..];
            let [logp, _, _] = head::forward(y, table, targets, width, TEMPERATURE);
            loss += logp.iter().zip(coefficients).map(|(p, c)| p * c).sum::<f64>();

            let zeros = vec![0.0; coefficients.len()];
            let upstream = [&coefficients[..], &zeros];
            let (mut dy, dw) = head::backward([y, table], targets, width, TEMPERATURE, upstream);
            add(&mut gradient[layout.head.index()], &dw);
            dy.extend(vec![0.0; width]);
            let (mut dx, dw) = rmsnorm::backward(&dy, &x, norm, self.epsilon());
            add(&mut gradient[layout.final_norm.index()], &dw);
            for (params, saved) in layout.layers.iter().zip(&saved).rev() {
                dx = self.layer_backward(params, saved, &segments, dx, &mut gradient);
            }
            let rows = embedding::scatter_add(&dx, tokens, vocab, width);
            add(&mut gradient[layout.embedding.index()], &rows);
        }
        (loss, gradient)
    }
}

/// The loss of questions as sequences of their own, each response with its copy of the prompt.
fn sequences(questions: &[Question], divisor: f64) -> Vec<Sequence> {
    let mut sequences = Vec::new();
    for question in questions {
        for response in &question.responses {
            let tokens = [&question.prompt[..], &response.tokens].concat();
            let mut coefficients = vec![0.0; tokens.len() - 1];
            for t in 0..response.tokens.len() {
                let weight = match &response.weights {
                    Weights::Fixed(weights) => f64::from(weights[t]),
                    _ => 1.0,
                };
                if let Some(output) = (question.prompt.len() + t).checked_sub(1) {
                    coefficients[output] = -f64::from(response.advantage) * weight / divisor;
                }
            }
            sequences.push(Sequence { tokens, coefficients });
        }
    }
    sequences
}

/// Questions whose weights do not move with the model.
fn fixed(model: &Model, count: usize, seed: u64) -> Vec<Question> {
    let mut questions = questions(model, count, seed);
    for response in questions.iter_mut().flat_map(|question| &mut question.responses) {
        if matches!(response.weights, Weights::Truncated { .. }) {
            response.weights = Weights::One;
        }
    }
    questions
}

/// The change of the loss along a direction, by central differences over a short way.
fn slope(twin: &Twin<'_>, sequences: &[Sequence], direction: &[Values]) -> f64 {
    let step = 1e-4 / dot(direction, direction).sqrt();
    let [above, below] = [step, -step].map(|step| twin.moved(direction, step).run(sequences).0);
    (above - below) / (2.0 * step)
}

/// The question's direction as the next step would scale it.
fn gamma(gradient: &[Values], squares: &[Values]) -> Vec<Values> {
    let correction = 1.0 - ADAM.beta2.powi(ADAM.step as i32 + 1);
    let one = |(g, v): (&f64, &f64)| {
        let next = (ADAM.beta2 * v + (1.0 - ADAM.beta2) * g * g) / correction;
        g / (next.sqrt() + ADAM.epsilon)
    };
    let tensor = |(g, v): (&Values, &Values)| g.iter().zip(v).map(one).collect();
    gradient.iter().zip(squares).map(tensor).collect()
}

#[test]
fn the_twins_gradient_is_the_derivative() {
    for seed in 0..3 {
        let model = model("qwen3_tied", seed);
        let twin = Twin::new(&model);
        let sequences = sequences(&fixed(&model, 2, seed), 3.0);
        let (_, gradient) = twin.run(&sequences);
        let size = dot(&gradient, &gradient).sqrt();
        // Along the gradient, along random directions, and along single weights of every tensor.
        let mut directions = vec![gradient.clone()];
        let shapes = || gradient.iter().map(|values| vec![0.0; values.len()]);
        for draw in 0..3 {
            let random = shapes().enumerate().map(|(tensor, values)| {
                let stream = Stream::new(seed).child(draw).child(tensor as u64);
                (0..values.len() as u64).map(|i| stream.normal(i)).collect()
            });
            directions.push(random.collect());
        }
        for tensor in 0..gradient.len() {
            let mut single: Vec<Values> = shapes().collect();
            let place = Stream::new(seed).bits(tensor as u64) as usize % single[tensor].len();
            single[tensor][place] = 1.0;
            directions.push(single);
        }
        for (i, direction) in directions.iter().enumerate() {
            let want = dot(&gradient, direction);
            let off = (slope(&twin, &sequences, direction) - want).abs();
            let scale = want.abs() + 1e-2 * size * dot(direction, direction).sqrt();
            assert!(off <= 1e-6 * scale, "seed {seed}, direction {i}: off by {off:e} of {want:e}");
        }
    }
}

/// The preconditioned dot product is the slope of the target loss along the step: to 1e-6 in f64, and
/// the scores in f32 are those of the twin.
#[test]
fn scores_are_slopes_of_the_target_loss() {
    for seed in 0..4 {
        let model = model("qwen3_tied", seed);
        let twin = Twin::new(&model);
        let (dev, asked) = (fixed(&model, 3, seed + 50), fixed(&model, 5, seed + 60));
        let rows: usize = dev.iter().map(|question| question.responses.len()).sum();
        let objective = |questions| Objective::over(questions, TEMPERATURE as f32);
        let dev_sequences = sequences(&dev, rows as f64 * objective(&dev).mean_tokens);
        let (_, m) = twin.run(&dev_sequences);

        let squares = mean_squares(&model, seed);
        let state = AdamState { exp_avg_sq: Some(&squares), preconditioner: ADAM };
        let settings = Settings { batch_tokens: 4096, keep: Keep::Everything };
        let target = Target::measure(&model, &dev, &objective(&dev), settings, &Unwatched).unwrap();
        let mut scorer = Scorer::new(&model, &target, state, settings, &Unwatched).unwrap();
        let scores = scorer.score(&asked, &objective(&asked)).unwrap();
        let squares: Vec<Values> =
            squares.buffers().iter().map(|b| widen(&b.to_f32().unwrap())).collect();

        for (question, score) in asked.iter().zip(&scores.questions) {
            let divisor = question.responses.len() as f64 * objective(&asked).mean_tokens;
            let (_, g) = twin.run(&sequences(std::slice::from_ref(question), divisor));
            let direction = gamma(&g, &squares);
            let mut want = Sums::default();
            for ((g, v), m) in g.iter().zip(&squares).zip(&m) {
                want += influence::sums(g, v, m, &ADAM);
            }
            let plain = dot(&direction, &m);
            let norms = [&direction, &m].map(|d| dot(d, d).sqrt());
            if !question.is_silent() {
                let slope = slope(&twin, &dev_sequences, &direction);
                let scale = plain.abs() + 1e-2 * norms[0] * norms[1];
                assert!((slope - plain).abs() <= 1e-6 * scale, "{slope} along Γ, ⟨Γ,m⟩ {plain}");
            }
            assert!((want.gamma_dot - plain).abs() <= 1e-12 * norms[0] * norms[1]);
            let got = score.sums;
            let dots = [
                ("dot", got.dot, want.dot, (want.gradient_sq.sqrt()) * norms[1]),
                ("gamma_dot", got.gamma_dot, want.gamma_dot, norms[0] * norms[1]),
                ("gradient_sq", got.gradient_sq, want.gradient_sq, want.gradient_sq),
                ("gamma_sq", got.gamma_sq, want.gamma_sq, want.gamma_sq),
            ];
            for (name, got, want, whole) in dots {
                assert!((got - want).abs() <= 1e-5 * whole, "{name}: {got}, in f64 {want}");
            }
        }
    }
}
