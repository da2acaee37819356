use std::{io::Write, path::Path};

use infuser_data::{Error, suite};
use parquet::basic::Compression;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    layouts::{Files, import},
    parquet_file::{Column, write, write_groups},
};

#[track_caller]
fn assert_says(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    assert!(error.is_bad_input(), "{text}");
    assert!(text.len() < 600, "a message of {} bytes", text.len());
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

/// A good record with some fields changed; null takes a field out.
fn record(changes: Value) -> String {
    let mut record = json!({"id": "a", "set": "s", "split": "test", "type": "mcq",
        "question": "Even?", "options": ["1", "2"], "answer_index": 1, "answer": "B",
        "subject": null});
    for (key, value) in changes.as_object().unwrap() {
        if value == "absent" {
            record.as_object_mut().unwrap().remove(key);
        } else {
            record[key] = value.clone();
        }
    }
    record.to_string()
}

#[test]
fn malformed_records_are_named_with_their_field() {
    let files = Files::new();
    let open = |answer: Value| json!({"type": "math", "answer": answer});
    for (changes, problem) in [
        (json!({"id": "absent"}), "`id` is missing"),
        (json!({"id": 5}), "`id` is 5, expected a text"),
        (json!({"id": " "}), "`id` is blank"),
        (json!({"set": null}), "`set` is null, expected a text"),
        (json!({"split": []}), "`split` is a list of 0"),
        (json!({"type": "essay"}), "`type` is \"essay\", expected mcq, numeric"),
        (json!({"question": {"a": 1}}), "`question` is an object of 1 fields"),
        (json!({"options": null}), "`options` is null, expected a list of texts"),
        (json!({"options": ["1", 2]}), "`options` holds 2, expected texts"),
        (json!({"answer_index": -1}), "`answer_index` is -1, expected a number from 0"),
        (json!({"answer_index": 1.5}), "`answer_index` is 1.5"),
        (json!({"answer_index": 0}), "`answer_index` is 0, but `answer` is B"),
        (json!({"answer": "two"}), "`answer` is \"two\", expected a letter"),
        (json!({"subject": 3}), "`subject` is 3, expected a text or null"),
        (json!({"type": "math", "answer": "absent"}), "`answer` is missing"),
        (open(json!({"x": 1})), "`answer` is an object of 1 fields"),
        (open(json!([[1], [2]])), "`answer` is a list that holds a list of 1"),
    ] {
        let good = record(json!({"id": "good"}));
        let path = files.file("set.jsonl", format!("{good}\n\n{}\n", record(changes)));
        assert_says(&suite::read(&path).unwrap_err(), &["set.jsonl, record 3: ", problem]);
    }
}

#[test]
fn what_is_no_question_is_skipped_and_said() {
    let files = Files::new();
    let letters: Vec<String> = (0..27).map(|i| i.to_string()).collect();
    for (changes, why) in [
        (json!({"question": " \n"}), "blank_question"),
        (json!({"options": ["1", ""]}), "blank_choice"),
        (json!({"options": ["1", " 1 "]}), "duplicate_choices"),
        (json!({"options": []}), "too_few_choices"),
        (json!({"options": letters}), "too_many_choices"),
        (json!({"answer_index": 7, "answer": null}), "answer_not_a_choice"),
        (json!({"answer_index": null, "answer": null}), "blank_answer"),
        (json!({"type": "text", "answer": null}), "blank_answer"),
        (json!({"type": "text", "answer": ["a", "b"]}), "several_answers"),
        (json!({"type": "code"}), "code"),
        (json!({"picture": "a.png"}), "picture"),
    ] {
        let path = files.file("set.jsonl", record(changes));
        let suite = suite::read(&path).unwrap();
        assert!(suite.items.is_empty(), "{why}");
        assert_eq!((suite.skipped[0].id.as_str(), suite.skipped[0].why.name()), ("a", why));
    }
    // Either the index or the letter is enough.
    for changes in [json!({"answer": null}), json!({"answer_index": "absent"})] {
        let path = files.file("set.jsonl", record(changes));
        assert_eq!(suite::read(&path).unwrap().items.len(), 1);
    }
}

#[test]
fn lines_that_are_not_records() {
    let files = Files::new();
    let good = record(json!({}));
    let twice = good.replacen("{", "{\"id\": \"b\", ", 1);
    for (text, problem) in [
        ("[1, 2]", "record 1: a list of 2, expected an object"),
        ("{", "record 1: not JSON"),
        ("\u{1}", "record 1: not JSON"),
        (&twice[..], "record 1: not JSON: the key \"id\" stands twice"),
        (&format!("{good}\n{good}")[..], "record 2: the id \"a\" stands twice, first in line 1"),
        (&"[".repeat(1 << 20)[..], "recursion limit"),
    ] {
        assert_says(&suite::read(&files.file("set.jsonl", text)).unwrap_err(), &[problem]);
    }
    let missing = suite::read(Path::new("/no/such/set.jsonl")).unwrap_err();
    assert_says(&missing, &["cannot read /no/such/set.jsonl"]);
    assert!(suite::read(&files.file("empty", "\n\n")).unwrap().items.is_empty());
}

#[test]
fn bytes_that_are_not_text() {
    let files = Files::new();
    let mut bytes = record(json!({})).into_bytes();
    bytes.extend(b"\n\xff");
    assert_says(&suite::read(&files.file("set.jsonl", &bytes)).unwrap_err(), &["not UTF-8"]);
    let csv = files.file("a.csv", b"Question,Correct Answer\nWhy?,\xc3\x28\n");
    assert_says(&import("gpqa", &[&csv]).unwrap_err(), &["a.csv: not UTF-8 text: byte 29"]);

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&record(json!({})).repeat(500).into_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    for cut in [3, 12, whole.len() / 2, whole.len() - 4] {
        let path = files.file("set.jsonl.gz", &whole[..cut]);
        assert_says(&suite::read(&path).unwrap_err(), &["cannot read ", "set.jsonl.gz"]);
        assert_says(&import("mmlu", &[&path]).unwrap_err(), &["cannot read "]);
    }
}

#[test]
fn a_line_of_ten_megabytes_is_read_and_its_fault_is_told_briefly() {
    let files = Files::new();
    let long = "word ".repeat(2 << 20);
    let path = files.file("set.jsonl", record(json!({"question": long})));
    assert_eq!(suite::read(&path).unwrap().items[0].question.text().len(), long.len() - 1);
    let path = files.file("set.jsonl", record(json!({"type": long})));
    assert_says(&suite::read(&path).unwrap_err(), &["record 1: `type` is \"word word"]);
    let key = json!({"question": "x", "answer": "#### 1", &long: 1}).to_string();
    let path = files.file("key.jsonl", key.replace("\"question\"", "\"questoin\""));
    assert_says(&import("gsm8k", &[&path]).unwrap_err(), &["no column is named `question`"]);
}

#[test]
fn a_column_that_is_not_there_is_named_with_its_neighbours() {
    let files = Files::new();
    let csv = files.file("a.csv", "Problm,Answr\nOne?,1\n");
    let parts = ["a.csv: ", "`Problem`, `problem`", "nearest are `Problm`"];
    assert_says(&import("aime", &[&csv]).unwrap_err(), &parts);
    let bytes = write(&[Column::texts("question", &["x"]), Column::integers("label", &[1])]);
    let parquet = files.file("a.parquet", bytes);
    assert_says(&import("mmlu", &[&parquet]).unwrap_err(), &["no column is named `choices`"]);
    let text = files.file("a.txt", "Not a table at all.\n\nReally.");
    assert_says(&import("mmlu", &[&text]).unwrap_err(), &["no column is named"]);
    for (name, text) in [("a.json", ""), ("b.json", " \n"), ("c.json", "[]")] {
        assert_says(&import("mmlu", &[&files.file(name, text)]).unwrap_err(), &["holds no"]);
    }
    assert_says(&import("bbeh", &[&files.file("d.json", "{\n}")]).unwrap_err(), &["`examples`"]);
    let wrong = files.file("e.json", "{\"examples\": 5}");
    assert_says(&import("bbeh", &[&wrong]).unwrap_err(), &["`examples` is 5, expected a list"]);
}

#[test]
fn values_of_another_kind_are_named() {
    let files = Files::new();
    let row = |changes: Value| {
        let mut row = json!({"question": "Even?", "choices": ["1", "2"], "answer": 1});
        row.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!([{"question": "Even?", "choices": ["1", "2"], "answer": 1}, row]).to_string()
    };
    for (changes, problem) in [
        (json!({"question": 7}), "`question` is 7, expected a text"),
        (json!({"question": null}), "`question` is null, expected a text"),
        (json!({"choices": "1, 2"}), "`choices` is \"1, 2\", expected a list of texts"),
        (json!({"choices": ["1", null]}), "`choices` holds null, expected texts"),
        (json!({"answer": "B"}), "`answer` is \"B\", expected a number from 0"),
        (json!({"answer": 1.5}), "`answer` is 1.5, expected a number from 0"),
        (json!({"answer": [1]}), "`answer` is a list of 1, expected a number from 0"),
        (json!({"answer": -7}), "`answer` is -7, expected a number from 0"),
    ] {
        let path = files.file("a.json", row(changes));
        assert_says(&import("mmlu", &[&path]).unwrap_err(), &["a.json, record 2: ", problem]);
    }
    let path = files.file("a.json", row(json!({"answer": 9})));
    assert_eq!(import("mmlu", &[&path]).unwrap().skipped[0].why.name(), "answer_not_a_choice");

    let ids = files.file("b.jsonl", "{\"problem\": \"1\", \"answer\": 1, \"id\": 1}\n".repeat(2));
    assert_says(&import("aime", &[&ids]).unwrap_err(), &["b.jsonl, record 2", "stands twice"]);
    let letters = json!({"question": "?", "options": {"A": "1", "C": "2"}, "answer_idx": "A",
        "answer": "1"});
    let path = files.file("c.jsonl", letters.to_string());
    assert_says(&import("medqa", &[&path]).unwrap_err(), &["`options` misses a letter"]);
    let twice = letters.to_string().replace("\"C\"", "\"A\"");
    let path = files.file("d.json", format!("[{twice}]"));
    assert_says(&import("medqa", &[&path]).unwrap_err(), &["\"A\" stands twice"]);
}

#[test]
fn broken_csv() {
    let files = Files::new();
    for (text, problem) in [
        ("ID,Problem,Answer\n1,One?\n", "record 1: 2 fields, expected 3"),
        ("ID,Problem,Answer\n1,\"One?,2\n", "record 1: 2 fields, expected 3"),
        ("Problem,Answer,Answer\n1,2,3\n", "two columns are named \"Answer\""),
    ] {
        assert_says(&import("aime", &[&files.file("a.csv", text)]).unwrap_err(), &[problem]);
    }
}

/// Whatever is done to a Parquet file, reading it ends, and without a panic.
#[test]
fn broken_parquet() {
    let files = Files::new();
    let names: Vec<String> = (0..40).map(|i| format!("Question {i}?")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let lists: Vec<&[&str]> = (0..40).map(|i| &["a", "b", "c", "d"][..2 + i % 3]).collect();
    let columns = [
        Column::texts("question", &names),
        Column::lists("choices", &lists),
        Column::integers("answer", &[1; 40]),
    ];
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
        let whole = write_groups(&columns, 2, compression);
        let (mut refused, mut total) = (0, 0);
        let mut run = |bytes: &[u8]| {
            total += 1;
            refused += usize::from(import("mmlu", &[&files.file("a.parquet", bytes)]).is_err());
        };
        for cut in (0..whole.len()).step_by(7) {
            run(&whole[..cut]);
        }
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                run(&bytes);
            }
        }
        assert!(refused > total / 10, "{refused} of {total} were found to be broken");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any values under the names that a layout uses, and any bytes, are read or refused.
    #[test]
    fn anything_is_read_or_refused(
        values in prop::collection::vec(prop_oneof![
            Just(json!(null)), Just(json!(true)), Just(json!(-1)), Just(json!(1e300)),
            Just(json!("")), Just(json!("A")), Just(json!("é\u{0}")), Just(json!([])),
            Just(json!(["a", "b", "a "])), Just(json!([1, [2]])), Just(json!({"A": "x", "B": 2})),
            Just(json!({"": null})), Just(json!("\\boxed{")), Just(json!("####")),
        ], 14),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let names = ["id", "set", "split", "type", "question", "options", "answer_index", "answer",
            "subject", "choices", "problem", "input", "target", "answer_idx"];
        let mut fields: serde_json::Map<String, Value> =
            names.iter().map(|name| name.to_string()).zip(values).collect();
        let files = Files::new();
        let bytes = files.file("bytes", bytes);
        for question in [None, Some("Why?")] {
            if let Some(text) = question {
                for name in ["id", "set", "split", "question", "problem", "input"] {
                    fields[name] = text.into();
                }
            }
            let record = files.file("record", Value::Object(fields.clone()).to_string());
            for path in [&bytes, &record] {
                for layout in suite::Mapping::names() {
                    if let Ok(suite) = import(layout, &[path]) {
                        prop_assert!(suite.items.len() + suite.skipped.len() <= 200);
                    }
                }
                let _ = suite::read(path);
            }
            for kind in ["mcq", "math", "numeric"] {
                fields["type"] = kind.into();
                let record = files.file("record", Value::Object(fields.clone()).to_string());
                let _ = suite::read(&record);
            }
        }
    }
}
