use std::path::Path;

use infuser_influence::{
    AdamState, Fingerprint, Objective, Origin, Path as Way, Preconditioner, Question, Scorer,
    Settings, Similarity, Target, gradient,
};
use infuser_model::{Keep, Layout, Model, Unwatched};
use serde_json::Value;

use crate::{
    fixtures::{Golden, json, model, shared},
    rollouts::questions,
};

/// Allowed relative difference of scores to the published code, which differs from itself by a tenth
/// of it when it takes another attention kernel.
const SCORE: f64 = 1e-4;

const SETTINGS: Settings = Settings { batch_tokens: 4096, keep: Keep::Everything };

fn owners(index: &Value) -> Vec<String> {
    let list = index["uid"].as_array().unwrap();
    list.iter().map(|owner| owner.as_str().unwrap().to_string()).collect()
}

/// The questions of a batch, and its objective.
fn batch(golden: &Golden, index: &Value, name: &str) -> (Vec<Question>, Objective) {
    let index = &index[name];
    let questions = questions(golden, &format!("{name}."), &owners(index));
    let mean_tokens = index["avg_response_tokens"].as_f64().unwrap();
    let objective = Objective { temperature: 0.7, mean_tokens };
    let own = Objective::over(&questions, 0.7);
    assert!((own.mean_tokens - mean_tokens).abs() < 1e-9, "{name}: mean tokens");
    (questions, objective)
}

