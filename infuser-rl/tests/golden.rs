use std::path::Path;

use infuser_rl::{
    advantage::{Normalisation, Singleton, normalise},
    correction::{Correction, Level, Rejection, Truncation},
    loss::{self, Clip, Estimator, Gates, Loss, Tokens},
    reduce::{Divisor, Reduction},
    select::Filter,
};
use serde_json::Value;

/// The cases of a file: name, inputs, outputs.
pub(crate) fn cases(file: &str) -> Vec<(String, Value, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: Value = serde_json::from_str(&text).unwrap();
    let cases = file["cases"].as_array().unwrap().iter().map(|case| {
        let name = case["name"].as_str().unwrap().to_string();
        (name, case["inputs"].clone(), case["outputs"].clone())
    });
    let cases: Vec<_> = cases.collect();
    assert!(!cases.is_empty());
    cases
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn row(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| number(x) as f32).collect()
}

/// A padded batch as packed responses: where each kept token came from.
struct Packed {
    lengths: Vec<usize>,
    width: usize,
    places: Vec<(usize, usize)>,
}

impl Packed {
    fn new(mask: &Value) -> Self {
        let rows: Vec<Vec<f32>> = mask.as_array().unwrap().iter().map(row).collect();
        let mut places = Vec::new();
        let mut lengths = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let kept: Vec<usize> = (0..row.len()).filter(|t| row[*t] != 0.0).collect();
            lengths.push(kept.len());
            places.extend(kept.into_iter().map(|t| (i, t)));
        }
        Self { lengths, width: rows[0].len(), places }
    }

    fn take(&self, matrix: &Value) -> Vec<f32> {
        self.places.iter().map(|(i, t)| number(&matrix[i][t]) as f32).collect()
    }

    /// Compares packed values with a padded matrix, which is 0 elsewhere.
    fn check(&self, what: &str, got: &[f32], matrix: &Value) {
        let mut padded = vec![vec![0.0; self.width]; self.lengths.len()];
        for ((i, t), value) in self.places.iter().zip(got) {
            padded[*i][*t] = *value;
        }
        for (i, row) in padded.iter().enumerate() {
            for (t, value) in row.iter().enumerate() {
                close(&format!("{what}[{i}][{t}]"), f64::from(*value), number(&matrix[i][t]));
            }
        }
    }
}

/// 1e-6 relative, and what f32 sums of the reference lose.
pub(crate) fn close(what: &str, got: f64, expected: f64) {
    let bound = 2e-6 * expected.abs().max(got.abs()) + 2e-7;
    assert!((got - expected).abs() <= bound, "{what}: got {got}, expected {expected}");
}

pub(crate) fn normalisation(inputs: &Value) -> Normalisation {
    let flag = inputs["norm_adv_by_std_in_grpo"].as_bool().unwrap_or(true);
    match inputs["normalization_mode"].as_str() {
        Some("group_std") => Normalisation::GroupStd,
        Some("hybrid_std") => Normalisation::DualStd,
        Some("batch_std") => Normalisation::BatchStd,
        Some("none") => Normalisation::Centred,
        None if flag => Normalisation::GroupStd,
        None => Normalisation::Centred,
        Some(other) => panic!("{other}"),
    }
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    let names: Vec<&str> = value.as_array().unwrap().iter().map(|x| x.as_str().unwrap()).collect();
    names.iter().map(|name| names.iter().position(|other| other == name).unwrap() as u32).collect()
}

#[test]
fn advantages() {
    let mut differing = Vec::new();
    for (name, inputs, outputs) in cases("grpo_advantage.json") {
        // ε is a constant of ours, and equal rewards are recognised as such: both are differences by
        // intent. Where nothing is divided, ε plays no part.
        let other_epsilon = number(&inputs["epsilon"]) != 1e-6;
        let divides = normalisation(&inputs) != Normalisation::Centred;
        if other_epsilon && divides || name.starts_with("fragile") {
            differing.push(name);
            continue;
        }
        let tokens = inputs["token_level_rewards"].as_array().unwrap();
        let rewards: Vec<f32> = tokens.iter().map(|tokens| row(tokens).iter().sum()).collect();
        let groups = ids(&inputs["index"]);
        let got = normalise(&rewards, &groups, normalisation(&inputs), Singleton::Raw).unwrap();
        let packed = Packed::new(&inputs["response_mask"]);
        let spread: Vec<f32> = packed.places.iter().map(|(i, _)| got[*i]).collect();
        let scale = spread.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
        for ((i, t), value) in packed.places.iter().zip(&spread) {
            let expected = number(&outputs["advantages"][i][t]);
            let gap = (f64::from(*value) - expected).abs();
            assert!(
                gap <= 3e-6 * f64::from(scale),
                "{name}[{i}][{t}]: {value}, expected {expected}"
            );
        }
    }
    assert_eq!(differing, ["eps_1e-2-hybrid_std"], "see docs/differences.md");
}

