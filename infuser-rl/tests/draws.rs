//! What a draw, and what is made of it, does not depend on.

use infuser_data::suite::Item;
use infuser_rl::{advantage::Normalisation, train::Inputs};
use serde_json::Value;

use crate::world::{Memory, config, inputs, run_with};

/// Lines of a stage by the question's id.
fn by_id(store: &Memory, key: (u64, usize, &'static str)) -> Vec<(String, Value)> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["id"].as_str().unwrap().to_string(), line)
    };
    store.kept[&key].lines().map(line).collect()
}

/// One question less in front, and the others get the same answers.
#[test]
fn answers_do_not_depend_on_the_other_questions() {
    let key = (0, 0, "evaluation");
    let all = by_id(&run_with(config(), inputs()).store, key);
    let fewer = Inputs { test: inputs().test[1..].to_vec(), ..inputs() };
    let fewer = by_id(&run_with(config(), fewer).store, key);
    assert_eq!(fewer.len(), 3);
    assert!(all[1..] == fewer[..]);
}

/// The same question twice is drawn twice.
#[test]
fn a_question_asked_twice_gets_other_answers() {
    let one = inputs().test[0].clone();
    let test: Vec<Item> = vec![one.clone(), one];
    let mut config = config();
    config.evaluation.samples = 8;
    let store = run_with(config, Inputs { test, ..inputs() }).store;
    let lines = by_id(&store, (0, 0, "evaluation"));
    let answers = |i: usize| {
        let answers = lines[i].1["answers"].as_array().unwrap();
        answers.iter().map(|answer| answer["tokens"].clone()).collect::<Vec<_>>()
    };
    assert_ne!(answers(0), answers(1));
}

/// Questions whose answers are all right or all wrong say nothing, so the target is the same without
/// them; also where advantages are divided by the deviation of the whole batch.
#[test]
fn a_target_is_made_of_the_questions_that_vary() {
    let mut config = config();
    config.solver.normalisation = Normalisation::BatchStd;
    let norm = |dev: Vec<Item>| {
        let store = run_with(config.clone(), Inputs { dev, ..inputs() }).store;
        (store.all("influence_dev/grad_norm")[0], store)
    };
    let (expected, store) = norm(inputs().dev);
    let varies = |line: &Value| {
        let answers = line["answers"].as_array().unwrap();
        answers.iter().any(|answer| answer["score"] != answers[0]["score"])
    };
    let lines = by_id(&store, (1, 0, "dev"));
    let kept: Vec<Item> = (inputs().dev.into_iter().zip(&lines))
        .filter(|(_, (_, line))| varies(line))
        .map(|(item, _)| item)
        .collect();
    assert!(kept.len() > 1 && kept.len() < lines.len(), "{}", kept.len());
    let (got, _) = norm(kept);
    assert!((got / expected - 1.0).abs() < 1e-5, "{got}, want {expected}");
}
