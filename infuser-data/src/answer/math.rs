//! Mathematical equivalence: is this expression, in LaTeX or plain text, equal to that one?
//!
//! An answer is read into an expression by a grammar, not by rewriting text. Fractions are compared
//! exactly; expressions rational in their symbols by their residues modulo two large primes at
//! pseudo-random points, which decides identities without expanding anything; everything else
//! numerically at fixed points, with a bound on the rounding error. All sizes are bounded, so that
//! no input takes long: `2003^2002^2001` is undecided at once.

mod approx;
mod collect;
mod compare;
mod expr;
mod field;
mod lex;
mod number;
mod parse;
mod response;
mod scalar;
mod sets;
mod spans;
mod statement;
#[cfg(test)]
mod tests;
mod units;
mod value;
mod words;

use expr::{Expr, Sign};
use lex::{Reading, Units};
use scalar::Outcome;

use super::{Grade, Reason, Submission, Verdict, find::last_boxes};

use response::in_prediction;
pub(super) use response::in_response;

/// Bytes of one answer: longer ones are not read.
const MAX_ANSWER: usize = 2000;

/// Significant digits that make a decimal a statement about a value that has no such form.
pub const DIGITS: u32 = 5;

/// Compares an answer with a reference, with the usual [`DIGITS`].
///
/// # Examples
/// ```
/// use infuser_data::answer::{Submission, Verdict, math};
/// let grade = math::grade(Submission::Response(r"So it is \boxed{\frac{\sqrt{4}}{6}}."), "1/3");
/// assert_eq!(grade.verdict, Verdict::Correct);
/// ```
pub fn grade(submission: Submission<'_>, reference: &str) -> Grade {
    grade_to(submission, reference, DIGITS)
}

/// Compares an answer with a reference.
///
/// A percentage equals its number with and without the sign; a decimal equals a value that has no
/// such form, or a long one, if it has at least `digits` significant ones and all are right; parts
/// without brackets have no order, tuples have one;
/// names and units are set aside. `docs/grading.md` has the list.
pub fn grade_to(submission: Submission<'_>, reference: &str, digits: u32) -> Grade {
    let reference = in_reference(reference);
    let in_words = reference.first().is_some_and(|reference| words(reference).is_some());
    let candidates = match submission {
        Submission::Response(response) => in_response(response, in_words),
        Submission::Prediction(prediction) => in_prediction(prediction, in_words),
    };
    let mut best: Option<Grade> = None;
    for candidate in &candidates {
        let verdict = verdict(candidate, &reference, digits);
        let unread = Verdict::Unparsable(Reason::UnreadableAnswer);
        let found = Grade { verdict, extracted: Some(candidate.clone()) };
        if verdict != unread {
            return found;
        }
        best.get_or_insert(found);
    }
    best.unwrap_or(Grade { verdict: Verdict::Unparsable(Reason::NoAnswer), extracted: None })
}

fn verdict(candidate: &str, references: &[String], digits: u32) -> Verdict {
    let Some(reference) = references.iter().find(|text| readable(text)).or(references.first())
    else {
        return Verdict::Unparsable(Reason::UnreadableReference);
    };
    if candidate.len() > MAX_ANSWER || reference.len() > MAX_ANSWER {
        return Verdict::Unparsable(Reason::TooLong);
    }
    if squeezed(candidate) == squeezed(reference) {
        return Verdict::Correct;
    }
    // ASA is not SAA.
    let capitals = |text: &&str| text.len() > 2 && text.chars().all(|next| next.is_uppercase());
    let marks = [reference.trim(), candidate.trim()].iter().all(capitals);
    let names = [reference, candidate].iter().all(|text| difference(text, 3));
    match (words(reference), words(candidate)) {
        (Some(a), Some(b)) if a == b || same_set(&a, &b) || reordered(reference, candidate) => {
            return Verdict::Correct;
        }
        (Some(a), Some(b)) if !names && (a.len().max(b.len()) > 3 || marks) => {
            return Verdict::Wrong;
        }
        _ => {}
    }
    compared(reference, candidate, digits, Units::Apart)
}

/// Compares two texts that are numbers: what stands behind the reference can only be a unit.
pub(super) fn numbers_equal(reference: &str, answer: &str) -> Verdict {
    compared(reference, answer, DIGITS, Units::Anywhere)
}

/// Every reading of the one against every reading of the other; the first decides what is not equal.
/// `units` says where letters in the reference may be units.
fn compared(reference: &str, candidate: &str, digits: u32, units: Units) -> Verdict {
    let golds = readings_with(reference, units);
    let preds = readings(candidate);
    if golds.is_empty() {
        return Verdict::Unparsable(Reason::UnreadableReference);
    }
    if preds.is_empty() {
        return Verdict::Unparsable(Reason::UnreadableAnswer);
    }
    let mut first = None;
    for gold in &golds {
        for pred in &preds {
            match compare::answers(gold, pred, digits) {
                Outcome::Same => return Verdict::Correct,
                other => {
                    first.get_or_insert(other);
                }
            }
        }
    }
    match first {
        Some(Outcome::Different) => Verdict::Wrong,
        _ => Verdict::Unparsable(Reason::Undecided),
    }
}

fn readable(text: &str) -> bool {
    words(text).is_some() || !readings(text).is_empty()
}

/// The ways in which an answer can be read, the usual one first.
fn readings(text: &str) -> Vec<Expr> {
    readings_with(text, Units::Anywhere)
}

