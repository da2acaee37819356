//! Public questions through the parser: what it makes of real text.

use infuser_data::{
    question::{
        Answer, Form, Question, Reject,
        parse::{Limits, Shape, Task, parse},
        render,
    },
    suite,
};

use super::anything;
use crate::shared::shared;

/// The questions of all sets of a folder.
fn questions(sets: &[&str]) -> Vec<Question> {
    let mut found = Vec::new();
    for set in sets {
        let Some(folder) = shared(&format!("data/questions/{set}")) else { continue };
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for path in
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        {
            found.extend(suite::read(&path).unwrap().items.into_iter().map(|item| item.question));
        }
    }
    found
}

fn shape(question: &Question) -> Shape {
    match question.answer() {
        Answer::Choice { .. } => Shape::Choice,
        _ => Shape::Open(Form::Text),
    }
}

const CHOICE: [&str; 4] = ["mmlu_pro_test", "mmlu_dev", "medqa_us_test", "supergpqa_part"];
const MATH: [&str; 4] = ["math500", "math_train_rllm", "olympiadbench_oe_maths_en", "gsm8k_test"];

#[test]
fn public_questions_are_read_back() {
    let questions = questions(&[&CHOICE[..], &MATH[..]].concat());
    let texts = questions.len();
    for question in questions {
        let found = parse(&render(&question), &anything(shape(&question))).unwrap().question;
        assert_eq!(
            (found.text(), super::correct(&found)),
            (question.text(), super::correct(&question))
        );
    }
    println!("{texts} questions read back");
}

/// The few that are refused are nearly all references to pictures and tables that are not there.
#[test]
fn public_questions_seldom_seem_to_refer_to_a_document() {
    let questions = questions(&CHOICE);
    let limits = Limits { choices: 2..=26, ..Limits::default() };
    let refused = questions.iter().filter(|question| {
        let task = Task { limits: limits.clone(), ..Task::new(Shape::Choice, "") };
        matches!(parse(&render(question), &task), Err(Reject::RefersToDocument { .. }))
    });
    let refused = refused.count();
    println!("{refused} of {} refused", questions.len());
    assert!(refused * 200 <= questions.len(), "{refused} of {}", questions.len());
}

/// JSON in which backslashes were forgotten, and JSON as it should be.
#[test]
fn mathematics_survives_either_way_of_writing_it() {
    let (mut texts, mut bare, mut escaped) = (0, Vec::new(), Vec::new());
    for question in questions(&MATH) {
        let text = question.text();
        // A line of a matrix ends in two backslashes; single, they say nothing else than escaped ones.
        if text.contains('"') || text.contains("\\\\") {
            continue;
        }
        texts += 1;
        let read = |inside: &str| {
            let output = format!("{{\"question_text\": \"{inside}\", \"ground_truth\": \"x\"}}");
            parse(&output, &anything(Shape::Open(Form::Text))).map(|found| found.question)
        };
        let expected = Question::open(text, "x", Form::Text);
        if read(text).ok().as_ref() != expected.as_ref().ok() {
            bare.push(text.to_string());
        }
        if read(&text.replace('\\', "\\\\").replace('\n', "\\n")).ok().as_ref()
            != expected.as_ref().ok()
        {
            escaped.push(text.to_string());
        }
    }
    println!("{texts} texts, {} read otherwise bare, {} escaped", bare.len(), escaped.len());
    assert!(bare.len() * 200 <= texts, "{bare:#?}");
    assert!(escaped.len() * 1000 <= texts, "{escaped:#?}");
}