/// The divisor that the reference's arguments amount to; its factor for the number of ranks is put in.
fn divisor(inputs: &Value, mode: &str, packed: &Packed, info: &Value) -> Divisor {
    let ranks = info["dp_size"].as_f64().unwrap_or(1.0);
    match mode {
        "token-mean" => match info["batch_num_tokens"].as_f64() {
            Some(tokens) => Divisor::tokens(tokens / ranks),
            None => Divisor::tokens(packed.places.len() as f64 / ranks),
        },
        "seq-mean-token-sum" | "seq-mean-token-mean" => {
            let filled = packed.lengths.iter().filter(|length| **length > 0).count() as f64;
            let count = info["global_batch_size"].as_f64().unwrap_or(filled) / ranks;
            if mode == "seq-mean-token-sum" {
                Divisor::responses(count)
            } else {
                Divisor::response_means(count)
            }
        }
        "seq-mean-token-sum-norm" => {
            Divisor::tokens(inputs["loss_scale_factor"].as_f64().unwrap_or(packed.width as f64))
        }
        other => panic!("{other}"),
    }
}

/// The mean of given token losses, through the loss whose slope is known: `−A logp`.
#[test]
fn aggregation() {
    for (name, inputs, outputs) in cases("agg_loss.json") {
        let packed = Packed::new(&inputs["loss_mask"]);
        let losses = packed.take(&inputs["loss_mat"]);
        let mode = inputs["loss_agg_mode"].as_str().unwrap();
        let divisor = divisor(&inputs, mode, &packed, &inputs);
        let minus = vec![-1.0; losses.len()];
        let tokens = Tokens {
            lengths: &packed.lengths,
            logp: &losses,
            old_logp: &losses,
            advantages: &minus,
            weights: None,
        };
        let got = loss::reinforce(&tokens, divisor).unwrap();
        if outputs["loss"].is_null() || packed.places.is_empty() {
            assert_eq!(got.value, 0.0, "{name}: nothing is worth nothing");
            continue;
        }
        close(&name, got.value, number(&outputs["loss"]));
        packed.check(&name, &got.dlogp, &outputs["grad_loss_mat"]);
    }
}

struct Owned {
    packed: Packed,
    logp: Vec<f32>,
    old: Vec<f32>,
    advantages: Vec<f32>,
    weights: Option<Vec<f32>>,
}

impl Owned {
    fn new(inputs: &Value) -> Self {
        let packed = Packed::new(&inputs["response_mask"]);
        let weights = Some(&inputs["rollout_is_weights"]).filter(|weights| weights.is_array());
        Self {
            logp: packed.take(&inputs["log_prob"]),
            old: packed.take(&inputs["old_log_prob"]),
            advantages: packed.take(&inputs["advantages"]),
            weights: weights.map(|weights| packed.take(weights)),
            packed,
        }
    }

    fn tokens(&self) -> Tokens<'_> {
        Tokens {
            lengths: &self.packed.lengths,
            logp: &self.logp,
            old_logp: &self.old,
            advantages: &self.advantages,
            weights: self.weights.as_deref(),
        }
    }
}

fn clip(inputs: &Value) -> Clip {
    let either = |name: &str| inputs[name].as_f64().or(inputs["clip_ratio"].as_f64()).unwrap();
    Clip {
        low: either("clip_ratio_low"),
        high: either("clip_ratio_high"),
        dual: inputs["clip_ratio_c"].as_f64(),
    }
}

fn check_loss(name: &str, packed: &Packed, got: &Loss, outputs: &Value) {
    close(&format!("{name} loss"), got.value, number(&outputs["loss"]));
    packed.check(name, &got.dlogp, &outputs["grad_log_prob"]);
    let metrics = [
        ("actor/pg_clipfrac", got.counts.clip_fraction()),
        ("actor/pg_clipfrac_lower", got.counts.clip_fraction_lower()),
        ("actor/ppo_kl", got.counts.mean_kl()),
    ];
    for (metric, value) in metrics {
        if let Some(expected) = outputs["metrics"][metric].as_f64() {
            close(&format!("{name} {metric}"), value, expected);
        }
    }
}

