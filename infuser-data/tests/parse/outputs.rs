//! Outputs as models write them, and what is made of them.

use infuser_data::question::{
    Answer, Form, Question,
    parse::{Shape, Task, parse},
};

use super::{GOOD, correct, task};

/// What is expected: the right choice or the reference, or the name of a cause.
type Row<'a> = (&'a str, &'a str, Result<&'a str, &'a str>);

#[track_caller]
fn check(rows: &[Row<'_>], task: &Task<'_>) {
    for (why, output, expected) in rows {
        let found = parse(output, task);
        let found =
            found.as_ref().map(|found| correct(&found.question)).map_err(|reject| reject.name());
        assert_eq!(found, *expected, "{why}: {output}");
    }
}

fn with(choices: &str, answer: &str) -> String {
    format!(r#"{{"question_text": "Which one?", "choices": {choices}, "ground_truth": {answer}}}"#)
}

#[test]
fn where_the_object_stands() {
    let good = Ok("Mercury");
    let draft = GOOD.replace("\"Mercury\"}", "\"Tin\"}");
    check(
        &[
            ("the object alone", GOOD, good),
            ("a fence with a language", &format!("```json\n{GOOD}\n```"), good),
            ("a fence that is not closed", &format!("```\n{GOOD}"), good),
            ("talk on both sides", &format!("Here it is:\n{GOOD}\nI hope this helps!"), good),
            ("reasoning before", &format!("<think>\nLet me see {{\"a\"</think>\n{GOOD}"), good),
            ("the tag stood in the prompt", &format!("a draft: {draft}\n</think>\n{GOOD}"), good),
            (
                "a draft in the reasoning only",
                &format!("<think>{GOOD}</think>\nI give up."),
                Err("no_json"),
            ),
            ("reasoning that was cut off", &format!("<think>{GOOD}"), Err("no_json")),
            ("reasoning after the answer", &format!("{GOOD}<think>Is it good?"), good),
            ("two objects: the last", &format!("{draft}\nBetter:\n{GOOD}"), good),
            ("the last is no question", &format!("{GOOD}\n{{\"checks\": \"passed\"}}"), good),
            ("the last has too few choices", &format!("{GOOD}{}", with("[\"a\"]", "\"a\"")), good),
            ("a list of objects: the last", &format!("[{draft}, {GOOD}]"), good),
            ("the last is cut off", &format!("{GOOD}\n{}", &draft[..60]), good),
            ("cut off, then whole", &format!("{}\nAgain:\n{GOOD}", &draft[..60]), good),
            ("LaTeX and sets before", &format!("\\frac{{a}}{{b}} and {{x | x > 0}} {GOOD}"), good),
            ("an open brace in prose", &format!("The set {{1, 2 is open. {GOOD}"), good),
            ("an odd quote in prose", &format!("A 5\" pipe. {GOOD}"), good),
            ("cut off", &GOOD[..100], Err("unclosed_json")),
            ("cut off before the last brace", &GOOD[..GOOD.len() - 1], Err("unclosed_json")),
            ("nothing", "", Err("no_json")),
            ("a refusal", "I cannot write a question about this.", Err("no_json")),
            ("single quotes are not JSON", "{'question_text': 'Why?'}", Err("no_json")),
            ("only braces", "{}", Err("wrong_keys")),
            ("wrapped once more", &format!("{{\"question\": {GOOD}}}"), Err("wrong_keys")),
            ("a comma is missing", &GOOD.replace("?\",", "?\""), Err("invalid_json")),
            (
                "a key twice",
                &GOOD.replacen('{', "{\"ground_truth\": \"Tin\", ", 1),
                Err("invalid_json"),
            ),
            ("an unescaped quote", &GOOD.replace("liquid", "\"liquid\""), Err("invalid_json")),
        ],
        &task(),
    );
}

/// Four choices; the third is right.
const LIST: &str = r#"["red", "green", "blue", "pink"]"#;

#[test]
fn which_choice_an_answer_means() {
    let list = LIST;
    let good = Ok("blue");
    check(
        &[
            ("as it should be", &with(list, "\"blue\""), good),
            ("another case and spaces", &with(list, "\" Blue \""), good),
            ("a full stop more", &with(list, "\"blue.\""), good),
            ("a letter", &with(list, "\"C\""), good),
            ("a letter in brackets", &with(list, "\"(C)\""), good),
            ("a letter and the text", &with(list, "\"C) blue\""), good),
            ("a letter against the text", &with(list, "\"A) blue\""), Err("ambiguous_answer")),
            ("a letter too far", &with(list, "\"E\""), Err("answer_not_among_choices")),
            ("not a choice", &with(list, "\"black\""), Err("answer_not_among_choices")),
            ("two letters", &with(list, "\"A, C\""), Err("answer_not_among_choices")),
            ("an index is not an answer", &with(list, "2"), Err("answer_not_among_choices")),
        ],
        &task(),
    );
}

#[test]
fn how_fields_are_written() {
    let list = LIST;
    let swap = |from: &str, to: &str| with(LIST, "\"blue\"").replace(from, to);
    let good = Ok("blue");
    check(
        &[
            (
                "choices with letters",
                &with(r#"["A) red", "B) green", "C) blue", "D) pink"]"#, "\"C) blue\""),
                good,
            ),
            (
                "the answer without its letter",
                &with(r#"["A. red", "B. green", "C. blue", "D. pink"]"#, "\"blue\""),
                good,
            ),
            (
                "letters that are not in order stay",
                &with(r#"["A) red", "C) blue", "B) green", "D) pink"]"#, "\"C) blue\""),
                Ok("C) blue"),
            ),
            (
                "an object by letter",
                &with(r#"{"A": "red", "B": "green", "C": "blue", "D": "pink"}"#, "\"C\""),
                good,
            ),
            (
                "letters in any order",
                &with(r#"{"D": "pink", "C": "blue", "A": "red", "B": "green"}"#, "\"C\""),
                good,
            ),
            (
                "an object by other names",
                &with(r#"{"x": "red", "y": "green"}"#, "\"red\""),
                Err("wrong_keys"),
            ),
            (
                "objects of one field",
                &with(
                    r#"[{"text": "red"}, {"text": "green"}, {"text": "blue"}, "pink"]"#,
                    "{\"text\": \"blue\"}",
                ),
                good,
            ),
            (
                "objects of two fields",
                &with(r#"[{"letter": "A", "text": "red"}, "b", "c", "d"]"#, "\"b\""),
                Err("wrong_keys"),
            ),
            (
                "numbers as they stand",
                &with("[0.50, 1e3, -2, 12345678901234567890123]", "0.50"),
                Ok("0.50"),
            ),
            (
                "long numbers are not rounded",
                &with("[0.50, 1e3, -2, 12345678901234567890123]", "12345678901234567890123"),
                Ok("12345678901234567890123"),
            ),
            ("truth values", &with("[true, false, \"both\", \"neither\"]", "false"), Ok("false")),
            ("a list of one answer", &with(list, "[\"blue\"]"), good),
            ("a list of two answers", &with(list, "[\"blue\", \"red\"]"), Err("wrong_keys")),
            ("a comma too many", &with(r#"["red", "green", "blue", "pink",]"#, "\"blue\","), good),
            ("a line break in a string", &swap("one?", "one\n  is it?"), good),
            ("a question in parts", &swap("\"Which one?\"", "[\"Which\", \"one?\"]"), good),
            (
                "other fields choose nothing",
                &swap("{\"q", "{\"benchmark_type\": \"qa_open\", \"data_source\": \"x\", \"q"),
                good,
            ),
        ],
        &task(),
    );
}

#[test]
fn what_is_refused() {
    let list = LIST;
    let swap = |from: &str, to: &str| with(LIST, "\"blue\"").replace(from, to);
    let nine = format!("[{}]", (0..9).map(|i| format!("\"{i}\"")).collect::<Vec<_>>().join(", "));
    check(
        &[
            ("no answer field", &swap("ground_truth", "answer"), Err("wrong_keys")),
            ("no choices field", &swap("choices", "options"), Err("too_few_choices")),
            ("null", &with(list, "null"), Err("wrong_keys")),
            ("three choices", &with(r#"["a", "b", "c"]"#, "\"a\""), Err("too_few_choices")),
            ("no choices", &with("[]", "\"a\""), Err("too_few_choices")),
            ("nine choices", &with(&nine, "1"), Err("too_many_choices")),
            (
                "two alike but for spaces",
                &with(r#"["a", "b", "a ", "c"]"#, "\"b\""),
                Err("duplicate_choices"),
            ),
            (
                "alike without letters",
                &with(r#"["A) x", "B) x", "C) y", "D) z"]"#, "\"C\""),
                Err("duplicate_choices"),
            ),
            ("a blank choice", &with(r#"["a", " ", "b", "c"]"#, "\"b\""), Err("blank_choice")),
            ("a blank answer", &with(list, "\"  \""), Err("blank_answer")),
            (
                "the document is too thin",
                r#"{"question_text": "", "choices": [], "ground_truth": ""}"#,
                Err("blank_question"),
            ),
            (
                "a blank one takes a draft back",
                &format!(
                    "{GOOD}{{\"question_text\": \"\", \"choices\": [], \"ground_truth\": \"\"}}"
                ),
                Err("blank_question"),
            ),
            (
                "it leans on its document",
                &swap("Which", "According to the passage, which"),
                Err("refers_to_document"),
            ),
            (
                "what is refused takes a draft back",
                &format!("{GOOD}{}", swap("Which", "In the passage, which")),
                Err("refers_to_document"),
            ),
            ("single letters keep their key", &with(r#"["H", "C", "N", "O"]"#, "\"C\""), Ok("C")),
            (
                "an answer in LaTeX",
                &with(r#"["\frac{1}{2}", "\nu", "\tau", "\beta"]"#, r#""\nu""#),
                Ok("\\nu"),
            ),
            (
                "LaTeX once well escaped, once not",
                &with(r#"["\\frac{1}{2}", "\\nu", "2", "3"]"#, r#""\frac{1}{2}""#),
                Ok("\\frac{1}{2}"),
            ),
        ],
        &task(),
    );
}

#[test]
fn open_questions() {
    let open = |answer: &str, more: &str| {
        format!(r#"{{"question_text": "How many?", "ground_truth": {answer}{more}}}"#)
    };
    let math = Task::new(Shape::Open(Form::Math), "");
    check(
        &[
            ("an expression", &open(r#""\frac{3}{4}""#, ""), Ok("\\frac{3}{4}")),
            ("a number that is no string", &open("0.50", ""), Ok("0.50")),
            ("an empty list of choices", &open("\"2\"", ", \"choices\": []"), Ok("2")),
            ("no choices at all", &open("\"2\"", ", \"choices\": null"), Ok("2")),
            (
                "choices nobody asked for",
                &open("\"2\"", ", \"choices\": [\"1\", \"2\"]"),
                Err("unexpected_choices"),
            ),
            ("a blank answer", &open("\" \"", ""), Err("blank_answer")),
            (
                "prose cannot be graded",
                &open("\"it depends on the weather!?\"", ""),
                Err("ungradable_answer"),
            ),
            ("choices are not open", GOOD, Err("unexpected_choices")),
        ],
        &math,
    );
    let numeric = Task::new(Shape::Open(Form::Numeric), "");
    check(
        &[
            ("a number", &open("\"1,234\"", ""), Ok("1,234")),
            ("no number", &open("\"many\"", ""), Err("ungradable_answer")),
        ],
        &numeric,
    );
    let text = Task::new(Shape::Open(Form::Text), "");
    check(&[("words", &open("\"many\"", ""), Ok("many"))], &text);
}

/// What the type of a question says does not choose its grader.
#[test]
fn the_shape_is_the_callers() {
    let output = r#"{"question_text": "How many?", "ground_truth": "3", "benchmark_type": "qa_mcq",
        "answer_type": "expression", "data_source": "lenient"}"#;
    let found = parse(output, &Task::new(Shape::Open(Form::Numeric), "")).unwrap();
    let expected = Answer::Open { reference: "3".into(), form: Form::Numeric };
    assert_eq!(found.question.answer(), &expected);
    assert_eq!(parse(output, &task()).unwrap_err().name(), "too_few_choices");
}

#[test]
fn latex_in_a_question_survives() {
    let output = "{\"question_text\": \"Let $\\nu = \\frac{\\beta}{\\tau}$ and $x \\neq \\rho \\times 2$.\\nFind $\\nabla f$ in \\text{m}:\\n\\\\[ x \\\\]\", \
        \"choices\": [\"1\", \"2\", \"3\", \"4\"], \"ground_truth\": \"4\",}";
    let expected = "Let $\\nu = \\frac{\\beta}{\\tau}$ and $x \\neq \\rho \\times 2$.\nFind $\\nabla f$ in \\text{m}:\n\\[ x \\]";
    let expected = Question::choice(expected, &["1", "2", "3", "4"], 3).unwrap();
    assert_eq!(parse(output, &task()).unwrap().question, expected);
}
