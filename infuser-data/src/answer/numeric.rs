//! Answers that are one number, with whatever unit around it.

use super::{Grade, Reason, Submission, Verdict, find::numbers, math};

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
        Submission::Response(response) => math::in_response(response, false),
        Submission::Prediction(prediction) => taken_out(prediction),
    };
    let Some(first) = found.first() else {
        return Grade { verdict: Verdict::Unparsable(Reason::NoAnswer), extracted: None };
    };
    // A list, an interval or an expression in symbols is no number: none of those in it counts.
    let Some(found) = found.iter().find_map(|found| value(found)).map(str::to_string) else {
        let verdict = Verdict::Unparsable(Reason::UnreadableAnswer);
        return Grade { verdict, extracted: Some(first.clone()) };
    };
    let references = taken_out(reference);
    let Some(reference) = references.iter().find_map(|reference| value(reference)) else {
        let verdict = Verdict::Unparsable(Reason::UnreadableReference);
        return Grade { verdict, extracted: Some(found) };
    };
    let verdict = math::numbers_equal(reference, &found);
    let mut grade = Grade { verdict, extracted: None };
    let values = math::constant(&found).zip(math::constant(reference));
    if let (Some((x, y)), Some(Tolerance { relative, absolute })) = (values, tolerance) {
        let near = (x - y).abs() <= absolute.max(relative * y.abs());
        grade.verdict = if near { Verdict::Correct } else { grade.verdict };
    }
    Grade { extracted: Some(found), ..grade }
}

/// An answer that was taken out already; one that is a sentence after all is searched.
fn taken_out(text: &str) -> Vec<String> {
    if value(text).is_some() { vec![text.to_string()] } else { math::in_response(text, false) }
}

/// One number: as mathematics reads it, or in front of words that say what is counted.
fn value(text: &str) -> Option<&str> {
    let text = text.trim();
    if math::constant(text).is_some() { Some(text) } else { counted(text) }
}

