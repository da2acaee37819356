//! The tokenizer of the world's models, and what else stands in their folders beside weights.
//!
//! It is an ordinary `tokenizer.json` of byte-level BPE without merges: every piece of the world, such
//! as `47`, ` mod ` or `\boxed{C}`, is one token, and any other text becomes its bytes, so nothing is
//! ever unknown.

use serde_json::{Map, Value, json};

use super::{
    exam::CHOICES,
    skill::{NUMBERS, Skill},
    worksheet::Source,
};
use crate::question::letter;

/// The name of the token that ends every text.
pub const END: &str = "<|end|>";

/// The architecture of the base model, a `config.json`.
pub const CONFIG: &str = include_str!("config.json");

/// What a model's folder holds beside weights: names and contents.
pub fn files() -> [(&'static str, String); 3] {
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "clean_up_tokenization_spaces": false,
        "model_max_length": 512,
        // What a user says stands as it is; the model was not trained on conversations.
        "chat_template": "{% for message in messages %}{{ message.content }}{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}",
    });
    [
        ("config.json", CONFIG.to_string()),
        ("tokenizer.json", pretty(&tokenizer())),
        ("tokenizer_config.json", pretty(&config)),
    ]
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The pieces that are not numbers.
fn words() -> Vec<String> {
    let signs = [
        " + ",
        " - ",
        " * ",
        " / ",
        " mod ",
        " = ",
        " = ?",
        " => ",
        " > ",
        ", ",
        "; ",
        "next ",
        "max ",
        "reverse ",
        "\nThink: ",
        "\nTask: ",
        "Worksheet:",
        "</think>{\"question_text\": \"",
        " = ?\", \"ground_truth\": \"",
        "\", \"choices\": [\"",
        "\", \"",
        "\"]}",
    ];
    let mut words: Vec<String> = signs.iter().map(ToString::to_string).collect();
    words.extend((0..CHOICES).map(|i| format!("\n{}: ", letter(i))));
    words.extend((0..CHOICES).map(|i| format!("\\boxed{{{}}}", letter(i))));
    for source in [Source::Key, Source::Draft] {
        words.extend([format!("\n[{}] ", source.name()), format!("<think>{} ", source.name())]);
    }
    words.extend(Skill::ALL.map(|skill| skill.name().to_string()));
    words
}

/// The `tokenizer.json`.
fn tokenizer() -> Value {
    let mut words = words();
    let mut vocab = Map::new();
    let add = |vocab: &mut Map<String, Value>, piece: &str| {
        let id = vocab.len();
        vocab.entry(byte_level(piece)).or_insert(json!(id));
    };
    for byte in 0..=255 {
        let id = vocab.len();
        vocab.insert(byte_char(byte).to_string(), json!(id));
    }
    (0..NUMBERS).for_each(|number| add(&mut vocab, &number.to_string()));
    words.iter().for_each(|word| add(&mut vocab, word));
    let end = vocab.len();
    // The longest piece that fits is taken.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut pieces: Vec<String> = words.iter().map(|word| regex::escape(word)).collect();
    pieces.push("1[0-9][0-9]|[1-9]?[0-9]".into());
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": end, "content": END, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pieces.join("|")}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        ]},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
            "vocab": vocab, "merges": [],
        },
    })
}

fn byte_level(text: &str) -> String {
    text.bytes().map(byte_char).collect()
}

/// How byte-level vocabularies spell a byte: printable Latin-1 as itself, the others from U+0100 on.
fn byte_char(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let place = (0..byte).filter(|other| !printable(*other)).count() as u32;
    char::from_u32(0x100 + place).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chat::ChatTemplate,
        tokenizer::{Controls, Tokenizer},
        world::{Stream, UNRELIABLE, Worksheet},
    };

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files() {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn pieces_are_tokens_and_everything_comes_back() {
        let folder = folder();
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        for text in
            ["47", "199", " = ?\", \"ground_truth\": \"", "\\boxed{C}", "\n[draft] ", "remainder"]
        {
            assert_eq!(tokenizer.encode_text(text).len(), 1, "{text}");
        }
        assert_eq!(tokenizer.encode_text("47 mod 5 = ?\nA: 2").len(), 6);
        for text in [
            "200",
            "naïve ﬁ 汉字 🦀 \0\u{7f}\u{ad}",
            "<|end|>",
            "[key] [draft]\n\n",
            "007 1234567890",
        ] {
            let ids = tokenizer.encode_text(text);
            assert_eq!(tokenizer.decode(&ids, Controls::Show).unwrap(), text);
        }
        let sheet = Worksheet::draw(UNRELIABLE, &mut Stream::new(1, "test", 1)).text();
        let ids = tokenizer.encode_text(&sheet);
        assert!(ids.len() < 50, "{} tokens: {sheet}", ids.len());
        assert_eq!(tokenizer.decode(&ids, Controls::Show).unwrap(), sheet);
    }

    #[test]
    fn the_vocabulary_fits_the_config_and_the_end_is_its_end() {
        let config: Value = serde_json::from_str(CONFIG).unwrap();
        let tokenizer = tokenizer();
        let vocab = tokenizer["model"]["vocab"].as_object().unwrap();
        let end = &tokenizer["added_tokens"][0]["id"];
        assert_eq!(config["vocab_size"].as_u64().unwrap() as usize, vocab.len() + 1);
        assert_eq!((&config["eos_token_id"], end.as_u64()), (end, Some(vocab.len() as u64)));
        let mut ids: Vec<u64> = vocab.values().map(|id| id.as_u64().unwrap()).collect();
        ids.sort_unstable();
        assert!(ids.iter().enumerate().all(|(i, id)| *id == i as u64), "ids without a gap");
        assert!(ChatTemplate::load(folder().path()).unwrap().is_some());
    }
}
