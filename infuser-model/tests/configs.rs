//! Spellings of `config.json`, defaults of absent keys, and the sizes of real models.

use std::path::Path;

use infuser_model::{Layout, ModelConfig, RopeScaling};
use serde_json::{Value, json};

use crate::fixtures::{fixture, shared};

fn parse(config: &Value) -> ModelConfig {
    ModelConfig::parse(Path::new("test"), config.to_string().as_bytes()).unwrap()
}

fn problem(config: &Value) -> String {
    let text = config.to_string();
    ModelConfig::parse(Path::new("test"), text.as_bytes()).unwrap_err().to_string()
}

/// The keys that every family needs, and these.
fn with(model_type: &str, more: Value) -> Value {
    let mut config = json!({
        "model_type": model_type, "vocab_size": 100, "hidden_size": 32, "intermediate_size": 40,
        "num_hidden_layers": 8, "num_attention_heads": 4,
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn windows(config: &ModelConfig) -> Vec<Option<usize>> {
    config.layers.iter().map(|layer| layer.window).collect()
}

#[test]
fn all_spellings_of_a_config_mean_the_same() {
    let mut seen = 0;
    for entry in std::fs::read_dir(fixture("configs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((model, _)) = name.split_once(".v") else { continue };
        let want = ModelConfig::read(&fixture("models").join(model)).unwrap();
        let mut got = ModelConfig::parse(&path, &std::fs::read(&path).unwrap()).unwrap();
        // The folder's may have more, from its generation config.
        got.eos_tokens.clone_from(&want.eos_tokens);
        assert_eq!(got, want, "{name}");
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} spellings");
}

#[test]
fn windows_and_ropes_belong_to_their_layers() {
    let olmo = ModelConfig::read(&fixture("models/olmo3_yarn")).unwrap();
    for layer in &olmo.layers {
        let scaled = matches!(olmo.ropes[layer.rope].scaling, RopeScaling::Yarn { .. });
        assert_eq!(scaled, layer.window.is_none(), "yarn on full layers, plain on sliding ones");
    }
    let qwen = ModelConfig::read(&fixture("models/qwen3_swa")).unwrap();
    assert_eq!(windows(&qwen), [None, Some(5), Some(5)]);
    assert_eq!(qwen.ropes.len(), 1);
}

#[test]
fn absent_keys_take_the_familys_defaults() {
    let llama = parse(&with("llama", json!({})));
    assert_eq!((llama.kv_heads, llama.head_width, llama.max_positions), (4, 8, 2048));
    assert_eq!((llama.norm_epsilon, llama.ropes[0].theta), (1e-6, 10_000.0));
    assert!(!llama.tied && !llama.qkv_bias && !llama.mlp_bias);
    let qwen2 = parse(&with("qwen2", json!({})));
    assert!(qwen2.qkv_bias && !qwen2.output_bias);
    assert_eq!((qwen2.max_positions, windows(&qwen2)), (32768, vec![None; 8]));
    assert_eq!(parse(&with("qwen3", json!({}))).head_width, 128);
    let olmo2 = parse(&with("olmo2", json!({})));
    assert_eq!((olmo2.norm_epsilon, windows(&olmo2)), (1e-5, vec![None; 8]));
    let slide = Some(4096);
    let want = [slide, slide, slide, None, slide, slide, slide, None];
    assert_eq!(windows(&parse(&with("olmo3", json!({})))), want);
}

#[test]
fn qwen_slides_only_when_told() {
    let sliding = |more: Value| windows(&parse(&with("qwen2", more)));
    let from = |layer: usize, window| -> Vec<Option<usize>> {
        (0..8).map(|i| (i >= layer).then_some(window)).collect()
    };
    assert_eq!(sliding(json!({"sliding_window": 7, "max_window_layers": 2})), [None; 8]);
    let told = |window: Value| {
        let mut more = json!({"use_sliding_window": true, "max_window_layers": 2});
        if !window.is_string() {
            more["sliding_window"] = window;
        }
        sliding(more)
    };
    assert_eq!(told(json!(7)), from(2, 7));
    assert_eq!(told(json!("absent")), from(2, 4096));
    assert_eq!(told(Value::Null), [None; 8]);
    let types = json!({"layer_types": vec!["sliding_attention"; 8], "sliding_window": null});
    assert!(problem(&with("qwen3", types)).contains("sliding_window"));
}

#[test]
fn yarn_infers_its_factor_as_the_reference_does() {
    let factor = |more: Value| {
        let mut scaling = json!({"rope_type": "yarn", "factor": 4.0});
        for (key, value) in more.as_object().unwrap() {
            scaling[key] = value.clone();
        }
        parse(&with("llama", json!({"rope_scaling": scaling}))).ropes[0].attention_factor()
    };
    let inferred = 0.1 * 4f32.ln() + 1.0;
    assert!((factor(json!({})) - inferred).abs() < 1e-6);
    assert!(
        (factor(json!({"mscale": 0.5})) - inferred).abs() < 1e-6,
        "one of the two is not enough"
    );
    assert!((factor(json!({"mscale": 1.0, "mscale_all_dim": 1.0})) - 1.0).abs() < 1e-6);
    assert_eq!(factor(json!({"attention_factor": 1.25})), 1.25);
}

#[test]
fn end_tokens_come_in_every_form() {
    let tokens = |value: Value| parse(&with("llama", json!({"eos_token_id": value}))).eos_tokens;
    assert_eq!(tokens(json!(2)), [2]);
    assert_eq!(tokens(json!([2, 5])), [2, 5]);
    assert!(tokens(Value::Null).is_empty());
    let folder = tempfile::tempdir().unwrap();
    let config = with("llama", json!({"eos_token_id": 2}));
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let generation = r#"{"eos_token_id": [7, 2]}"#;
    std::fs::write(folder.path().join("generation_config.json"), generation).unwrap();
    assert_eq!(ModelConfig::read(folder.path()).unwrap().eos_tokens, [2, 7]);
    // Ids that the model cannot draw end nothing.
    let generation = r#"{"eos_token_id": [151645, 3, 4294967295]}"#;
    std::fs::write(folder.path().join("generation_config.json"), generation).unwrap();
    assert_eq!(ModelConfig::read(folder.path()).unwrap().eos_tokens, [2, 3]);
    // So many that comparing each with each would take minutes.
    let mut many: Vec<u32> = (0..1_000_000).rev().collect();
    let config = with("llama", json!({"eos_token_id": [2, 5, 2], "vocab_size": many.len()}));
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let twice = [&many[..], &many[..]].concat();
    let generation = json!({"eos_token_id": twice}).to_string();
    std::fs::write(folder.path().join("generation_config.json"), generation).unwrap();
    many.retain(|token| ![2, 5].contains(token));
    let read = ModelConfig::read(folder.path()).unwrap();
    assert_eq!(read.eos_tokens, [&[2, 5], &many[..]].concat());
}

#[test]
fn real_models_have_their_published_number_of_parameters() {
    let elements = |config: &ModelConfig| Layout::new(config).elements();
    let qwen8 = json!({
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 4096,
        "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "rope_theta": 1e6, "tie_word_embeddings": false,
    });
    assert_eq!(elements(&parse(&qwen8)), 8_190_735_360);
    for (file, want) in
        [("Qwen3-0.6B.config.json", 596_049_920), ("Llama-3.2-1B.config.json", 1_235_814_400)]
    {
        let Some(path) = shared(&format!("data/configs/{file}")) else { return };
        let config = ModelConfig::parse(&path, &std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(elements(&config), want, "{file}");
    }
}