/// The number of "12 cups of tea", in upright letters too.
fn counted(text: &str) -> Option<&str> {
    let style =
        ["\\text{", "\\textbf{", "\\mathrm{"].iter().find_map(|style| text.strip_prefix(style));
    let text = style.map_or(text, |inner| inner.strip_suffix('}').unwrap_or(inner)).trim();
    let span = *numbers(text)
        .first()
        .filter(|span| text[..span.start].chars().all(|next| "$€£¥~≈\\ ".contains(next)))?;
    let (number, behind) = (&text[span.start..span.end], &text[span.end..]);
    let mut words =
        behind.split([' ', '-', '{', '}']).filter(|word| !word.is_empty()).map(|word| {
            let word = word.trim_matches([',', '.', '(', ')', '\'']);
            if word == "\\text" || word == "\\mathrm" { "" } else { word }
        });
    // "5xy" and "5 xy" are products; "5 m" has a unit.
    let first = words.find(|word| !word.is_empty()).unwrap_or("");
    let counts = first.len() > 2 || math::constant(&format!("{number} {first}")).is_some();
    let parted = !behind.starts_with(char::is_alphabetic);
    // A letter alone may be a name; "or" has another number behind it, in words.
    let plain = words.all(|word| {
        let name = word.chars().count() == 1 && word != "a";
        !name && word != "or" && word.chars().all(char::is_alphabetic)
    });
    let plain = plain && parted && counts && first.chars().all(char::is_alphabetic);
    (plain && math::constant(number).is_some()).then_some(number)
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
            (r"\boxed{m+n = 33}", "33", "correct"),
            (r"\boxed{m+n = 33}", "3", "wrong"),
            (r"\boxed{x+2 = 5}", "5", "unparsable"),
            ("the result is ½", "0.5", "correct"),
            ("leading text then -½", "-0.5", "correct"),
            ("the value is 1000", "1e3", "correct"),
            ("pi is approximately 33.14", "3.14", "wrong"),
            ("no number at all", "3", "unparsable"),
            ("", "3", "unparsable"),
            ("<think>it is 7</think>It is 8", "8", "correct"),
            ("60%", "60", "correct"),
            (r"<answer>\frac{1}{2}</answer>", "0.5", "correct"),
            (r"<answer>\frac{1}{2}</answer>", "2", "wrong"),
            ("<answer>18 dollars</answer> of 20", "18", "correct"),
            ("17.5 km", "17.5", "correct"),
        ];
        for (response, reference, expected) in table {
            assert_eq!(verdict(response, reference), expected, "{response:?} for {reference:?}");
        }
    }

    #[test]
    fn one_number_is_taken_as_a_whole_and_several_are_none() {
        let table = [
            (r"\boxed{1, 2, 3, 4, 5}", "5", "unparsable"),
            (r"\boxed{4 \text{ or } 5}", "5", "unparsable"),
            (r"\boxed{x+5}", "5", "unparsable"),
            (r"\boxed{3x+5}", "5", "unparsable"),
            (r"\boxed{x^5}", "5", "unparsable"),
            (r"\boxed{\frac{n}{5}}", "5", "unparsable"),
            (r"\boxed{\text{not } 5}", "5", "unparsable"),
            (r"\boxed{3 < x < 5}", "5", "unparsable"),
            (r"\boxed{3}, \boxed{5}", "5", "unparsable"),
            ("The answer is 4 or 5", "5", "unparsable"),
            ("The answer is $4$ or $5$", "5", "unparsable"),
            ("The answer is $4$ or 5.", "5", "unparsable"),
            (r"\boxed{5x}", "5", "unparsable"),
            (r"\boxed{5xy}", "5", "unparsable"),
            (r"\boxed{5 xy}", "5", "unparsable"),
            (r"\boxed{5 less than x}", "5", "unparsable"),
            (r"\boxed{12 m of wire}", "12", "correct"),
            (r"\boxed{(3,5)}", "5", "unparsable"),
            (r"\boxed{[4,5]}", "5", "unparsable"),
            (r"\boxed{5\pm 1}", "5", "unparsable"),
            ("The answer is 3 or 5", "3", "unparsable"),
            (r"\boxed{5}", "5", "correct"),
            (r"\boxed{x=5}", "5", "correct"),
            (r"\boxed{5\text{ cups of tea}}", "5", "correct"),
            (r"\boxed{\text{5 cups of tea}}", "5", "correct"),
            (r"\boxed{\$5}", "5", "correct"),
            (r"\boxed{2+3=5}", "5", "correct"),
            (r"\boxed{5 \text{ apples}}", "5", "correct"),
            (r"\boxed{5.0}", "5", "correct"),
            (r"\boxed{5 dollars}", "5", "correct"),
            (r"\boxed{\approx 5}", "5", "correct"),
            (r"\boxed{x \approx 5}", "5", "correct"),
            (r"\boxed{5\%}", "5", "correct"),
            ("So 5 of them.", "5", "correct"),
            ("The answer is: $5", "5", "correct"),
            ("x = 5", "5", "correct"),
            ("It costs $5.", "5", "correct"),
            ("Total: $2 + $3 = $5", "5", "correct"),
            (r"Therefore, the answer is $\frac{1}{2}$.", "0.5", "correct"),
            (r"#### \frac{1}{2}", "0.5", "correct"),
            (r"The answer is $\sqrt{25} = 5$", "5", "correct"),
            (r"The answer is $4 \times 5 = 20$", "20", "correct"),
            ("The answer is 1.5 × 10^3", "1500", "correct"),
            ("The answer is 2^10", "1024", "correct"),
            ("The answer is $1{,}234$.", "1234", "correct"),
            ("The answer is 3 1/2 cups.", "3.5", "correct"),
            ("A: $2 * $9 = $18 a day.", "18", "correct"),
            ("The answer is $18 a day, and $20 else.", "18", "correct"),
            (r"The answer is $\boxed{12}$.", "12", "correct"),
            (r"The answer is $4 \times 5$ = $20$.", "20", "correct"),
            ("The answer is 60 percent.", "60", "correct"),
            ("The answer is 5, since 3 is less.", "5", "correct"),
            ("The answer is **5**.", "5", "correct"),
            ("**The answer is 5**", "5", "correct"),
            ("The answer is 1,000.", "1000", "correct"),
            ("The answer is -3.", "-3", "correct"),
            ("Answer: She has 5 apples.", "5", "correct"),
            ("Answer: 5 apples and 3 pears", "5", "correct"),
            ("The answer is that she has 5 left.", "5", "correct"),
            (r"\boxed{5}. This final answer uses 3 steps.", "5", "correct"),
            ("Final Answer: 9\nConfidence: 95%", "9", "correct"),
            ("The final answer is 42 miles, which is more than 40.", "42", "correct"),
            ("Final answer: 42 (see step 2).", "42", "correct"),
            (
                "The answer is 12.\n\nTo verify that this answer is right, substitute x=3: 4*3 = 12.",
                "12",
                "correct",
            ),
            ("The answer is 12. This answer is consistent with the 2 equations.", "12", "correct"),
            ("Answer:\n\n12\n\nExplanation: 3 groups of 4.", "12", "correct"),
            ("**Final Answer**\n\n12\n\n(Checked with n = 3.)", "12", "correct"),
            ("**Answer**: 12\n\nThis follows from 3 groups of 4.", "12", "correct"),
            (r"\boxed{5} Sorry, the final answer is 7.", "7", "correct"),
            ("### Answer:\n\nTo find it, we add 3 and 4.\n\n3 + 4 = 7", "7", "correct"),
            ("The answer is 12.\n\nNote that the answer is based on 2020 data.", "12", "correct"),
            ("The answer is 12. The answer is not 13.", "12", "correct"),
            ("The answer is approximately 12.", "12", "correct"),
            ("The answer to the question is 12, not 13.", "12", "correct"),
            ("Answer: Natalia sold 72 clips in 2 months.", "72", "correct"),
            ("It is so.\n#### 5\n\nQuestion: and now?\n#### 7", "5", "correct"),
            ("5", "5 apples", "correct"),
            ("0.5", "1/2", "correct"),
            ("The answer is 3-5", "3", "wrong"),
            ("The answer is 2^10", "2", "wrong"),
            ("The answer is 5", "4, 5", "unparsable"),
        ];
        for (response, reference, expected) in table {
            assert_eq!(verdict(response, reference), expected, "{response:?} for {reference:?}");
        }
    }

    #[test]
    fn predictions_and_references_may_be_sentences() {
        let table = [
            ("She has 5 apples", "5", "correct"),
            ("x = 5", "She had 2 + 3 = 5.\n#### 5", "correct"),
            ("5 cups of tea", "5 apples", "correct"),
            ("-5 degrees", "-5", "correct"),
            ("x+5", "5", "unparsable"),
            ("5", "x+5", "unparsable"),
        ];
        for (prediction, reference, expected) in table {
            let found = grade(Submission::Prediction(prediction), reference).verdict.name();
            assert_eq!(found, expected, "{prediction:?} for {reference:?}");
        }
    }

    #[test]
    fn a_tolerance_reads_what_a_name_is_said_to_be() {
        let near = Tolerance { relative: 0.01, absolute: 0.0 };
        let verdict = |response| grade_within(Submission::Response(response), "200", near).verdict;
        assert_eq!(verdict(r"So $x = \frac{403}{2}$."), Verdict::Correct);
        assert_eq!(verdict("The answer is 100 + 101 = 201."), Verdict::Correct);
        assert_eq!(
            verdict("The answer is 195 or 201."),
            Verdict::Unparsable(Reason::UnreadableAnswer)
        );
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
