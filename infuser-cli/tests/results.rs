use std::process::Command;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::program::{fixture, infuser, lines, numbers, on_lines, stderr};

fn golden_cases(name: &str) -> Vec<Value> {
    let text = std::fs::read(fixture(name).join("generate.json")).unwrap();
    let golden: Value = serde_json::from_slice(&text).unwrap();
    golden["cases"].as_array().unwrap().clone()
}

/// Input lines for the packed sequences of a golden file, and `(logprobs, entropy)` of each.
fn golden_sequences(name: &str) -> (String, Vec<[Vec<f64>; 2]>) {
    let bytes = std::fs::read(fixture(name).join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<usize> {
        let words = tensors.tensor(name).unwrap().data().as_chunks::<8>().0.to_vec();
        words.into_iter().map(|word| i64::from_le_bytes(word) as usize).collect()
    };
    let floats = |name: &str| -> Vec<f64> {
        let words = tensors.tensor(name).unwrap().data().as_chunks::<4>().0.to_vec();
        words.into_iter().map(|word| f64::from(f32::from_le_bytes(word))).collect()
    };
    let (ids, ends) = (integers("packed.input_ids"), integers("packed.cu_seqlens"));
    let (logp, entropy) = (floats("packed.logprobs"), floats("packed.entropy"));
    let (mut text, mut want) = (String::new(), Vec::new());
    for (i, ends) in ends.windows(2).enumerate() {
        let line = json!({"id": i, "tokens": ids[ends[0]..ends[1]]});
        text.push_str(&format!("{line}\n\n"));
        let rows = ends[0]..ends[1] - 1;
        want.push([logp[rows.clone()].to_vec(), entropy[rows].to_vec()]);
    }
    (text, want)
}

#[track_caller]
fn assert_near(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() < 1e-4, "{got} {want}");
    }
}

#[test]
fn logprobs_match_pytorch_however_lines_are_batched() {
    for name in ["models/qwen3_tied", "models/olmo3", "models/qwen3_bf16", "models/qwen2"] {
        let (text, want) = golden_sequences(name);
        for more in [&["8192"][..], &["1"], &["13"], &["13", "--no-amx"]] {
            let more = [&["--threads", "2", "--batch-tokens"], more].concat();
            let got = lines(&on_lines("logprobs", &fixture(name), &text, &more));
            assert_eq!(got.len(), want.len());
            for (i, (got, [logp, entropy])) in got.iter().zip(&want).enumerate() {
                assert_eq!(got["id"], i);
                assert_near(&numbers(&got["logprobs"]), logp);
                assert_near(&numbers(&got["entropy"]), entropy);
                let sum: f64 = logp.iter().sum();
                assert!((got["sum"].as_f64().unwrap() - sum).abs() < 1e-3);
                match logp.len() {
                    0 => assert!(
                        got["mean"].is_null()
                            && got["sum"].as_f64().is_some_and(f64::is_sign_positive)
                    ),
                    n => assert!((got["mean"].as_f64().unwrap() - sum / n as f64).abs() < 1e-4),
                }
            }
        }
    }
}

#[test]
fn temperature_flattens() {
    let line = r#"{"id": "a", "tokens": [1, 2, 3, 4]}"#;
    let entropy = |t| {
        let got =
            lines(&on_lines("logprobs", &fixture("models/llama3"), line, &["--temperature", t]));
        numbers(&got[0]["entropy"]).iter().sum::<f64>()
    };
    assert!(entropy("0.5") < entropy("1") && entropy("1") < entropy("2"));
}

