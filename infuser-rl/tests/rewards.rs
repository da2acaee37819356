use infuser_rl::{
    advantage::{Normalisation, Singleton},
    reward::{Component, Gate, Group, Parts, Structure, Term, spice},
    select::varies,
};
use serde_json::{Value, json};

use crate::golden::{cases, close, ids, normalisation as normalisation_of, number};

#[test]
fn solver_rewards() {
    for (name, inputs, outputs) in cases("solver_rewards.json") {
        let questions: Vec<&str> =
            inputs["question_id"].as_array().unwrap().iter().map(|x| x.as_str().unwrap()).collect();
        let scores: Vec<f64> = inputs["answer_score"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap_or(0.0))
            .collect();
        let (target, scale) = (
            number(&inputs["spice"]["target_variance"]),
            number(&inputs["spice"]["variance_scale"]),
        );
        let expected: Vec<&str> = outputs["kept_questions"]
            .as_array()
            .map(|list| list.iter().map(|x| x.as_str().unwrap()).collect())
            .unwrap_or_default();
        let mut distinct: Vec<&str> = Vec::new();
        questions.iter().for_each(|q| {
            if !distinct.contains(q) {
                distinct.push(q)
            }
        });
        for question in distinct {
            let own: Vec<f64> = questions
                .iter()
                .zip(&scores)
                .filter(|(q, _)| **q == question)
                .map(|(_, score)| *score)
                .collect();
            if let Some(reward) = outputs["spice_rewards"][question].as_f64() {
                close(&format!("{name} {question}"), spice(&own, target, scale), reward);
            }
            let own: Vec<f32> = own.iter().map(|score| *score as f32).collect();
            // The reference keeps a question with one answer, of which ours says it cannot vary.
            let kept = varies(&own) || own.len() == 1;
            assert_eq!(kept, expected.contains(&question), "{name} {question}: {own:?}");
        }
    }
}

fn component(name: &str) -> Component {
    match name {
        "influence_rewards" => Component::Influence,
        "spice_rewards" => Component::Spice,
        "invalid_rewards" => Component::Invalid,
        other => panic!("{other}"),
    }
}

fn terms(list: &Value) -> Vec<Term> {
    let term = |term: &Value| match term.as_str() {
        Some(name) => Term { component: component(name), weight: 1.0 },
        None => Term {
            component: component(term["name"].as_str().unwrap()),
            weight: weight(&term["weight"]),
        },
    };
    list.as_array().unwrap().iter().map(term).collect()
}

fn structure(inputs: &Value) -> Structure {
    let (config, payload) = (&inputs["config"], &inputs["payload"]);
    let mode = |name: &Value| {
        Some(normalisation_of(&json!({"normalization_mode": name}))).filter(|_| name.is_string())
    };
    let training = &config["training"];
    let groups = &training["generator_reward_structure"];
    let group = |group: &Value| match group {
        Value::Object(_) => Group {
            weight: weight(&group["group_weight"]),
            terms: terms(&group["terms"]),
            normalisation: mode(&group["normalization_mode"]),
        },
        Value::Array(_) => Group { weight: 1.0, terms: terms(group), normalisation: None },
        name => Group { weight: 1.0, terms: terms(&json!([name])), normalisation: None },
    };
    if let Some(list) = groups.as_array().filter(|list| !list.is_empty()) {
        return Structure::Decoupled(list.iter().map(group).collect());
    }
    if training["generator_reward_combination_mode"] == "decoupled" {
        let list = training["generator_reward_components"].as_array().unwrap();
        return Structure::Decoupled(list.iter().map(group).collect());
    }
    let weights = &payload["component_weights"];
    let selected = payload["selected_components"].as_array().unwrap();
    let term = |name: &Value| Term {
        component: component(name.as_str().unwrap()),
        weight: weights[name.as_str().unwrap()].as_f64().unwrap_or(1.0),
    };
    let normalisation = mode(&config["algorithm"]["generator_normalization_mode"]);
    let normalisation = normalisation.unwrap_or(Normalisation::GroupStd);
    Structure::Summed { terms: selected.iter().map(term).collect(), normalisation }
}

/// A number of a config; the file has strings for those that JSON has not.
fn weight(value: &Value) -> f64 {
    match value.as_str() {
        Some(text) => text.parse().unwrap(),
        None => value.as_f64().unwrap_or(1.0),
    }
}

