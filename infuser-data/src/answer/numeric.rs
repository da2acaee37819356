//! Answers that are one number, with whatever unit around it.

use super::{
    Grade, Reason, Submission, Verdict,
    find::{announced, final_part, last_boxes, numbers},
    math,
};

/// How far an answer may be from the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// As a part of the reference.
    pub relative: f64,
    /// In the reference's unit.
    pub absolute: f64,
}

/// Compares numbers exactly, as [`math::grade`] does; units are set aside.
pub fn grade(submission: Submission<'_>, reference: &str) -> Grade {
    judge(submission, reference, None)
}

/// Compares numbers up to a tolerance; either of its parts is enough.
pub fn grade_within(submission: Submission<'_>, reference: &str, tolerance: Tolerance) -> Grade {
    judge(submission, reference, Some(tolerance))
}

fn judge(submission: Submission<'_>, reference: &str, tolerance: Option<Tolerance>) -> Grade {
    let found = match submission {
        Submission::Response(response) => in_response(response),
        Submission::Prediction(prediction) => read(prediction),
    };
    let Some(found) = found else {
        return Grade { verdict: Verdict::Unparsable(Reason::NoAnswer), extracted: None };
    };
    let Some(reference) = read(reference) else {
        let verdict = Verdict::Unparsable(Reason::UnreadableReference);
        return Grade { verdict, extracted: Some(found) };
    };
    let verdict = math::numbers_equal(&reference, &found);
    let mut grade = Grade { verdict, extracted: None };
    let values = math::constant(&found).zip(math::constant(&reference));
    if let (Some((x, y)), Some(Tolerance { relative, absolute })) = (values, tolerance) {
        let near = (x - y).abs() <= absolute.max(relative * y.abs());
        grade.verdict = if near { Verdict::Correct } else { grade.verdict };
    }
    Grade { extracted: Some(found), ..grade }
}

/// A box, an announced number, or the last one.
fn in_response(response: &str) -> Option<String> {
    let text = final_part(response);
    if let Some((answer, _)) = last_boxes(text) {
        return read(&answer);
    }
    let phrases = ["####", "final answer", "answer is", "answer:", "answer ="];
    if let Some((_, rest)) = announced(text, &phrases) {
        let line = rest.trim_start_matches([':', '*', ' ', '\n']).lines().next().unwrap_or("");
        // "28 + 32 = 60" announces its result; "5 because 2 + 3 = 5" its first number.
        let sum =
            line.find('=').filter(|at| !line[..*at].contains(|next: char| next.is_alphabetic()));
        let part = sum.map_or(line, |at| &line[at + 1..]);
        if let Some(span) = numbers(part).first() {
            return Some(part[span.start..span.end].to_string());
        }
    }
    let span = *numbers(text).last()?;
    Some(text[span.start..span.end].to_string())
}

/// A number as it stands, or the last one in a text.
fn read(text: &str) -> Option<String> {
    let text = text.trim();
    if math::constant(text).is_some() {
        return Some(text.to_string());
    }
    let span = *numbers(text).last()?;
    Some(text[span.start..span.end].to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(response: &str, reference: &str) -> &'static str {
        grade(Submission::Response(response), reference).verdict.name()
    }

    #[test]
    fn the_announced_or_last_number_counts() {
        let table = [
            ("She makes $18 a day.\nA: 18", "18", "correct"),
            ("12 * 2 = $<<12*2=24>>24\n#### 24", "24", "correct"),
            ("The answer is 1,234.", "1234", "correct"),
            ("The answer is -3", "-3", "correct"),
            ("The answer is 25", "5", "wrong"),
            ("**ANSWER: 28 + 32 = 60**\nThis solves it in 1 step.", "60", "correct"),
            ("so \\boxed{18\\text{ dollars}}, not 20", "18", "correct"),
            ("so \\boxed{\\frac{1}{2}}", "0.5", "correct"),
            ("the result is ½", "0.5", "correct"),
            ("leading text then -½", "-0.5", "correct"),
            ("the value is 1000", "1e3", "correct"),
            ("pi is approximately 33.14", "3.14", "wrong"),
            ("no number at all", "3", "unparsable"),
            ("", "3", "unparsable"),
            ("<think>it is 7</think>It is 8", "8", "correct"),
            ("60%", "60", "correct"),
            ("17.5 km", "17.5", "correct"),
        ];
        for (response, reference, expected) in table {
            assert_eq!(verdict(response, reference), expected, "{response:?} for {reference:?}");
        }
    }

    #[test]
    fn a_tolerance_is_relative_or_absolute() {
        let within = |relative, absolute, answer| {
            let tolerance = Tolerance { relative, absolute };
            grade_within(Submission::Prediction(answer), "200", tolerance).verdict
        };
        assert_eq!(within(0.01, 0.0, "202"), Verdict::Correct);
        assert_eq!(within(0.01, 0.0, "203"), Verdict::Wrong);
        assert_eq!(within(0.0, 3.0, "203"), Verdict::Correct);
        assert_eq!(within(0.0, 0.0, "200.0"), Verdict::Correct);
    }
}
