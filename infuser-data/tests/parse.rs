//! Questions out of what generators write: messy outputs, hostile ones, and what was rendered.

mod hostile;
mod outputs;
mod sets;

use infuser_data::question::{
    Answer, Form, Question, Reject, Seeds,
    parse::{Generated, Limits, Shape, Task, parse, parse_bytes},
    render,
};
use proptest::prelude::*;

/// An object with four choices, the second of which is right.
const GOOD: &str = r#"{"question_text": "Which metal is liquid at room temperature?", "choices": ["Iron", "Mercury", "Gold", "Tin"], "ground_truth": "Mercury"}"#;

fn task() -> Task<'static> {
    Task::new(Shape::Choice, "doc 7")
}

/// The checks that depend on what a question says are off, and so are limits.
fn anything(shape: Shape) -> Task<'static> {
    let limits =
        Limits { choices: 2..=26, question: 1 << 20, choice: 1 << 20, ..Limits::default() };
    Task { limits, self_contained: false, ..Task::new(shape, "") }
}

#[track_caller]
fn good(output: &str, task: &Task<'_>) -> Generated {
    parse(output, task).unwrap_or_else(|reject| panic!("{}: {reject}", reject.name()))
}

fn correct(question: &Question) -> &str {
    match question.answer() {
        Answer::Choice { choices, correct } => &choices[*correct],
        Answer::Open { reference, .. } => reference,
        _ => panic!("another kind of answer"),
    }
}

#[test]
fn notes_are_kept_and_cut() {
    let output = r#"{"question_text": "Why?", "choices": ["a", "b", "c", "d"], "ground_truth": "b",
        "difficulty": "hard", "answer_quote": ["one", "two"], "self_test_solution": "  ",
        "hardening_process": {"a": 1, "b": 2}, "knowledge_and_reasoning_steps": "ééé", "verifier": "x"}"#;
    let limits = Limits { note: 5, ..Limits::default() };
    let notes = good(output, &Task { limits, ..task() }).notes;
    let notes: Vec<(&str, &str)> = notes.iter().map(|(name, text)| (*name, &text[..])).collect();
    assert_eq!(
        notes,
        [
            ("answer_quote", "one\nt"),
            ("difficulty", "hard"),
            ("knowledge_and_reasoning_steps", "éé")
        ]
    );
}

#[test]
fn ids_depend_on_source_text_and_choices_but_not_on_order() {
    let id = |output: &str, source: &str| good(output, &Task { source, ..task() }).id;
    let first = id(GOOD, "doc 7");
    assert_eq!(first.len(), 16);
    let swapped = GOOD.replace(r#""Iron", "Mercury""#, r#""Mercury", "Iron""#);
    assert_ne!(swapped, GOOD);
    assert_eq!(id(&swapped, "doc 7"), first);
    assert_eq!(
        good(GOOD, &Task { shuffle: Some(3), ..Task::new(Shape::Choice, "doc 7") }).id,
        first
    );
    assert_ne!(id(GOOD, "doc 8"), first);
    assert_ne!(id(&GOOD.replace("Tin", "Zinc"), "doc 7"), first);
    assert_ne!(id(&GOOD.replace("metal", "element"), "doc 7"), first);
}

#[test]
fn a_shuffle_moves_the_key_along() {
    let mut places = [0; 4];
    for seed in 0..200 {
        let question = good(GOOD, &Task { shuffle: Some(seed), ..task() }).question;
        assert_eq!(correct(&question), "Mercury");
        assert_eq!(question, good(GOOD, &Task { shuffle: Some(seed), ..task() }).question);
        let Answer::Choice { choices, correct } = question.answer() else { panic!("no choices") };
        let mut sorted = choices.clone();
        sorted.sort();
        assert_eq!(sorted, ["Gold", "Iron", "Mercury", "Tin"]);
        places[*correct] += 1;
    }
    assert!(places.iter().all(|&count| (25..=75).contains(&count)), "{places:?}");
}

#[test]
fn choices_that_speak_of_places_stay() {
    for last in ["All of the above", "none of these", "Both A and C", "A or B, not C"] {
        let output = GOOD.replace("Tin", last);
        let plain = good(&output, &task()).question;
        for seed in 0..20 {
            assert_eq!(good(&output, &Task { shuffle: Some(seed), ..task() }).question, plain);
        }
    }
}

#[test]
fn single_letter_choices_keep_their_key_in_every_order() {
    let output = r#"{"question_text": "Which element has six protons?",
        "choices": ["H", "C", "B", "D", "A"], "ground_truth": "C"}"#;
    for seed in 0..50 {
        let question = good(output, &Task { shuffle: Some(seed), ..task() }).question;
        assert_eq!(correct(&question), "C");
        assert_eq!(parse(&render(&question), &task()).unwrap().question, question);
    }
}

