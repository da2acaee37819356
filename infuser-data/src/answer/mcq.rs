//! Multiple choice: which of the choices does a model output decide for?
//!
//! An output is read from its end: the last decision that can be read counts. A decision is a box,
//! or a letter or a choice's text behind words that announce it ("the answer is", "Answer:", "I choose",
//! "B is correct"). Without any, a letter that stands alone is taken. Two letters at once
//! ("A or B") are no answer; neither are letters beyond the choices, the article "a", the pronoun "I".
//! `docs/grading.md` has the list.

mod candidate;
mod cue;
mod denial;
mod several;
#[cfg(test)]
mod tests;
mod weak;
mod wording;

use std::cell::OnceCell;

use memchr::memchr_iter;

use self::cue::Weight;
use super::{Grade, Reason, Submission, Verdict, find::final_part};
use crate::question::{MAX_CHOICES, letter};

/// Announcements that are read, counted from the end. More than these are no answer but noise.
const MAX_CUES: usize = 64;

/// What stands at one place of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The index of a choice.
    Choice(usize),
    /// More than one choice: a decision for none.
    Several,
    /// No decision.
    Nothing,
}

/// The choices as decisions are compared with them.
struct Choices<'a> {
    len: usize,
    text: &'a dyn Fn(usize) -> &'a str,
    /// The texts as they are compared, made when first asked for: most decisions are letters.
    forms: OnceCell<Vec<String>>,
}

impl<'a> Choices<'a> {
    fn new(len: usize, text: &'a dyn Fn(usize) -> &'a str) -> Self {
        Self { len: len.min(MAX_CHOICES), text, forms: OnceCell::new() }
    }

    fn forms(&self) -> &[String] {
        self.forms.get_or_init(|| (0..self.len).map(|i| wording::form((self.text)(i))).collect())
    }

    /// The choice a letter names; a letter beyond the choices can still be the text of one.
    fn of_letter(&self, byte: u8) -> Option<usize> {
        if !byte.is_ascii_alphabetic() {
            return None;
        }
        let index = usize::from(byte.to_ascii_uppercase().wrapping_sub(b'A'));
        if index < self.len {
            return Some(index);
        }
        (0..self.len).find(|i| (self.text)(*i).trim().as_bytes() == [byte])
    }
}

/// Grades a decision; `correct` is an index into `choices`. `extracted` is a letter.
///
/// # Examples
/// ```
/// use infuser_data::answer::{Submission, Verdict, mcq};
/// let output = "It cannot be (A). So the answer is **B**, which is green.";
/// let grade = mcq::grade(Submission::Response(output), &["red", "green", "blue"], 1);
/// assert_eq!(grade.verdict, Verdict::Correct);
/// assert_eq!(grade.extracted.as_deref(), Some("B"));
/// ```
pub fn grade<S: AsRef<str>>(submission: Submission<'_>, choices: &[S], correct: usize) -> Grade {
    if correct >= choices.len() {
        return Grade {
            verdict: Verdict::Unparsable(Reason::UnreadableReference),
            extracted: None,
        };
    }
    let text = |i: usize| choices[i].as_ref();
    match decide(submission, &Choices::new(choices.len(), &text)) {
        Ok(index) => Grade {
            verdict: if index == correct { Verdict::Correct } else { Verdict::Wrong },
            extracted: Some(letter(index).to_string()),
        },
        Err(reason) => Grade { verdict: Verdict::Unparsable(reason), extracted: None },
    }
}

/// The index of the choice that a reference names: the choice with exactly this text, else the
/// letter, else what a sentence such as "the answer is (C)" decides for.
///
/// The text comes first so that among the choices C, H, O, N the reference "C" is the first of
/// them and not the third.
pub fn resolve<S: AsRef<str>>(choices: &[S], reference: &str) -> Option<usize> {
    let reference = reference.trim();
    let exact = |choice: &S| choice.as_ref().trim() == reference;
    if let Some(index) = choices.iter().position(exact) {
        return Some(index);
    }
    let text = |i: usize| choices[i].as_ref();
    decide(Submission::Prediction(reference), &Choices::new(choices.len(), &text)).ok()
}

fn decide(submission: Submission<'_>, choices: &Choices<'_>) -> Result<usize, Reason> {
    let (text, missing) = match submission {
        Submission::Response(response) => (final_part(response), Reason::NoAnswer),
        Submission::Prediction(prediction) => {
            let text = prediction.trim();
            if let Some(index) = choices.of_text(text) {
                return Ok(index);
            }
            (text, Reason::UnreadableAnswer)
        }
    };
    // A base model goes on with the next question after its answer; what follows is not for ours.
    let is_next = |at: &usize| {
        let rest = &text.as_bytes()[at + 1..];
        rest.starts_with(b"Question:") || rest.starts_with(b"Q:")
    };
    let next = memchr_iter(b'\n', text.as_bytes()).find(is_next);
    if let Some(at) = next {
        match read(&text[..at], choices) {
            Reading::Choice(index) => return Ok(index),
            Reading::Several => return Err(Reason::UnreadableAnswer),
            Reading::Nothing => {}
        }
    }
    match read(text, choices) {
        Reading::Choice(index) => Ok(index),
        Reading::Several => Err(Reason::UnreadableAnswer),
        Reading::Nothing => Err(missing),
    }
}

/// The last announced decision, else what stands alone.
fn read(text: &str, choices: &Choices<'_>) -> Reading {
    let (mut remark, mut mention) = (Reading::Nothing, Reading::Nothing);
    let mut cues = cue::Cues::new(text);
    for cue in cues.by_ref().take(MAX_CUES) {
        let found = cue.read(text, choices);
        if found == Reading::Nothing {
            continue;
        }
        match cue.weight() {
            // "The answer is A. … B is correct." decides for none.
            Weight::Decision if remark != Reading::Nothing && remark != found => {
                return Reading::Several;
            }
            Weight::Decision => return found,
            Weight::Remark if remark == Reading::Nothing => remark = found,
            Weight::Mention if mention == Reading::Nothing => mention = found,
            Weight::Remark | Weight::Mention => {}
        }
    }
    let said = [remark, mention].into_iter().find(|reading| *reading != Reading::Nothing);
    said.unwrap_or_else(|| weak::read(text, cues.denied, choices))
}
