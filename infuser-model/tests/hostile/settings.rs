use std::{fs, path::Path};

use serde_json::{Value, json};

use super::*;

#[test]
fn damaged_config_files_are_refused() {
    check_all(
        "qwen3_tied",
        &[
            ("missing", |f| fs::remove_file(f.join(CONFIG)).unwrap(), &[CONFIG, "cannot read"]),
            ("a folder", config_folder, &[CONFIG]),
            ("empty", |f| fs::write(f.join(CONFIG), "").unwrap(), &[CONFIG]),
            ("not JSON", |f| fs::write(f.join(CONFIG), "model_type: qwen3").unwrap(), &[CONFIG]),
            ("cut", |f| edit_bytes(&f.join(CONFIG), |b| b.truncate(300)), &[CONFIG]),
            ("a list", |f| fs::write(f.join(CONFIG), "[]").unwrap(), &[CONFIG]),
            ("null", |f| fs::write(f.join(CONFIG), "null").unwrap(), &[CONFIG]),
            ("no keys", |f| fs::write(f.join(CONFIG), "{}").unwrap(), &[CONFIG, "model_type"]),
            ("UTF-16", |f| fs::write(f.join(CONFIG), b"\xff\xfe{\0}\0").unwrap(), &[CONFIG]),
            ("not UTF-8 in an unused value", latin1, &[CONFIG, "UTF-8"]),
            ("a key twice", |f| splice_config(f, "{\"head_dim\": 8,"), &[CONFIG, "head_dim"]),
            ("nested deeply", |f| splice_config(f, &deep("rope_scaling")), &[CONFIG]),
            ("huge", |f| sparse(&f.join(CONFIG), 1 << 40), &[CONFIG, "too large"]),
            ("generation config not JSON", |f| set_generation(f, "{"), &["generation_config.json"]),
            (
                "generation config with text ids",
                |f| set_generation(f, "{\"eos_token_id\": [\"a\"]}"),
                &["generation_config.json", "eos_token_id"],
            ),
        ],
    );
}

fn config_folder(folder: &Path) {
    fs::remove_file(folder.join(CONFIG)).unwrap();
    fs::create_dir(folder.join(CONFIG)).unwrap();
}

/// Replaces the opening brace.
fn splice_config(folder: &Path, text: &str) {
    edit_bytes(&folder.join(CONFIG), |bytes| drop(bytes.splice(..1, text.bytes())));
}

fn latin1(folder: &Path) {
    edit_bytes(&folder.join(CONFIG), |b| drop(b.splice(..1, *b"{\"author\": \"Andr\xe9\",")));
}

fn deep(key: &str) -> String {
    format!("{{\"{key}\": {}", "{\"a\":".repeat(100_000))
}

fn set_generation(folder: &Path, text: &str) {
    fs::write(folder.join("generation_config.json"), text).unwrap();
}

