//! Grading: is this answer right? Every grader is total on any bytes, linear in the length of its
//! input, and says "wrong" only when it has read an answer and found it different.

mod announce;
mod find;
pub mod math;
pub mod mcq;
pub mod numeric;
pub mod text;

use crate::question::{Answer, Form, Question};

/// Grades what was submitted for a question, by the grader that its answer calls for.
pub fn grade(question: &Question, submission: Submission<'_>) -> Grade {
    match question.answer() {
        Answer::Choice { choices, correct } => mcq::grade(submission, choices, *correct),
        Answer::Open { reference, form: Form::Math } => math::grade(submission, reference),
        Answer::Open { reference, form: Form::Numeric } => numeric::grade(submission, reference),
        Answer::Open { reference, form: Form::Text } => text::grade(submission, reference),
    }
}

/// What a grader found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grade {
    /// Right, wrong, or not decided.
    pub verdict: Verdict,
    /// The answer as it was read, if one was.
    pub extracted: Option<String>,
}

/// Right, wrong, or not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The answer equals the reference.
    Correct,
    /// The answer was read and differs.
    Wrong,
    /// No decision, and why.
    Unparsable(Reason),
}

/// Why a grader did not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing in the response looks like a final answer.
    NoAnswer,
    /// The answer was found but cannot be read.
    UnreadableAnswer,
    /// The reference cannot be read.
    UnreadableReference,
    /// Both were read; whether they are equal could not be found out within the bounds.
    Undecided,
    /// The answer is longer than graders read.
    TooLong,
}

impl Reason {
    /// A name that stays: it is counted in metrics and written to files.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::UnreadableAnswer => "unreadable_answer",
            Self::UnreadableReference => "unreadable_reference",
            Self::Undecided => "undecided",
            Self::TooLong => "too_long",
        }
    }
}

impl Verdict {
    /// `correct`, `wrong` or `unparsable`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
            Self::Unparsable(_) => "unparsable",
        }
    }
}

/// What is graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submission<'a> {
    /// A whole model output, in which the final answer must be found first.
    Response(&'a str),
    /// An answer that was already taken out of one.
    Prediction(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_has_its_grader() {
        let open = |reference, form| Question::open("What?", reference, form).unwrap();
        let choice = Question::choice("Which?", &["2", "1/2"], 1).unwrap();
        let response = Submission::Response("The answer is 0.5.");
        assert_eq!(grade(&choice, response).verdict, Verdict::Unparsable(Reason::NoAnswer));
        assert_eq!(grade(&open("1/2", Form::Math), response).verdict, Verdict::Correct);
        assert_eq!(grade(&open("50 %", Form::Numeric), response).verdict, Verdict::Correct);
        assert_eq!(grade(&open("1/2", Form::Text), response).verdict, Verdict::Wrong);
        assert_eq!(grade(&choice, Submission::Response("(B)")).verdict, Verdict::Correct);
    }
}
