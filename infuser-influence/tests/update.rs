use std::path::Path;

use infuser_kernels::Device;
use infuser_model::{
    Accumulate, Batch, BatchBuilder, Keep, Layout, Model, OutputGradient, Tensors, Workspace,
    optim::{AdamW, Optimizer, OptimizerSettings, Schedule},
};
use infuser_rl::{
    correction::Correction,
    loss::{self, Clip, Estimator, Tokens},
    reduce::Divisor,
};
use serde_json::Value;

use crate::{
    fixtures::{Golden, json, model, shared},
    rollouts::{Row, cut, rows},
};

/// The rows of an update, with what the losses read of them.
struct Rollouts {
    rows: Vec<Row>,
    old: Vec<Vec<f32>>,
    advantages: Vec<Vec<f32>>,
    weights: Option<Vec<Vec<f32>>>,
    reference: Option<Vec<Vec<f32>>>,
}

impl Rollouts {
    fn read(golden: &Golden) -> Self {
        let rows = rows(golden, "");
        let take = |name: &str| golden.holds(name).then(|| cut(golden, name, &rows));
        Self {
            old: cut(golden, "old_log_probs", &rows),
            advantages: cut(golden, "advantages", &rows),
            weights: take("rollout_is_weights"),
            reference: take("ref_log_prob"),
            rows,
        }
    }

    fn batch(&self, range: std::ops::Range<usize>) -> Batch {
        let mut builder = BatchBuilder::default();
        for row in &self.rows[range] {
            let prompt = builder.prompt(&row.prompt);
            builder.response(&prompt, &row.response);
        }
        builder.build(Device::Cpu).unwrap()
    }
}

fn joined(values: &[Vec<f32>]) -> Vec<f32> {
    values.iter().flatten().copied().collect()
}

/// What the published settings of an update amount to here.
struct Update<'a> {
    index: &'a Value,
    temperature: f32,
    mini: usize,
    micro: usize,
    clip: Clip,
}

impl<'a> Update<'a> {
    fn new(index: &'a Value) -> Self {
        let config = &index["actor_config"];
        let number = |key: &str| config[key].as_f64().unwrap();
        Self {
            index,
            temperature: index["meta_info"]["temperature"].as_f64().unwrap() as f32,
            mini: number("ppo_mini_batch_size") as usize,
            micro: number("ppo_micro_batch_size_per_gpu") as usize,
            clip: Clip {
                low: number("clip_ratio_low"),
                high: number("clip_ratio_high"),
                dual: Some(number("clip_ratio_c")),
            },
        }
    }

    /// A mini-batch is a mean over micro-batches, each divided by its own tokens or responses unless
    /// the number of tokens is given.
    fn divisor(&self, lengths: &[usize]) -> Divisor {
        let parts = self.mini.div_ceil(self.micro) as f64;
        let tokens = lengths.iter().sum::<usize>() as f64;
        match self.index["actor_config"]["loss_agg_mode"].as_str().unwrap() {
            "token-mean" => match self.index["meta_info"]["avg_response_tokens"].as_f64() {
                Some(mean) => Divisor::tokens(mean * self.mini as f64),
                None => Divisor::tokens(tokens * parts),
            },
            "seq-mean-token-mean" => {
                let filled = lengths.iter().filter(|length| **length > 0).count();
                Divisor::response_means(filled as f64 * parts)
            }
            other => panic!("{other}"),
        }
    }

    /// Entropy and divergence are never divided by the number of tokens that is given.
    fn own_divisor(&self, lengths: &[usize]) -> Divisor {
        let parts = self.mini.div_ceil(self.micro) as f64;
        match self.index["actor_config"]["loss_agg_mode"].as_str().unwrap() {
            "token-mean" => Divisor::tokens(lengths.iter().sum::<usize>() as f64 * parts),
            _ => self.divisor(lengths),
        }
    }