/// A key of `config.json`, its new value (`None` removes it), what the message must contain.
type Setting = (&'static str, Option<Value>, &'static [&'static str]);

fn check_settings(model: &str, settings: Vec<Setting>) {
    for (key, value, expected) in settings {
        let folder = copy_of(model);
        edit_json(&folder.path().join(CONFIG), |config| {
            let config = config.as_object_mut().unwrap();
            match &value {
                Some(value) => config.insert(key.into(), value.clone()),
                None => config.remove(key),
            };
        });
        let name = value.map_or_else(|| format!("{key} gone"), |value| format!("{key} {value}"));
        assert_refused(&name, folder.path(), expected);
    }
}

#[test]
fn configs_that_make_no_sense_are_refused() {
    let set = |value: Value| Some(value);
    check_settings(
        "qwen3_tied",
        vec![
            ("model_type", None, &[CONFIG, "model_type"]),
            (
                "model_type",
                set(json!("mamba")),
                &[CONFIG, "mamba", "llama", "olmo2", "olmo3", "qwen2", "qwen3"],
            ),
            ("model_type", set(json!(3)), &[CONFIG]),
            ("vocab_size", None, &[CONFIG, "vocab_size"]),
            ("hidden_size", None, &[CONFIG, "hidden_size"]),
            ("intermediate_size", None, &[CONFIG, "intermediate_size"]),
            ("num_hidden_layers", None, &[CONFIG, "num_hidden_layers"]),
            ("num_attention_heads", None, &[CONFIG, "num_attention_heads"]),
            ("vocab_size", set(json!(0)), &[CONFIG, "vocab_size"]),
            ("hidden_size", set(json!(0)), &[CONFIG, "hidden_size"]),
            ("intermediate_size", set(json!(0)), &[CONFIG, "intermediate_size"]),
            ("num_hidden_layers", set(json!(0)), &[CONFIG, "num_hidden_layers"]),
            ("num_attention_heads", set(json!(0)), &[CONFIG, "num_attention_heads"]),
            ("num_key_value_heads", set(json!(0)), &[CONFIG, "num_key_value_heads"]),
            ("head_dim", set(json!(0)), &[CONFIG, "head_dim"]),
            ("max_position_embeddings", set(json!(0)), &[CONFIG, "max_position_embeddings"]),
            ("hidden_size", set(json!(-32)), &[CONFIG, "-32"]),
            ("hidden_size", set(json!(32.5)), &[CONFIG, "32.5"]),
            ("hidden_size", set(json!("32")), &[CONFIG, "\"32\""]),
            ("num_hidden_layers", set(json!(1_000_000_000)), &[CONFIG, "num_hidden_layers"]),
            ("num_hidden_layers", set(json!(u64::MAX)), &[CONFIG, "num_hidden_layers"]),
            ("hidden_size", set(json!(1_000_000_000_000u64)), &[CONFIG, "hidden_size"]),
            ("intermediate_size", set(json!(u64::MAX)), &[CONFIG, "intermediate_size"]),
            ("num_attention_heads", set(json!(5)), &[CONFIG, "num_attention_heads"]),
            ("num_key_value_heads", set(json!(8)), &[CONFIG, "num_key_value_heads"]),
            ("head_dim", set(json!(11)), &[CONFIG, "head_dim", "odd"]),
            ("rms_norm_eps", set(json!(-1e-6)), &[CONFIG, "rms_norm_eps"]),
            ("rms_norm_eps", set(json!("tiny")), &[CONFIG, "tiny"]),
            ("hidden_act", set(json!("gelu")), &[CONFIG, "hidden_act", "gelu", "silu"]),
            ("rope_theta", set(json!(0)), &[CONFIG, "rope_theta"]),
            ("rope_theta", set(json!(-10_000.0)), &[CONFIG, "rope_theta"]),
            ("layer_types", set(json!(["full_attention"])), &[CONFIG, "layer_types"]),
            (
                "layer_types",
                set(json!(["full_attention", "chunked_attention"])),
                &[CONFIG, "chunked_attention"],
            ),
            (
                "layer_types",
                set(json!(["full_attention", "sliding_attention"])),
                &[CONFIG, "sliding_window"],
            ),
            ("eos_token_id", set(json!("</s>")), &[CONFIG, "eos_token_id", "</s>"]),
            ("eos_token_id", set(json!(-1)), &[CONFIG, "eos_token_id", "-1"]),
            ("eos_token_id", set(json!(1u64 << 32)), &[CONFIG, "eos_token_id", "4294967296"]),
            ("eos_token_id", set(json!([2, null])), &[CONFIG, "eos_token_id"]),
            // Fine by themselves, but not with these weights.
            ("vocab_size", set(json!(1u64 << 31)), &[WEIGHTS, EMBEDDING, "2147483648"]),
            ("vocab_size", set(json!(97)), &[WEIGHTS, EMBEDDING, "[97, 32]"]),
            ("hidden_size", set(json!(1u64 << 31)), &[WEIGHTS, "2147483648"]),
            ("num_attention_heads", set(json!(1u64 << 31)), &[WEIGHTS]),
            ("num_hidden_layers", set(json!(1)), &[CONFIG, "layer_types"]),
            ("num_hidden_layers", set(json!(3)), &[CONFIG, "layer_types"]),
            ("tie_word_embeddings", set(json!(false)), &["lm_head.weight", "missing"]),
            ("attention_bias", set(json!(true)), &["bias", "missing"]),
            ("model_type", set(json!("llama")), &[WEIGHTS, "_norm.weight", "llama"]),
        ],
    );
}

#[test]
fn rope_settings_that_make_no_sense_are_refused() {
    fn scaling(value: Value, expected: &'static [&'static str]) -> Setting {
        ("rope_scaling", Some(value), expected)
    }
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 16});
    let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32});
    let with = |base: &Value, key: &str, value: Value| {
        let mut changed = base.clone();
        changed[key] = value;
        changed
    };
    check_settings(
        "qwen3_tied",
        vec![
            scaling(json!("yarn"), &[CONFIG]),
            scaling(
                json!({"rope_type": "magic", "factor": 2.0}),
                &[CONFIG, "magic", "llama3", "yarn"],
            ),
            scaling(json!({"type": "dynamic", "factor": 2.0}), &[CONFIG, "dynamic"]),
            scaling(json!({"rope_type": "yarn"}), &[CONFIG, "factor"]),
            scaling(with(&yarn, "factor", json!(0)), &[CONFIG, "factor"]),
            scaling(with(&yarn, "factor", json!(-4.0)), &[CONFIG, "factor"]),
            scaling(with(&yarn, "factor", json!("4")), &[CONFIG]),
            scaling(with(&yarn, "attention_factor", json!(-1.0)), &[CONFIG, "attention_factor"]),
            scaling(with(&yarn, "beta_fast", json!(-32)), &[CONFIG, "beta_fast"]),
            scaling(with(&yarn, "beta_slow", json!(-1)), &[CONFIG, "beta_slow"]),
            scaling(
                with(&yarn, "partial_rotary_factor", json!(0.5)),
                &[CONFIG, "partial_rotary_factor"],
            ),
            scaling(with(&llama3, "factor", json!(null)), &[CONFIG, "factor"]),
            scaling(with(&llama3, "low_freq_factor", json!(null)), &[CONFIG, "low_freq_factor"]),
            scaling(with(&llama3, "high_freq_factor", json!(null)), &[CONFIG, "high_freq_factor"]),
            scaling(with(&llama3, "high_freq_factor", json!(1.0)), &[CONFIG, "high_freq_factor"]),
            scaling(
                with(&llama3, "original_max_position_embeddings", json!(null)),
                &[CONFIG, "original_max_position_embeddings"],
            ),
            scaling(
                with(&llama3, "original_max_position_embeddings", json!(0)),
                &[CONFIG, "original_max_position_embeddings"],
            ),
            ("rope_parameters", Some(json!([1])), &[CONFIG, "rope_parameters"]),
            ("rope_parameters", Some(json!({"rope_theta": "big"})), &[CONFIG, "rope_parameters"]),
            ("rope_parameters", Some(json!({"full_attention": 1})), &[CONFIG, "rope_parameters"]),
            (
                "rope_parameters",
                Some(json!({"sliding_attention": {"rope_theta": 1e4}})),
                &[CONFIG, "rope_parameters", "full_attention"],
            ),
        ],
    );
}
