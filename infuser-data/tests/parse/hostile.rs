use std::time::{Duration, Instant};

use infuser_data::question::{
    Form,
    parse::{Shape, Task, parse, parse_bytes},
};

use super::{GOOD, task};

/// A parser that is quadratic in any of these needs minutes to hours; a linear one needs milliseconds.
#[test]
fn a_megabyte_of_anything_is_read_in_linear_time() {
    let unit = [
        "{",
        "}",
        "\"",
        "\\",
        "[",
        "{\"",
        "{\"a\":",
        "{ ",
        "{}",
        "{\"a\"}",
        "\\u",
        "\\ud83d",
        "\"\\",
        ",",
        ", ",
        ",]",
        "{\"a\": [",
        "<",
        "<think>",
        "</think>",
        "<think></think>",
        "{\"question_text\": ",
        "\\n",
        "\\nu",
        "1",
        "-",
        "{\"a\": 1}",
        "```json\n{",
        "A) ",
        "the ",
        "the author ",
        "in the text of ",
        "following text ",
        "\u{0}",
        "é",
        "{\"question_text\": \"a\", \"ground_truth\": \"b\", \"choices\": []}",
    ];
    let start = Instant::now();
    for unit in unit {
        let body = unit.repeat((1 << 20) / unit.len());
        for output in [body.clone(), format!("{body}{GOOD}"), format!("{GOOD}{body}")] {
            for shape in [Shape::Choice, Shape::Open(Form::Math)] {
                let _ = parse(&output, &Task::new(shape, ""));
            }
        }
        // The same inside strings of an object that is otherwise whole.
        let inside = GOOD.replace("Which metal", &body.replace('"', "'"));
        let _ = parse(&inside, &task());
        let notes =
            GOOD.replace("\"choices\"", &format!("\"difficulty\": \"{body}\", \"choices\""));
        let _ = parse(&notes, &task());
    }
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

/// Every check of a long question's text, with the limits out of the way.
#[test]
fn long_questions_are_checked_in_linear_time() {
    let start = Instant::now();
    for unit in
        ["the author of ", "described in the ", "following text ", "a b c d e f ", "A) ", "table "]
    {
        let mut task = task();
        task.limits.question = 1 << 20;
        let output = GOOD.replace("Which metal", &unit.repeat(500_000 / unit.len()));
        let _ = parse(&output, &task);
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn limits_hold() {
    let long = |bytes: usize| "x".repeat(bytes);
    let name = |output: &str, shape| parse(output, &Task::new(shape, "")).unwrap_err();
    let shown = name(&GOOD.replace("Which", &long(9000)), Shape::Choice).to_string();
    assert_eq!(shown, "the question has 9037 bytes, the most is 8192");
    let shown = name(&GOOD.replace("Iron", &long(2049)), Shape::Choice).to_string();
    assert_eq!(shown, "a choice has 2049 bytes, the most is 2048");
    let open = format!(r#"{{"question_text": "Why?", "ground_truth": "{}"}}"#, long(1025));
    assert_eq!(name(&open, Shape::Open(Form::Text)).name(), "too_long");
    assert_eq!(name(&long((2 << 20) + 1), Shape::Choice).name(), "too_long");
    assert_eq!(name(&long(2 << 20), Shape::Choice).name(), "no_json");
}

#[test]
fn depth_is_limited() {
    let deep = format!("{{\"question_text\": {}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(parse(&deep, &task()).unwrap_err().name(), "invalid_json");
}

#[test]
fn bytes_that_are_not_text_are_named() {
    let mut bytes = GOOD.as_bytes().to_vec();
    bytes[20] = 0xff;
    let reject = parse_bytes(&bytes, &task()).unwrap_err();
    assert_eq!(reject.to_string(), "byte 20 is where the output stops being UTF-8");
    assert!(parse_bytes(GOOD.as_bytes(), &task()).is_ok());
}

#[test]
fn the_last_of_thousands_is_found() {
    let mut output = "{\"a\": 1} ".repeat(50_000);
    output.push_str(GOOD);
    output.push_str(&" {\"b\": {}}".repeat(50_000));
    assert!(parse(&output, &task()).is_ok());
}
