use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::program::{fixture, infuser, lines, on_lines, stderr};

/// A small model with the small tokenizer and a chat template beside it.
fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("models/qwen3_tied")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn chat(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infuser-data/fixtures/chat").join(name)
}

fn tokenize(more: &[&str]) -> std::process::Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(chat("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    std::fs::copy(chat("Qwen-Qwen3-0.6B.jinja"), folder.path().join("chat_template.jinja"))
        .unwrap();
    let place = folder.path().to_str().unwrap();
    infuser(&[&["tokenize", "--tokenizer", place], more].concat())
}

fn text_of(tokens: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("tokens.jsonl");
    std::fs::write(&input, json!({"id": 1, "tokens": tokens}).to_string()).unwrap();
    let found = lines(&tokenize(&["--decode", "--input", input.to_str().unwrap()]));
    found[0]["text"].as_str().unwrap().to_string()
}

#[test]
fn text_becomes_tokens_and_comes_back() {
    let found = lines(&tokenize(&["--text", "Größe <|im_end|>"]));
    assert_eq!(found[0]["count"], found[0]["tokens"].as_array().unwrap().len());
    assert_eq!(text_of(&found[0]["tokens"]), "Größe <|im_end|>");
    let found = lines(&tokenize(&["--chat", "--text", "Hi<|im_end|>"]));
    let shown = "<|im_start|>user\nHi<|im_end|><|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(text_of(&found[0]["tokens"]), shown);
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input.jsonl");
    let messages = json!([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]);
    let asked =
        json!({"id": 2, "messages": [messages[0]], "variables": {"enable_thinking": false}});
    std::fs::write(&input, format!("{}\n{asked}\n", json!({"id": 1, "messages": messages})))
        .unwrap();
    let found = lines(&tokenize(&["--input", input.to_str().unwrap()]));
    let shown: Vec<String> = found.iter().map(|line| text_of(&line["tokens"])).collect();
    let user = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
    assert_eq!(shown, [&format!("{user}A<|im_end|>\n"), user]);
}

#[test]
fn a_model_without_a_tokenizer_says_what_to_do() {
    for command in [&["logprobs"][..], &["generate", "--max-tokens", "1"]] {
        let folder = model();
        let said = |line: &str, more: &[&str]| {
            let output = on_lines(command[0], folder.path(), line, &[&command[1..], more].concat());
            assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
            assert!(
                output.stdout.is_empty() && stderr(&output).lines().count() == 1,
                "{}",
                stderr(&output)
            );
            stderr(&output)
        };
        let text = r#"{"id": 1, "text": "a"}"#;
        assert!(said(text, &[]).contains("no tokenizer.json; give `tokens`"));
        assert!(said(text, &["--chat"]).contains("no tokenizer.json"));
        assert!(said(r#"{"id": 1}"#, &[]).contains("is missing"));
        assert!(said(r#"{"id": 1, "text": "a", "tokens": [1]}"#, &[]).contains("not several"));
        std::fs::copy(chat("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
        assert!(said(text, &["--chat"]).contains("no chat template"));
        assert!(said(r#"{"id": 1, "text": 3}"#, &[]).contains("`text` is 3"));
        assert!(said(r#"{"id": 1, "messages": "x"}"#, &[]).contains("`messages` is no list"));
        std::fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
        assert!(said(text, &[]).contains("not a tokenizer"));
    }
}

/// The tokens of a text are scored and continued as the same tokens given as numbers.
#[test]
fn a_text_is_its_tokens() {
    let folder = model();
    let config: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("config.json")).unwrap()).unwrap();
    // The small model has few tokens: a tokenizer of single bytes is enough for it.
    let letters: Vec<char> = ('a'..='z').collect();
    assert!(config["vocab_size"].as_u64().unwrap() >= 26);
    let vocab: serde_json::Map<String, Value> =
        letters.iter().enumerate().map(|(i, letter)| (letter.to_string(), json!(i))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let text = r#"{"id": 1, "text": "hello"}"#;
    let tokens = r#"{"id": 1, "tokens": [7, 4, 11, 11, 14]}"#;
    let scored = |line| lines(&on_lines("logprobs", folder.path(), line, &[]));
    assert_eq!(scored(text), scored(tokens));
    let continued =
        |line| lines(&on_lines("generate", folder.path(), line, &["--max-tokens", "20"]));
    let found = continued(text);
    assert_eq!(found, continued(tokens));
    let shown = found[0]["text"].as_str();
    let ids: Vec<u64> =
        found[0]["tokens"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    // The model has tokens that the tokenizer does not know: they have no text, the others keep theirs.
    let known: Vec<u64> = ids.iter().copied().filter(|id| *id < 26).collect();
    assert!(!known.is_empty() && known.len() < ids.len(), "{ids:?}");
    let expected: String = known.iter().map(|id| letters[*id as usize]).collect();
    assert_eq!(shown.map(|text| text.replace(' ', "")), Some(expected));
}