#[test]
fn greedy_tokens_match_transformers() {
    for name in ["models/qwen3_untied", "models/olmo2", "models/qwen3_yarn"] {
        let cases = golden_cases(name);
        let input: String = cases
            .iter()
            .enumerate()
            .map(|(i, case)| {
                format!("{}\n", json!({"id": format!("p{i}"), "tokens": case["prompt"]}))
            })
            .collect();
        for more in [&["--ignore-eos"][..], &["--ignore-eos", "--no-amx"]] {
            let more = [&["--max-tokens", "32"], more].concat();
            let got = lines(&on_lines("generate", &fixture(name), &input, &more));
            for (i, (got, case)) in got.iter().zip(&cases).enumerate() {
                assert_eq!(got["id"], format!("p{i}"));
                assert_eq!(got["tokens"], case["tokens"]);
                assert_eq!((&got["sample"], &got["finish_reason"]), (&json!(0), &json!("length")));
                assert_near(&numbers(&got["logprobs"]), &numbers(&case["logprobs"]));
            }
        }
    }
}

#[test]
fn samples_repeat_by_seed_and_differ_from_each_other() {
    let input = "{\"id\": 1, \"tokens\": [5, 6]}\n{\"id\": 2, \"tokens\": [7]}\n";
    let run = |seed| {
        let more =
            ["--max-tokens", "12", "--temperature", "1", "-n", "3", "--seed", seed, "--ignore-eos"];
        lines(&on_lines("generate", &fixture("models/qwen2"), input, &more))
    };
    let first = run("7");
    let places: Vec<_> = first.iter().map(|l| (l["id"].clone(), l["sample"].clone())).collect();
    let want: Vec<_> =
        [1, 2].iter().flat_map(|i| (0..3).map(move |s| (json!(i), json!(s)))).collect();
    assert_eq!(places, want);
    assert_eq!(first, run("7"));
    assert_ne!(first, run("8"));
    assert_ne!(first[0]["tokens"], first[1]["tokens"]);
}

