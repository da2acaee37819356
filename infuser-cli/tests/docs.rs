//! `infuser docs build`.

use crate::program::{infuser, stderr};

#[test]
fn a_folder_becomes_a_pool() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    std::fs::create_dir(&book).unwrap();
    std::fs::write(book.join("a.md"), "# Title\n\nSome words of a document.\n").unwrap();
    std::fs::write(book.join("b.txt"), "").unwrap();
    let out = folder.path().join("pool.jsonl");
    let (book, out) = (book.to_str().unwrap(), out.to_str().unwrap());
    let output = infuser(&["docs", "build", book, "--out", out, "--min-tokens", "3"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let rows: Vec<_> = said.lines().map(str::trim_start).collect();
    assert_eq!(rows[..3], ["1  files read", "1  documents", "9  tokens, estimated from bytes"]);
    assert!(said.contains("1  skipped\n") && said.contains("b.txt: empty\n"), "{said}");
    let line: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!(line["doc_id"], format!("{book}/a.md#0"));
    assert_eq!(line["content"], "# Title\n\nSome words of a document.");
    assert_eq!((&line["title_path"], &line["token_count"]), (&"Title".into(), &9.into()));
}

#[test]
fn what_cannot_be_built_fails_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let (empty, out, missing) = (place("a.md"), place("pool.jsonl"), place("missing"));
    std::fs::write(&empty, "").unwrap();
    for (arguments, code, message) in [
        (vec![&empty[..]], 1, "no file could be read"),
        (vec![&missing[..]], 2, "missing"),
        (vec![&empty[..], "--tokenizer", &missing], 2, "missing"),
        (vec![&empty[..], "--tokenizer", &empty], 2, "not a tokenizer"),
        (vec![&empty[..], "--min-tokens", "9", "--max-tokens", "8"], 2, "not below the minimum"),
    ] {
        let output = infuser(&[&["docs", "build", "--out", &out], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the input is left");
    }
}