#[test]
fn clipped_policy_loss() {
    for (name, inputs, outputs) in cases("policy_loss_vanilla.json") {
        let owned = Owned::new(&inputs);
        let mode = inputs["loss_agg_mode"].as_str().unwrap();
        let divisor = divisor(&inputs, mode, &owned.packed, &inputs["global_batch_info"]);
        let got = loss::clipped(&owned.tokens(), &clip(&inputs), divisor).unwrap();
        check_loss(&name, &owned.packed, &got, &outputs);
    }
}

#[test]
fn other_policy_losses() {
    for (name, inputs, outputs) in cases("policy_loss_other.json") {
        let mut owned = Owned::new(&inputs);
        let mode = inputs["loss_agg_mode"].as_str().unwrap();
        let clip = clip(&inputs);
        let kind = inputs["loss_mode"].as_str().unwrap();
        let by = |owned: &Owned, mode: &str| divisor(&inputs, mode, &owned.packed, &Value::Null);
        let means = "seq-mean-token-mean";
        let got = match kind {
            "gspo" => loss::gspo(&owned.tokens(), &clip, by(&owned, means)),
            "gpg" => loss::reinforce(&owned.tokens(), by(&owned, mode)),
            "cispo" => loss::cispo(&owned.tokens(), &clip, by(&owned, mode)),
            "geo_mean" => {
                let rows = owned.packed.lengths.len() as f64;
                loss::geometric_mean(&owned.tokens(), &clip, Divisor::responses(rows))
            }
            "sapo" => {
                let gates = Gates {
                    positive: number(&inputs["tau_pos"]),
                    negative: number(&inputs["tau_neg"]),
                };
                loss::sapo(&owned.tokens(), &gates, by(&owned, means))
            }
            "bypass_mode" => {
                bypass(&inputs, &mut owned, &clip, mode, &name, &outputs);
                continue;
            }
            other => panic!("{other}"),
        };
        check_loss(&name, &owned.packed, &got.unwrap(), &outputs);
    }
}

/// Rollout log-probabilities stand in for the old ones; rejected tokens drop out of the mask.
fn bypass(inputs: &Value, owned: &mut Owned, clip: &Clip, mode: &str, name: &str, outputs: &Value) {
    let config = &inputs["rollout_correction"];
    let corrected =
        correction(config).apply(&owned.packed.lengths, &owned.logp, &owned.old).unwrap();
    let full = std::mem::take(&mut owned.packed.places);
    let mut lengths = vec![0; owned.packed.lengths.len()];
    let keep = |values: &[f32]| -> Vec<f32> {
        values.iter().zip(&corrected.kept).filter(|(_, kept)| **kept).map(|(x, _)| *x).collect()
    };
    for (place, kept) in full.iter().zip(&corrected.kept) {
        if *kept {
            owned.packed.places.push(*place);
            lengths[place.0] += 1;
        }
    }
    owned.packed.lengths = lengths;
    owned.logp = keep(&owned.logp);
    owned.old = keep(&owned.old);
    owned.advantages = keep(&owned.advantages);
    let reinforce = config["loss_type"] == "reinforce";
    owned.weights = corrected.weights.as_deref().map(keep).filter(|_| reinforce);
    let by = divisor(inputs, mode, &owned.packed, &Value::Null);
    let got = if reinforce {
        loss::reinforce(&owned.tokens(), by)
    } else {
        loss::clipped(&owned.tokens(), clip, by)
    };
    let got = got.unwrap();
    close(&format!("{name} loss"), got.value, number(&outputs["loss"]));
    owned.packed.check(name, &got.dlogp, &outputs["grad_log_prob"]);
}