    /// Adds the gradient of a micro-batch; returns its part of the loss that is reported, which has
    /// the entropy in it and the divergence not.
    fn micro_batch(
        &self,
        model: &Model,
        rollouts: &Rollouts,
        range: std::ops::Range<usize>,
        workspace: &mut Workspace,
        gradients: &mut Tensors,
    ) -> f64 {
        let config = &self.index["actor_config"];
        let lengths: Vec<usize> =
            rollouts.rows[range.clone()].iter().map(|row| row.response.len()).collect();
        let batch = rollouts.batch(range.clone());
        model.forward(&batch, self.temperature, workspace).unwrap();
        let logp = workspace.logp().unwrap();
        let single = rollouts.rows.len() <= self.mini;
        let rollout_logp = config["use_rollout_log_probs"].as_bool().unwrap();
        // One mini-batch is on policy, and then the old log-probabilities are the present ones.
        let old = match single && !rollout_logp {
            true => logp.clone(),
            false => joined(&rollouts.old[range.clone()]),
        };
        let weights = rollouts.weights.as_ref().map(|weights| joined(&weights[range.clone()]));
        let tokens = Tokens {
            lengths: &lengths,
            logp: &logp,
            old_logp: &old,
            advantages: &joined(&rollouts.advantages[range.clone()]),
            weights: weights.as_deref(),
        };
        let mut loss = loss::clipped(&tokens, &self.clip, self.divisor(&lengths)).unwrap();

        let own = self.own_divisor(&lengths);
        let bonus = config["entropy_coeff"].as_f64().unwrap();
        let entropies = workspace.entropy().unwrap();
        let (value, dentropy) = loss::entropy_bonus(&lengths, &entropies, bonus, own).unwrap();
        loss.value += value;
        if config["use_kl_loss"].as_bool().unwrap() {
            assert_eq!(config["kl_loss_type"], "low_var_kl");
            let factor = config["kl_loss_coef"].as_f64().unwrap();
            let reference = joined(&rollouts.reference.as_ref().unwrap()[range]);
            let pair = [&logp[..], &reference];
            let (_, dlogp) = loss::kl_penalty(&lengths, pair, Estimator::K3, factor, own).unwrap();
            loss.dlogp.iter_mut().zip(dlogp).for_each(|(d, part)| *d += part);
        }
        let entropy = (bonus != 0.0).then_some(&dentropy[..]);
        let gradient = OutputGradient { logp: &loss.dlogp, entropy };
        let sink = &mut Accumulate::new(gradients);
        model.backward(&batch, gradient, workspace, sink).unwrap();
        loss.value
    }
}

fn optimizer(index: &Value, layout: &Layout) -> Optimizer {
    let number = |value: &Value| value.as_f64().unwrap();
    let optimizer = &index["optimizer"];
    let settings = OptimizerSettings {
        adamw: AdamW {
            learning_rate: number(&optimizer["lr"]),
            beta1: number(&optimizer["betas"][0]),
            beta2: number(&optimizer["betas"][1]),
            epsilon: number(&optimizer["eps"]),
            weight_decay: number(&optimizer["wd"]),
        },
        schedule: Schedule::Constant { warmup_steps: 0 },
        max_norm: Some(number(&index["actor_config"]["grad_clip"])),
    };
    Optimizer::new(layout, Device::Cpu, settings).unwrap()
}

fn check(folder: &Path, golden: &Golden, index: &Value, name: &str) {
    let mut model = model(folder, None);
    let rollouts = Rollouts::read(golden);
    let update = Update::new(index);
    let mut workspace = model.workspace(Keep::Everything).unwrap();
    check_start(&model, golden, &rollouts, update.temperature, &mut workspace, name);
    if let Some(weights) = &rollouts.weights {
        check_weights(golden, &rollouts, weights, name);
    }

    let mut optimizer = optimizer(index, model.layout());
    let mut gradients = Tensors::zeros(model.layout(), Device::Cpu).unwrap();
    let norms = index["grad_norm_before_clip"].as_array().unwrap();
    let starts: Vec<usize> = (0..rollouts.rows.len()).step_by(update.mini).collect();
    assert_eq!(starts.len(), norms.len(), "{name}: steps");
    let mut losses = 0.0;
    for (step, (start, norm)) in starts.iter().zip(norms).enumerate() {
        gradients.clear().unwrap();
        let end = rollouts.rows.len().min(start + update.mini);
        for from in (*start..end).step_by(update.micro) {
            let range = from..end.min(from + update.micro);
            losses += update.micro_batch(&model, &rollouts, range, &mut workspace, &mut gradients);
        }
        let grads = format!("grad.{step}");
        if golden.holds(&format!("{grads}.model.norm.weight")) {
            let want = golden.tensors(&grads, model.layout());
            for (got, want) in gradients.buffers().iter().zip(want.buffers()) {
                let off = distance(&got.to_f32().unwrap(), &want.to_f32().unwrap());
                assert!(off <= 1e-5, "{name}: gradient is off by {off:e}");
            }
        }
        let report = optimizer.step(model.weights_mut(), &gradients).unwrap();
        let norm = norm.as_f64().unwrap();
        assert!((report.gradient_norm / norm - 1.0).abs() < 1e-5, "{name}: {report:?}, {norm}");
    }
    let expected = index["pg_loss"].as_f64().unwrap();
    let off = (losses - expected).abs();
    assert!(off < 1e-5 * expected.abs().max(1.0), "{name}: loss {losses}, want {expected}");
    check_weights_after(&model, golden, index, name);
    let after = logp(&model, &rollouts, update.temperature, &mut workspace);
    let want = joined(&cut(golden, "after_log_probs", &rollouts.rows));
    let off = distance(&after, &want);
    assert!(off <= 1e-4, "{name}: log-probabilities after it are off by {off:e}");
}