/// Compares the scores of all modes, tile by tile and by storing.
fn compare(
    what: &str,
    (model, target, state): (&Model, &Target, AdamState<'_>),
    (questions, objective): &(Vec<Question>, Objective),
    expected: &Value,
) {
    for settings in [SETTINGS, Settings { batch_tokens: 60, keep: Keep::BlockInputs }] {
        let mut scorer = Scorer::new(model, target, state, settings, &Unwatched).unwrap();
        let tiles = scorer.score(questions, objective).unwrap();
        let stored = scorer.score_by_storing(questions, objective).unwrap();
        if settings.batch_tokens == SETTINGS.batch_tokens {
            assert!(tiles.questions.iter().all(|score| score.path == Way::Tiles));
        }
        for scores in [tiles, stored] {
            for similarity in Similarity::ALL {
                let expected = &expected[similarity.name()];
                let norm = expected["ref_norm"].as_f64().unwrap();
                assert!((scores.target_norm / norm - 1.0).abs() < 1e-5, "{what}: norm");
                let list = expected["score"].as_array().unwrap();
                assert_eq!(list.len(), questions.len());
                // f32 sums of the reference lose a part of the whole. Before the first step `Γ` is the
                // sign of `g`, rounding included: single elements of 1e-8 move PyTorch itself this
                // far from the same computation in f64.
                let share = if state.exp_avg_sq.is_none() { 2e-6 } else { 1e-7 };
                for (got, want) in scores.by(similarity).iter().zip(list) {
                    let want = want.as_f64().unwrap();
                    let bound = SCORE * want.abs() + share * whole(similarity, expected);
                    let gap = (got - want).abs();
                    assert!(gap <= bound, "{what} {}: {got}, want {want}", similarity.name());
                }
            }
        }
    }
}

/// What a score would be if the two directions were one.
fn whole(similarity: Similarity, expected: &Value) -> f64 {
    let first = |name: &str| expected[name][0].as_f64().unwrap();
    let norm = expected["ref_norm"].as_f64().unwrap();
    match similarity {
        Similarity::Cosine | Similarity::PreconditionedCosine => 1.0,
        Similarity::Dot => first("grad_norm") * norm,
        Similarity::PreconditionedDot => first("gamma_norm") * norm,
    }
}

fn origin(model: &Model, questions: &[Question]) -> Origin {
    Origin {
        weights: Fingerprint::of_tensors(model.weights()).unwrap(),
        data: Fingerprint::of_questions(questions),
        gradients: 1,
    }
}

#[test]
fn scores_match_the_published_code() {
    let Some(folder) = shared("golden/influence") else { return };
    let weights = folder.join("../models/qwen3_tied-f32");
    let index = json(&folder.join("index.json"));
    let mut compared = 0;
    for name in ["none", "group_std"] {
        let file = folder.join(format!("{name}.safetensors"));
        if !file.exists() {
            println!("skipped: no {}", file.display());
            continue;
        }
        check(&file, &weights, &index[name], name);
        compared += 1;
    }
    assert!(compared > 0);
}

fn check(file: &Path, folder: &Path, index: &Value, name: &str) {
    let golden = Golden::read(file);
    let none = Golden::read(&file.with_file_name("none.safetensors"));
    // The second set of batches is of the same weights and leaves them out.
    let held = if golden.holds("param.model.norm.weight") { &golden } else { &none };

    // An optimizer that has not stepped.
    if golden.holds("dev0.input_ids") {
        let model = model(folder, None);
        let (dev, objective) = batch(&golden, index, "dev0");
        let target = Target::measure(&model, &dev, &objective, SETTINGS, &Unwatched).unwrap();
        let adam = preconditioner(index, 0);
        let state = AdamState { exp_avg_sq: None, preconditioner: adam };
        let gen0 = batch(&golden, index, "gen0");
        let what = format!("{name}: empty state");
        compare(&what, (&model, &target, state), &gen0, &index["empty_state"]);
    }

    let model = model(folder, Some((held, "param")));
    let exp_avg_sq = held.tensors("exp_avg_sq", model.layout());
    let steps = index["optimizer"]["step"].as_u64().unwrap();
    let state =
        AdamState { exp_avg_sq: Some(&exp_avg_sq), preconditioner: preconditioner(index, steps) };
    let (dev, objective) = batch(&golden, index, "dev");
    let mut target = Target::measure(&model, &dev, &objective, SETTINGS, &Unwatched).unwrap();
    if golden.holds("ref_grad.model.norm.weight") {
        assert_near(&golden.tensors("ref_grad", model.layout()), target.gradient(), model.layout());
    }
    let questions = batch(&golden, index, "gen");
    compare(name, (&model, &target, state), &questions, &index["scores"]);
    for (q, question) in questions.0.iter().enumerate() {
        let prefix = format!("q_grad.{q}");
        if golden.holds(&format!("{prefix}.model.norm.weight")) {
            let rows = question.responses.len() as f64;
            let one = std::slice::from_ref(question);
            let got = gradient(&model, one, &questions.1, rows, SETTINGS, &Unwatched).unwrap();
            assert_near(&golden.tensors(&prefix, model.layout()), &got, model.layout());
        }
    }

    // Momentum; the published divisor counts the rows of full micro-batches.
    let dev2 = &index["dev2"];
    let (second, objective) = batch(&golden, index, "dev2");
    let micro = dev2["micro_batch_size"].as_u64().unwrap();
    let rows = second.iter().map(|q| q.responses.len() as u64).sum::<u64>();
    let nominal = (rows.div_ceil(micro) * micro) as f64;
    let newer = gradient(&model, &second, &objective, nominal, SETTINGS, &Unwatched).unwrap();
    let newer = Target::new(newer, origin(&model, &second)).unwrap();
    let beta = dev2["momentum_beta"].as_f64().unwrap();
    target.blend(newer, beta).unwrap();
    let what = format!("{name}: momentum");
    compare(&what, (&model, &target, state), &questions, &index["scores_after_ema"]);
}

fn preconditioner(index: &Value, step: u64) -> Preconditioner {
    let optimizer = &index["optimizer"];
    let beta2 = optimizer["betas"][1].as_f64().unwrap();
    Preconditioner { beta2, epsilon: optimizer["eps"].as_f64().unwrap(), step }
}

/// Gradients within 1e-5 of each tensor's largest value.
#[track_caller]
fn assert_near(want: &infuser_model::Tensors, got: &infuser_model::Tensors, layout: &Layout) {
    for (id, param) in layout.iter() {
        let [got, want] = [got, want].map(|tensors| tensors[id].to_f32().unwrap());
        let size = want.iter().fold(0.0f32, |size, x| size.max(x.abs()));
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() <= 1e-5 * size, "{}: {got}, want {want}", param.name);
        }
    }
}