/// Forms of the configuration come to the structure that the reference makes of them, or to an error
/// where it makes one.
#[test]
fn structures() {
    for (name, config, outputs) in cases("reward_structure.json") {
        let selected = &config["training"]["generator_reward_components"];
        let empty = json!([]);
        let selected = if selected.is_array() { selected } else { &empty };
        let inputs = json!({"config": config, "payload": {"selected_components": selected}});
        let got = structure(&inputs);
        let expected = &outputs["structure"];
        if expected.get("error").is_some() {
            assert!(got.check().is_err(), "{name}: {got:?}, expected {expected}");
            continue;
        }
        got.check().unwrap_or_else(|error| panic!("{name}: {error}"));
        let Structure::Decoupled(groups) = got else {
            panic!("{name}: {got:?}, expected {expected}");
        };
        let expected = expected.as_array().unwrap();
        assert_eq!(groups.len(), expected.len(), "{name}");
        for (group, want) in groups.iter().zip(expected) {
            let normalisation = Some(&want["normalization_mode"]).filter(|mode| mode.is_string());
            let normalisation =
                normalisation.map(|mode| normalisation_of(&json!({"normalization_mode": mode})));
            let terms = terms(&want["terms"]);
            let weight = want["group_weight"].as_f64().unwrap();
            assert_eq!(group, &Group { weight, terms, normalisation }, "{name}");
        }
    }
}

fn gate(config: &Value) -> Gate {
    match config["quantification_mode"].as_str() {
        Some("group_std_top_gamma") => Gate::TopFraction {
            part: config["group_std_gamma"].as_f64().unwrap_or(0.2),
            ceiling: config["group_std_tau_max"].as_f64(),
        },
        Some("group_std_fixed_threshold") => Gate::Above(number(&config["group_std_tau"])),
        // One and two bits are accepted by the reference and do nothing there.
        _ => Gate::Open,
    }
}

#[test]
fn influence_gates() {
    for (name, inputs, outputs) in cases("influence_filter.json") {
        let Some(expected) = outputs["filtered"].as_object() else {
            let gate = &inputs["influence_cfg"];
            let refused = gate["quantification_mode"] == "group_std_fixed_threshold"
                && !gate["group_std_tau"].is_number()
                || std::panic::catch_unwind(|| self::gate(gate).check().unwrap()).is_err();
            assert!(refused, "{name}: {outputs} {gate}");
            continue;
        };
        let documents = ids(&inputs["doc_id"]);
        let known = inputs["known_valid_question_ids"].as_array().unwrap();
        let names = inputs["question_id"].as_array().unwrap();
        let part = |id: &Value| match id.as_str().filter(|_| known.contains(id)) {
            Some(id) => Parts::Valid {
                influence: inputs["influence_rewards"][id].as_f64().unwrap_or(0.0) as f32,
                spice: 0.0,
            },
            None => Parts::Invalid(0.0),
        };
        let parts: Vec<Parts> = names.iter().map(part).collect();
        let gated = gate(&inputs["influence_cfg"]).apply(&parts, &documents).unwrap();
        for (id, got) in names.iter().zip(gated) {
            // What the reference leaves at ids that never count is of no consequence.
            let counted = id.as_str().filter(|_| known.contains(id));
            if let Some(expected) = counted.and_then(|id| expected.get(id)) {
                let got = got.get(Component::Influence);
                assert_eq!(f64::from(got), f64::from(number(expected) as f32), "{name} {id}");
            }
        }
    }
}

#[test]
fn generator_update() {
    let mut compared = 0;
    for (name, inputs, outputs) in cases("generator_update.json") {
        let documents = ids(&inputs["doc_id"]);
        let valid: Vec<&str> = inputs["known_valid_question_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_str().unwrap())
            .collect();
        let penalty = inputs["config"]["training"]["gen_invalid_penalty"].as_f64().unwrap_or(0.0);
        let parts: Vec<Parts> = inputs["question_id"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| match id.as_str().filter(|id| valid.contains(id)) {
                Some(id) => Parts::Valid {
                    influence: inputs["influence_rewards"][id].as_f64().unwrap_or(0.0) as f32,
                    spice: inputs["spice_rewards"][id].as_f64().unwrap_or(0.0) as f32,
                },
                None => Parts::Invalid(penalty as f32),
            })
            .collect();
        let parts = gate(&inputs["config"]["influence"]).apply(&parts, &documents).unwrap();
        let shaped = structure(&inputs).advantages(&parts, &documents, Singleton::Raw).unwrap();
        compared += 1;
        if outputs["kept"] == false {
            assert!(shaped.rows.is_empty(), "{name}: {:?}", shaped.rows);
            continue;
        }
        let rows: Vec<usize> = outputs["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_u64().unwrap() as usize)
            .collect();
        assert_eq!(shaped.rows, rows, "{name}: rows");
        for (i, got) in shaped.advantages.iter().enumerate() {
            let expected = number(&outputs["advantage"][i]);
            let gap = (f64::from(*got) - expected).abs();
            assert!(
                gap <= 1e-5 * expected.abs().max(1.0),
                "{name} row {i}: {got}, expected {expected}"
            );
        }
    }
    assert!(compared > 20, "only {compared} cases were compared");
}
