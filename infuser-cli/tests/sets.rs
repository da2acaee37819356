use std::path::Path;

use serde_json::{Value, json};

use crate::program::{infuser, lines, stderr};

fn write(folder: &Path, name: &str, records: &[Value]) -> String {
    let path = folder.join(name);
    let text: String = records.iter().map(|record| format!("{record}\n")).collect();
    std::fs::write(&path, text).unwrap();
    path.into_os_string().into_string().unwrap()
}

#[track_caller]
fn text(arguments: &[&str], code: i32) -> String {
    let output = infuser(arguments);
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// The lines of a table without their alignment.
fn rows(table: &str) -> Vec<&str> {
    table.lines().map(str::trim_start).collect()
}

const QUESTION: &str = "A train leaves Oslo at noon with three coaches and arrives in Bergen seven \
                        hours later; how fast was it?";

#[test]
fn a_set_comes_in_is_shown_and_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let raw = write(
        folder.path(),
        "raw.jsonl",
        &[
            json!({"question": QUESTION, "answer": "#### 66"}),
            json!({"question": "Two plus two?", "answer": "#### 4"}),
            json!({"question": "Nothing?", "answer": "?"}),
        ],
    );
    let place = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let (set, skipped, found) = (place("set.jsonl"), place("skipped.jsonl"), place("found.jsonl"));
    let import = ["sets", "import", "--layout", "gsm8k", "--split", "test", "--input", &raw];
    let table = text(&[&import[..], &["--out", &set, "--skipped", &skipped]].concat(), 0);
    assert_eq!(
        rows(&table)[..4],
        ["2  items", "2    of gsm8k/test", "2    of type numeric", "1  skipped"]
    );
    assert!(table.contains("1    no final answer in the text that should hold it: gsm8k/test/2"));
    let why = std::fs::read_to_string(&skipped).unwrap();
    assert_eq!(why, "{\"id\":\"gsm8k/test/2\",\"why\":\"answer_not_found\"}\n");

    let shown = lines(&infuser(&["sets", "show", &set, "--json"]));
    assert_eq!((&shown[0]["items"], &shown[0]["skipped"]), (&json!(2), &json!(0)));
    assert_eq!(shown[0]["types"], json!({"numeric": 2}));

    let pool = write(
        folder.path(),
        "pool.jsonl",
        &[
            json!({"id": "d1", "content": "Nothing of the kind."}),
            json!({"id": "d2", "content": format!("Exercise 5. {QUESTION} Think.")}),
        ],
    );
    let check = ["docs", "check", "--against", &set, &pool, "--out", &found];
    let table = text(&check, 0);
    assert_eq!(
        rows(&table)[..3],
        ["2  texts in the pool", "2  items looked for", "1  items share 13 words in a row"]
    );
    assert!(table.contains("100.0 %  gsm8k/test/0 in d2: a train leaves oslo"), "{table}");
    let items = std::fs::read_to_string(&found).unwrap();
    let items: Vec<Value> = items.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&items[0]["fraction"], &items[0]["text"]), (&json!(1.0), &json!("d2")));
    assert_eq!((&items[1]["shared"], &items[1]["example"]), (&json!(0), &Value::Null));

    let limit = |fraction| [&check[..], &["--fail-above", fraction]].concat();
    text(&limit("0.5"), 0);
    assert!(text(&limit("0.4"), 1).contains("50.00 % of the items"));
    for threads in ["1", "4"] {
        let again = text(&[&check[..], &["--threads", threads]].concat(), 0);
        assert_eq!(again, table);
    }
}

#[test]
fn what_cannot_be_brought_in_is_said_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let raw = write(folder.path(), "raw.jsonl", &[json!({"questoin": "1?", "answer": "#### 1"})]);
    let set = folder.path().join("set.jsonl");
    let out = set.to_str().unwrap();
    let import = |layout: &str, input: &str| {
        text(&["sets", "import", "--layout", layout, "--input", input, "--out", out], 2)
    };
    assert!(
        import("gsm8k", &raw).contains("no column is named `question`; the nearest are `questoin`")
    );
    assert!(import("gsm9k", &raw).contains("the nearest are `gsm8k`"));
    assert!(import("no.toml", &raw).contains("cannot read no.toml"));
    assert!(import("gsm8k", "no.jsonl").contains("cannot read no.jsonl"));
    let none = write(folder.path(), "none.jsonl", &[json!({"question": "1?", "answer": "1"})]);
    let message = import("gsm8k", &none);
    assert!(
        message
            .contains("nothing to import with the layout gsm8k: 1 of 1 records: no final answer"),
        "{message}"
    );
    assert!(!set.exists());
    let shown = text(&["sets", "show", &raw], 2);
    assert!(shown.contains("raw.jsonl, record 1: `id` is missing"), "{shown}");
    let check =
        |more: &[&str]| text(&[&["docs", "check", "--against", &raw, &raw], more].concat(), 2);
    assert!(check(&[]).contains("`id` is missing"));
    assert!(check(&["--fail-above", "2"]).contains("from 0 to 1"));
    let empty = write(folder.path(), "empty.jsonl", &[]);
    let none = text(&["docs", "check", "--against", &empty, &raw], 2);
    assert!(none.contains("no items to look for"));
}

#[test]
fn nothing_to_look_in_is_no_clean_pool() {
    let folder = tempfile::tempdir().unwrap();
    let question = json!({"question": QUESTION, "answer": "#### 66"});
    let raw = write(folder.path(), "raw.jsonl", &[question]);
    let set = folder.path().join("set.jsonl").into_os_string().into_string().unwrap();
    text(&["sets", "import", "--layout", "gsm8k", "--input", &raw, "--out", &set], 0);
    for (name, empty) in [("empty.jsonl", ""), ("blank.jsonl", "\n \n"), ("list.json", "[]")] {
        let path = folder.path().join(name);
        std::fs::write(&path, empty).unwrap();
        let (path, out) = (path.to_str().unwrap(), folder.path().join("out.jsonl"));
        for more in [&[][..], &["--fail-above", "0", "--out", out.to_str().unwrap()]] {
            let said = text(&[&["docs", "check", path, "--against", &set], more].concat(), 2);
            assert!(said.contains(&format!("{name} has no texts to look in")), "{said}");
            assert!(said.lines().count() == 1 && !out.exists(), "{said}");
        }
    }
    let empty = folder.path().join("empty.jsonl");
    for more in [&[][..], &["--json"]] {
        let said = text(&[&["sets", "show", empty.to_str().unwrap()], more].concat(), 2);
        assert!(said.contains("empty.jsonl has no records") && said.lines().count() == 1, "{said}");
    }
    // The place in a line is the column; the line is named once.
    let cut = folder.path().join("cut.jsonl");
    std::fs::write(&cut, "{\"text\": \"a\"}\n{\"text\": \"b\"\n").unwrap();
    let said = text(&["docs", "check", cut.to_str().unwrap(), "--against", &set], 2);
    let expected = "cut.jsonl, record 2: not JSON: EOF while parsing an object at column 12\n";
    assert!(said.ends_with(expected), "{said}");
}