/// The ways in which a text can be read, where letters may be units as far as `units` says.
fn readings_with(text: &str, units: Units) -> Vec<Expr> {
    if text.len() > MAX_ANSWER {
        return Vec::new();
    }
    if let Some(set) = words(text).and_then(|words| words::named_set(&words)) {
        return vec![Expr::Constant(set)];
    }
    let usual = Reading { thousands: true, minus: false, units: Units::Names };
    let mut found: Vec<Expr> = parse::parse(text, usual).into_iter().collect();
    let grouped = text
        .as_bytes()
        .windows(2)
        .any(|pair| matches!(pair[0], b',' | b' ') && pair[1].is_ascii_digit());
    if grouped {
        found.extend(parse::parse(text, Reading { thousands: false, ..usual }));
        found.extend(decimal_comma(text).and_then(|text| parse::parse(&text, usual)));
    }
    // "5 m" is five metres as well as five times m.
    found.extend(parse::parse(text, Reading { units, ..usual }));
    found
}

/// "1,22" as "1.22": one comma, not three digits behind it; "1.000,99" as "1000.99".
fn decimal_comma(text: &str) -> Option<String> {
    let (whole, fraction) = text.trim().split_once(',')?;
    let mut groups = whole.trim_start_matches('-').split('.').skip(1).peekable();
    let grouped = groups.peek().is_some() && groups.all(|group| group.len() == 3);
    let whole = if grouped { whole.replace('.', "") } else { whole.to_string() };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = digits(whole.trim_start_matches('-')) && digits(fraction) && fraction.len() > 1;
    (fits && fraction.len() != 3).then(|| format!("{whole}.{fraction}"))
}

/// Text without what never matters, for the quick look. A blank between letters or digits does: `1 1/2`.
fn squeezed(text: &str) -> String {
    let text = text.trim().trim_matches('$').trim_end_matches('.');
    let text = text.replace("\\left", "").replace("\\right", "").replace("dfrac", "frac");
    let mut kept = String::new();
    for word in text.replace("\\!", "").replace("\\,", " ").split_whitespace() {
        let parts =
            kept.ends_with(char::is_alphanumeric) && word.starts_with(char::is_alphanumeric);
        kept.extend(parts.then_some(' '));
        kept.push_str(word);
    }
    kept
}

/// "no solution" and "the empty set"
fn same_set(a: &str, b: &str) -> bool {
    words::named_set(a).is_some_and(|set| words::named_set(b) == Some(set))
}

/// Whether it may be a difference of names or of short products: `x - y`, `ab - cd`.
fn difference(text: &str, letters: usize) -> bool {
    text.contains('-') && text.split([' ', '-']).all(|piece| piece.len() <= letters)
}

/// Whether both are one product of a few names: `wxyz` and `zyxw`.
fn reordered(one: &str, other: &str) -> bool {
    let names = |text: &str| {
        let mut letters: Vec<char> = text.trim().trim_matches('$').chars().collect();
        letters.sort_unstable();
        letters
    };
    let (one, other) = (names(one), names(other));
    one == other && one.len() <= 6 && one.iter().all(char::is_ascii_lowercase)
}

/// An answer in words, in lower case; `None` if it may be a formula.
fn words(text: &str) -> Option<String> {
    let mut text = text.trim().trim_matches('$').trim();
    for wrapper in ["\\text{", "\\textbf{", "\\mathrm{", "\\textit{", "\\mbox{"] {
        if let Some(inner) = text.strip_prefix(wrapper).and_then(|rest| rest.strip_suffix('}')) {
            text = inner;
        }
    }
    let text =
        text.trim_matches(|next: char| "()[]{}.,!\"'*".contains(next) || next.is_whitespace());
    let plain = text.chars().all(|next| next.is_alphabetic() || " -'".contains(next));
    let letters = text.chars().filter(|next| next.is_alphabetic()).count();
    let formula = text.split(' ').any(|word| words::known(word).is_some());
    (plain && letters > 1 && !formula && !difference(text, 2)).then(|| text.to_lowercase())
}

/// A reference: it is trusted, so a box that nobody closed is read to its end.
fn in_reference(text: &str) -> Vec<String> {
    match text.rsplit_once("boxed{") {
        Some((_, rest)) if last_boxes(text).is_none() => in_prediction(rest, true),
        _ => in_prediction(text, true),
    }
}

/// The value of a text that is a constant and real, in the first reading in which it is.
pub(super) fn constant(text: &str) -> Option<f64> {
    readings(text).iter().find_map(|expr| real(value_of(expr)))
}

fn real(expr: &Expr) -> Option<f64> {
    let expr = if let Expr::Percent(inner) = expr { inner } else { expr };
    let evaluated = value::evaluate(expr, 0).filter(|evaluated| !evaluated.symbols)?;
    evaluated.value.approx().filter(|approx| approx.is_real()).map(|approx| approx.re)
}

/// What an answer says of names (`x = 5`, `m + n = 5`) or comes to (`2 + 3 = 5`), nearly too.
fn value_of(expr: &Expr) -> &Expr {
    if let Some(value) = statement::value(expr, DIGITS) {
        return value;
    }
    let Expr::Relation(sides, signs) = expr else { return expr };
    let equal = signs.iter().all(|sign| matches!(sign, Sign::Equal | Sign::Approximately));
    match sides.as_slice() {
        [first, .., last] if equal && (first.is_name() || real(first).is_some()) => last,
        [first, .., last] if equal && last.is_name() => first,
        _ => expr,
    }
}