fn logp(
    model: &Model,
    rollouts: &Rollouts,
    temperature: f32,
    workspace: &mut Workspace,
) -> Vec<f32> {
    let batch = rollouts.batch(0..rollouts.rows.len());
    model.forward(&batch, temperature, workspace).unwrap();
    workspace.logp().unwrap()
}

fn check_start(
    model: &Model,
    golden: &Golden,
    rollouts: &Rollouts,
    temperature: f32,
    workspace: &mut Workspace,
    name: &str,
) {
    let got = logp(model, rollouts, temperature, workspace);
    let want = joined(&cut(golden, "init_log_probs", &rollouts.rows));
    assert!(distance(&got, &want) < 1e-4, "{name}: log-probabilities before it");
    let want = joined(&cut(golden, "init_entropy", &rollouts.rows));
    assert!(distance(&workspace.entropy().unwrap(), &want) < 1e-4, "{name}: entropies before it");
}

/// The importance weights of the batch are those of the default correction.
fn check_weights(golden: &Golden, rollouts: &Rollouts, weights: &[Vec<f32>], name: &str) {
    let lengths: Vec<usize> = rollouts.rows.iter().map(|row| row.response.len()).collect();
    let rollout = joined(&cut(golden, "rollout_log_probs", &rollouts.rows));
    let got = Correction::default().apply(&lengths, &joined(&rollouts.old), &rollout).unwrap();
    assert!(distance(&got.weights.unwrap(), &joined(weights)) < 1e-5, "{name}: weights");
}

/// 99.99 % of the elements within 2e-6, all within twice the learning rate: the first step of Adam is
/// nearly the sign of the gradient, and that of a rounding is arbitrary.
fn check_weights_after(model: &Model, golden: &Golden, index: &Value, name: &str) {
    let after = golden.tensors("after", model.layout());
    let rate = index["optimizer"]["lr"].as_f64().unwrap() as f32;
    let (mut far, mut all) = (0, 0);
    for (got, want) in model.weights().buffers().iter().zip(after.buffers()) {
        for (got, want) in got.to_f32().unwrap().iter().zip(want.to_f32().unwrap()) {
            let gap = (got - want).abs();
            assert!(gap <= 2.0 * rate, "{name}: a weight is off by {gap:e}");
            far += usize::from(gap > 2e-6);
            all += 1;
        }
    }
    assert!(far * 10_000 <= all, "{name}: {far} of {all} weights are off by more than 2e-6");
}

#[track_caller]
fn distance(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len(), "lengths differ");
    let differences = got.iter().zip(want).map(|(g, w)| (g - w).abs());
    differences.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}

#[test]
fn a_whole_update_matches_the_published_code() {
    let Some(folder) = shared("golden/grpo_update") else { return };
    let index = json(&folder.join("index.json"));
    let mut compared = 0;
    for (name, index) in index.as_object().unwrap() {
        let file = folder.join(format!("{name}.safetensors"));
        if !file.exists() {
            println!("skipped: no {}", file.display());
            continue;
        }
        let model = folder.join("../models").join(index["model"].as_str().unwrap());
        check(&model, &Golden::read(&file), index, name);
        compared += 1;
    }
    assert!(compared > 0);
}
