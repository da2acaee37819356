//! A question as the JSON that a generator is asked for.

use serde_json::json;

use super::{Answer, Question, letter, parse::key::unlettered};

/// The JSON object of a question, on one line: `question_text`, `choices` if it has any, and
/// `ground_truth`.
///
/// [`super::parse::parse`] reads it back as the same question, whatever it says: control characters are
/// written by their numbers, so that none is read as LaTeX; `<` is too, so that no tag stands in it;
/// choices that begin with letters of their own get another, which is taken off again.
pub fn render(question: &Question) -> String {
    let text = question.text();
    let object = match question.answer() {
        Answer::Choice { choices, correct } => {
            let mut choices = choices.clone();
            if unlettered(&choices).is_some() {
                for (index, choice) in choices.iter_mut().enumerate() {
                    *choice = format!("{}) {choice}", letter(index));
                }
            }
            json!({"question_text": text, "choices": choices, "ground_truth": choices[*correct]})
        }
        Answer::Open { reference, .. } => json!({"question_text": text, "ground_truth": reference}),
    };
    plain_escapes(&object.to_string())
}

/// Writes `\n` and its like by their numbers.
fn plain_escapes(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json.chars();
    while let Some(c) = rest.next() {
        match c {
            '<' => out.push_str("\\u003c"),
            '\\' => {
                let Some(escaped) = rest.next() else { break };
                match escaped {
                    'b' => out.push_str("\\u0008"),
                    'f' => out.push_str("\\u000c"),
                    'n' => out.push_str("\\u000a"),
                    'r' => out.push_str("\\u000d"),
                    't' => out.push_str("\\u0009"),
                    other => out.extend(['\\', other]),
                }
            }
            other => out.push(other),
        }
    }
    out
}