#[test]
fn divergence_estimates() {
    for (name, inputs, outputs) in cases("kl_penalty.json") {
        let kind = inputs["kl_penalty"].as_str().unwrap();
        let estimator = match kind {
            "kl" | "k1" => Estimator::K1,
            "abs" => Estimator::Absolute,
            "mse" | "k2" => Estimator::K2,
            "low_var_kl" | "k3" => Estimator::K3,
            // The reference has names for estimates that it does not have.
            other => {
                assert!(other.ends_with('+') && outputs["error"] == "NotImplementedError");
                continue;
            }
        };
        let rows = inputs["logprob"].as_array().unwrap();
        for (i, logp) in rows.iter().enumerate() {
            let reference = row(&inputs["ref_logprob"][i]);
            let (value, slope) = loss::kl(&row(logp), &reference, estimator).unwrap();
            let expected = [row(&outputs["kl"][i]), row(&outputs["grad_logprob"][i])];
            for t in 0..value.len() {
                // The reference forms e^x − x − 1 in f32.
                let lost = 1e-6;
                let gap = f64::from((value[t] - expected[0][t]).abs());
                assert!(gap <= 2e-6 * f64::from(value[t].abs()) + lost, "{name} kl[{i}][{t}]");
                let gap = f64::from((slope[t] - expected[1][t]).abs());
                assert!(gap <= 2e-6 * f64::from(slope[t].abs()) + lost, "{name} slope[{i}][{t}]");
            }
        }
    }
}

fn level(name: &str) -> Level {
    match name {
        "token" => Level::Token,
        "sequence" => Level::Sequence,
        "geometric" => Level::Geometric,
        other => panic!("{other}"),
    }
}

fn correction(config: &Value) -> Correction {
    let truncation = config["rollout_is"].as_str().map(|name| Truncation {
        level: level(name),
        threshold: number(&config["rollout_is_threshold"]),
        normalise: config["rollout_is_batch_normalize"].as_bool().unwrap_or(false),
    });
    let rejection = config["rollout_rs"].as_str().map(|name| Rejection {
        level: level(name),
        upper: config["rollout_rs_threshold"].as_f64().unwrap_or(2.0),
        lower: config["rollout_rs_threshold_lower"].as_f64(),
    });
    Correction { truncation, rejection, veto: config["rollout_token_veto_threshold"].as_f64() }
}

#[test]
fn rollout_correction() {
    for (name, inputs, outputs) in cases("rollout_correction.json") {
        let packed = Packed::new(&inputs["response_mask"]);
        let (old, rollout) =
            (packed.take(&inputs["old_log_prob"]), packed.take(&inputs["rollout_log_prob"]));
        let got = correction(&inputs).apply(&packed.lengths, &old, &rollout).unwrap();
        match (&got.weights, &outputs["rollout_is_weights"]) {
            (Some(weights), expected) if expected.is_array() => {
                packed.check(&name, weights, expected)
            }
            (None, Value::Null) => {}
            (weights, expected) => panic!("{name}: {weights:?}, expected {expected}"),
        }
        let kept: Vec<f32> = got.kept.iter().map(|kept| f32::from(u8::from(*kept))).collect();
        packed.check(&name, &kept, &outputs["modified_response_mask"]);
        let named = got.mismatch.named();
        for (metric, expected) in outputs["metrics"].as_object().unwrap() {
            let short = metric.trim_start_matches("rollout_corr/");
            let found = named.iter().find(|(name, _)| name == short);
            let (_, value) = found.unwrap_or_else(|| panic!("{name}: no metric {short}"));
            let expected = number(expected);
            // Sums of f32, and what subtracting 1 or a mean square loses of them.
            let bound = 1e-5 * expected.abs().max(value.abs()) + 2e-6;
            let std = short.ends_with("_std") && (value * value - expected * expected).abs() < 1e-5;
            assert!(
                (value - expected).abs() <= bound || std,
                "{name} {metric}: {value}, expected {expected}"
            );
        }
    }
}

#[test]
fn kept_parts_round_up() {
    for (name, inputs, outputs) in cases("solver_filter.json") {
        if let (Some(alpha), Some(total)) = (inputs["alpha"].as_f64(), inputs["total"].as_u64()) {
            let keep = Filter::keep(alpha, total as usize);
            assert_eq!(Some(keep as u64), outputs["keep"].as_u64(), "{name}");
        }
    }
}

#[test]
fn reduction_makes_the_same_divisor() {
    let lengths = [3, 0, 5];
    assert_eq!(Reduction::TokenMean.divisor(&lengths), Divisor::tokens(8.0));
    assert_eq!(Reduction::MeanOfSums.divisor(&lengths), Divisor::responses(2.0));
    assert_eq!(Reduction::MeanOfMeans.divisor(&lengths), Divisor::response_means(2.0));
}