#[test]
fn seeds_are_not_repeated() {
    let seeds = Seeds::new(["What is gold?", "which metal is LIQUID at room temperature"]);
    let reject = parse(GOOD, &Task { seeds: Some(&seeds), ..task() }).unwrap_err();
    assert_eq!((reject.name(), reject), ("copies_a_seed", Reject::CopiesASeed { seed: 1 }));
}

#[test]
fn rendered_questions_with_letters_and_latex_come_back() {
    let texts = [
        "A) x",
        "\\frac{1}{2} \\nu",
        "tab\tau line\nu",
        "</think> <think>",
        "\"{}\" \\\"",
        "\u{0}\u{1f}\u{2028}",
        "}}{{",
        "```json",
        "\\n \\\\n \\u0041",
        "1",
        "true",
        "é😀",
    ];
    for text in texts {
        let choices = [["A) x", "B) y", "C) z", "D) w"], [text, "p", "q", "r"]];
        for choices in choices {
            for correct in 0..4 {
                let question = Question::choice(text, &choices, correct).unwrap();
                let back = parse(&render(&question), &anything(Shape::Choice)).unwrap();
                assert_eq!(back.question, question, "{}", render(&question));
            }
        }
    }
}

/// Texts out of the pieces that parsers stumble over.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[A-E][).:] [a-z]{0,3}",
        "[ A-Ea-e.()]{1,4}",
        r#"[{}"\\,:\[\]ntbfru0-9/'<> ]{1,12}"#,
        Just("</think>".to_string()),
        Just("\\nu \\tau\\n".to_string()),
        Just("\tau\nabla\u{8}eta".to_string()),
        Just("{\"question_text\": \"x\", \"ground_truth\": \"y\"}".to_string()),
    ]
}

fn texts(least: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(
        prop::collection::vec(piece(), 1..4).prop_map(|parts| parts.concat()),
        least..9,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_rendered_is_read_back(texts in texts(3), correct in 0_usize..8, lettered in any::<bool>()) {
        let letter = |i: usize| char::from(b'A' + i as u8);
        let choices: Vec<String> = texts[1..].iter().enumerate()
            .map(|(i, text)| if lettered { format!("{}) {text}", letter(i)) } else { text.clone() })
            .collect();
        let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
        if let Ok(question) = Question::choice(&texts[0], &choices, correct % choices.len()) {
            let back = parse(&render(&question), &anything(Shape::Choice)).map(|found| found.question);
            prop_assert_eq!(back, Ok(question));
        }
        if let Ok(question) = Question::open(&texts[0], &texts[1], Form::Text) {
            let task = anything(Shape::Open(Form::Text));
            prop_assert_eq!(parse(&render(&question), &task).map(|found| found.question), Ok(question));
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Err(reject) = parse_bytes(&bytes, &task()) {
            prop_assert!(!reject.name().is_empty() && !reject.to_string().is_empty());
        }
    }

    #[test]
    fn any_pieces_are_answered(parts in texts(1), at in any::<prop::sample::Index>()) {
        let mut output = parts.concat();
        let mut at = at.index(output.len() + 1);
        while !output.is_char_boundary(at) {
            at -= 1;
        }
        output.insert_str(at, GOOD);
        for shape in [Shape::Choice, Shape::Open(Form::Math)] {
            if let Ok(found) = parse(&output, &Task::new(shape, "")) {
                prop_assert!(!found.question.text().is_empty());
            }
        }
    }
}