#[test]
fn a_sample_stops_at_the_end_token() {
    let folder = tempfile::tempdir().unwrap();
    let case = &golden_cases("models/qwen3_tied")[0];
    let tokens: Vec<u64> =
        case["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect();
    let (at, stop) = tokens.iter().enumerate().nth(5).unwrap();
    let at = tokens[..at].iter().position(|token| token == stop).unwrap_or(at);
    for file in ["config.json", "model.safetensors"] {
        let from = fixture("models/qwen3_tied").join(file);
        std::fs::write(folder.path().join(file), std::fs::read(from).unwrap()).unwrap();
    }
    let config = json!({"eos_token_id": [stop, 95]});
    std::fs::write(folder.path().join("generation_config.json"), config.to_string()).unwrap();
    let input = json!({"id": "a", "tokens": case["prompt"]}).to_string();
    let got = lines(&on_lines("generate", folder.path(), &input, &["--max-tokens", "32"]));
    assert_eq!(got[0]["finish_reason"], "stop");
    assert_eq!(got[0]["tokens"].as_array().unwrap().len(), at + 1);
}

#[test]
fn inspect_and_doctor_report() {
    let folder = fixture("models/qwen3_sharded");
    let output = infuser(&["inspect".as_ref(), folder.as_os_str(), "--json".as_ref()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["model_type"], &report["layers"]), (&json!("qwen3"), &json!(2)));
    assert_eq!(report["files"].as_array().unwrap().len(), 3);
    let elements: u64 = report["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| numbers(&t["shape"]).iter().product::<f64>() as u64)
        .sum();
    assert_eq!(report["parameters"], elements);
    assert_eq!(report["bytes"]["train"], 16 * elements);
    // To generate, the weights of products are held twice: all but those of the norms, in whole panels.
    let [weights, run] = ["weights", "run"].map(|key| report["bytes"][key].as_u64().unwrap());
    let model = infuser_model::checkpoint::load(&folder, infuser_kernels::Device::Cpu).unwrap();
    assert_eq!(weights, 4 * elements);
    assert_eq!(run, weights + model.pack().unwrap().size_bytes() as u64);

    let output = infuser(&["inspect".as_ref(), folder.join("config.json").as_os_str()]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("qwen3"), "{}", stderr(&output));
    // Sizes that no machine has: counted all the same, as text where they leave 64 bits.
    let place = tempfile::tempdir().unwrap();
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    for key in ["num_attention_heads", "num_key_value_heads", "head_dim"] {
        config[key] = (1u64 << 31).into();
    }
    let path = place.path().join("config.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let output = infuser(&["inspect".as_ref(), path.as_os_str(), "--json".as_ref()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cache = 1000 * 2 * 2 * 4 * (1u128 << 62);
    assert_eq!(report["bytes"]["cache_per_1000_tokens"], cache.to_string());
    let output = infuser(&["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["threads"].as_u64().unwrap() >= 1);
    assert_eq!(report["gpu"].as_array().unwrap().len(), 3);
    assert_eq!(infuser(&["doctor"]).status.code(), Some(0));
    let without = infuser(&["doctor", "--json", "--no-amx"]);
    assert!(!String::from_utf8_lossy(&without.stdout).contains("amx"), "{}", stderr(&without));
}

#[test]
fn doctor_says_where_compiled_kernels_are_kept() {
    let all = ["INFUSER_KERNEL_CACHE", "XDG_CACHE_HOME", "HOME"];
    let kept = |values: [Option<&str>; 3]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infuser"));
        command.args(["doctor", "--json"]);
        for (name, value) in all.into_iter().zip(values) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let report: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        report["kernel_cache"].clone()
    };
    assert_eq!(kept([Some("/k"), Some("/x"), Some("/h")]), "/k");
    assert_eq!(kept([None, Some("/x"), Some("/h")]), "/x/infuser/kernels");
    assert_eq!(kept([None, Some("not/absolute"), Some("/h")]), "/h/.cache/infuser/kernels");
    assert_eq!(kept([None, None, Some("/h")]), "/h/.cache/infuser/kernels");
    for off in [[Some("off"), None, Some("/h")], [Some(""), None, Some("/h")], [None; 3]] {
        assert_eq!(kept(off), Value::Null);
    }
}

#[test]
fn output_files_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.jsonl");
    let input = r#"{"id": {"any": "json"}, "tokens": [3, 4, 5]}"#;
    let more = ["--output", out.to_str().unwrap()];
    let output = on_lines("logprobs", &fixture("models/qwen2"), input, &more);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    let line: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(line["id"], json!({"any": "json"}));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_order_of_lines_changes_no_sample() {
    let all = ["{\"id\": \"a\", \"tokens\": [5, 6]}", "{\"id\": 2, \"tokens\": [7]}"];
    let run = |input: &str| {
        let more =
            ["--max-tokens", "9", "--temperature", "1.2", "-n", "2", "--top-k", "50", "--details"];
        lines(&on_lines("generate", &fixture("models/llama3"), input, &more))
    };
    let together = run(&all.join("\n"));
    let turned = run(&[all[1], all[0]].join("\n"));
    assert_eq!(turned, [&together[2..], &together[..2]].concat());
    for sample in &together {
        let [tokens, logprobs, raw, entropy] = ["tokens", "logprobs", "raw_logprobs", "entropy"]
            .map(|key| sample[key].as_array().unwrap().len());
        assert!(tokens == logprobs && tokens == raw && tokens == entropy);
        assert_ne!(sample["logprobs"], sample["raw_logprobs"]);
    }
    // The same line twice is two prompts, each with samples of its own.
    let twice = run(&[all[0], all[0]].join("\n"));
    assert_ne!(twice[0]["tokens"], twice[2]["tokens"]);
}

#[test]
fn a_stop_text_ends_the_text_before_it() {
    let input = "{\"id\": 1, \"text\": \"Once upon a time\"}";
    let more = ["--max-tokens", "60", "--stop", "Lily", "--stop", "park."];
    let got = lines(&on_lines("generate", &fixture("stories260k"), input, &more));
    assert_eq!(got[0]["text"], ", there was a little girl named ");
    assert_eq!(got[0]["finish_reason"], "stop");
}
