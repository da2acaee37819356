//! Where a value begins and ends in a sentence. It is taken as a whole or not at all: of
//! `2√3 square units` the root, of `1 and 2` both; of what cannot be read no number is cut out.

use super::{
    super::find::{Span, formulas, numbers, percent_follows},
    MAX_ANSWER, readings, words,
};

/// Bytes of plain text that are looked at for one value.
const REACH: usize = 400;

/// Words of plain text that one value has, at most.
const MAX_WORDS: usize = 24;

/// Values that are one answer together, at most.
const MAX_PARTS: usize = 64;

/// Verbs of a sentence behind which a value is looked for, at most: each costs a reading for every word.
const MAX_VERBS: usize = 4;

/// Formulas of an output that are looked at, counted from the end.
const MAX_FORMULAS: usize = 64;

/// Whether a short text may be read as a whole: no word in it that mathematics does not know.
pub(super) fn is_formula(text: &str) -> bool {
    if text.is_empty() || text.len() > REACH || text.contains('\n') {
        return false;
    }
    let inside = text.trim_matches('$');
    if inside.contains('$') || inside.contains("\\(") {
        return false;
    }
    known_letters(&without_upright(inside))
}

/// Whether all letters are names, units or words that mathematics knows.
fn known_letters(plain: &str) -> bool {
    let mut before = ' ';
    let mut at = 0;
    while let Some(start) = plain[at..].find(|next: char| next.is_ascii_alphabetic()) {
        let run = &plain[at + start..];
        let run = &run[..run.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(run.len())];
        before = plain[..at + start].chars().next_back().unwrap_or(before);
        at += start + run.len();
        let after = plain[at..].chars().next().unwrap_or(' ');
        let known = words::known(run).is_some()
            || words::is_unit(run)
            || words::zeros(run).is_some()
            || run.starts_with("or");
        if run.len() > 1 && before != '\\' && !known && !is_product(run, before, after) {
            return false;
        }
    }
    true
}

/// Whether two or three letters are names beside each other, as in `2xy`, rather than a word.
fn is_product(run: &str, before: char, after: char) -> bool {
    let operator = |next: char| "+-−*/^_=".contains(next);
    run.len() <= 3
        && run.bytes().all(|byte| b"abckmnpqrtuvwxyz".contains(&byte))
        && (before.is_ascii_digit() || operator(before) || operator(after))
}

/// Without what stands in braces after commands whose argument is words or a name.
fn without_upright(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        kept.push_str(before);
        let named =
            ["\\text", "\\mathrm", "\\begin", "\\end", "\\textbf", "\\operatorname", "\\mbox"];
        let skip = named.iter().any(|name| before.ends_with(name));
        let end = after.find('}').filter(|_| skip);
        rest = &after[end.map_or(1, |end| end + 1)..];
    }
    kept + rest
}

/// The value a text begins with, with the values that are joined to it.
pub(super) fn leading(text: &str) -> Option<String> {
    let text = text.trim_start_matches(|next: char| next.is_whitespace() || "*\"“_".contains(next));
    let text = within(text, 2 * MAX_ANSWER);
    let spans = formulas(text);
    let (mut value, mut at) = leading_formula(text, &spans).or_else(|| plain_value(text))?;
    let mut before_comma = None;
    for _ in 0..MAX_PARTS {
        let Some((join, width)) = connective(&text[at..]) else { break };
        let comma = text[at..].trim_start().starts_with(',');
        let rest = &text[at + width..];
        let shifted: Vec<Span> = spans.iter().filter_map(|span| span.behind(at + width)).collect();
        // A comma may also part the next clause.
        let plain = || plain_value(rest).filter(|_| join != ", ");
        let Some((next, end)) = leading_formula(rest, &shifted).or_else(plain) else { break };
        if comma {
            before_comma.get_or_insert(value.len());
        }
        value = value + join + &next;
        at += width + end;
    }
    // "5, and x = 3 confirms it"
    if let Some(len) = before_comma.filter(|_| is_clause(&text[at..])) {
        value.truncate(len);
    }
    Some(value)
}

/// Whether a clause goes on here: then the last value before it may be its subject.
fn is_clause(text: &str) -> bool {
    let text = text.trim_start_matches(' ');
    text.starts_with(char::is_alphabetic) && !text.starts_with("respectively")
}

/// What joins two values, and its width.
fn connective(text: &str) -> Option<(&'static str, usize)> {
    let rest = text.trim_start();
    let space = text.len() - rest.len();
    let joins = [
        (", and ", " and "),
        (", or ", " or "),
        ("and ", " and "),
        ("or ", " or "),
        (", ", ", "),
        ("=", " = "),
        ("≈", " ≈ "),
        (",", ", "),
    ];
    let (found, join) = joins.into_iter().find(|(word, _)| rest.starts_with(word))?;
    let rest = &rest[found.len()..];
    Some((join, space + found.len() + (rest.len() - rest.trim_start().len())))
}

/// The formula at the start, without its marks, and where it ends.
fn leading_formula(text: &str, spans: &[Span]) -> Option<(String, usize)> {
    let mark = ["$$", "$", "\\(", "\\["].into_iter().find(|mark| text.starts_with(mark))?;
    let span = spans.first().filter(|span| span.start == mark.len())?;
    let inside = &text[span.start..span.end];
    // "$$x$" is closed too.
    let close = if text[span.end..].starts_with(mark) { mark } else { "$" };
    let close = if mark.starts_with('$') { close } else { "\\)" };
    let end = span.end + close.len();
    // "$5 a day, or $9" is money.
    let money = mark == "$"
        && (inside.ends_with(' ') && !inside.starts_with(' ')
            || text[end..].starts_with(|next: char| next.is_ascii_digit())
            || inside.starts_with(|next: char| next.is_ascii_digit()) && !is_formula(inside));
    if money {
        return None;
    }
    let percent = if percent_follows(&text[span.end..]) { "%" } else { "" };
    Some((format!("{}{percent}", inside.trim()), end))
}

/// The longest start of plain text that can be read, at least the number there, and where it ends.
fn plain_value(text: &str) -> Option<(String, usize)> {
    let line = within(text.lines().next().unwrap_or(""), REACH);
    let known = known_words(line);
    let ends = known.match_indices(' ').map(|(at, _)| at).chain([known.len()]);
    let mut ends: Vec<usize> = ends.collect();
    ends.dedup();
    for end in ends.into_iter().rev() {
        let value = bounded(&line[..end], &line[end..]);
        if begins_value(value) && !readings(value).is_empty() {
            let value = before_clause(value, &line[end..]);
            return Some((timed(value), value.len()));
        }
    }
    let span = *numbers(line).first()?;
    let before = line[..span.start].trim_matches(|next: char| "$€£¥(~≈ ".contains(next));
    let value = number_or_all(line, span);
    before.is_empty().then(|| (line[value.start..value.end].to_string(), value.end))
}

/// The start of a line that has no words in it which mathematics does not know.
fn known_words(line: &str) -> &str {
    let mut at = 0;
    for word in line.split_inclusive(' ').take(MAX_WORDS) {
        let (bare, next) = (word.trim(), &line[at + word.len()..]);
        let article = matches!(bare, "a" | "I") && next.starts_with(char::is_alphabetic);
        // "i.e.", "p.m."
        let short = bare.as_bytes().windows(3).any(|part| {
            part[1] == b'.' && part[0].is_ascii_lowercase() && part[2].is_ascii_lowercase()
        });
        // "ab + c": an operator behind a space is one too.
        let operator = |next: &char| "+-−*/=".contains(*next);
        let before = line[..at].trim_end().chars().next_back().filter(operator);
        let after = next.trim_start().chars().next().filter(operator);
        let context: String = before.into_iter().chain(bare.chars()).chain(after).collect();
        if article || short || !(is_formula_word(bare) || is_formula_word(&context)) {
            break;
        }
        at += word.len();
        if bare.ends_with(['.', ';', '?', ':']) {
            break;
        }
    }
    line[..at].trim_end()
}

/// Of "5, 6" in front of "being too large" the first: a comma may part the next clause.
fn before_clause<'a>(value: &'a str, after: &str) -> &'a str {
    let mut depth = 0;
    let comma = value.char_indices().find(|(at, next)| {
        depth += level(*next);
        depth == 0 && value[*at..].starts_with(", ")
    });
    match comma {
        Some((at, _)) if is_clause(after) && !readings(&value[..at]).is_empty() => &value[..at],
        _ => value,
    }
}

/// "5 x 3 = 15" with a sign for the letter.
fn timed(value: &str) -> String {
    let mut timed = value.to_string();
    let sum = value.rfind('=').unwrap_or(0);
    for (at, _) in value.match_indices(" x ").filter(|(at, _)| *at < sum) {
        let digit = |next: Option<char>| next.is_some_and(|next| next.is_ascii_digit());
        let after = value[at + 3..].trim_start_matches('$').chars().next();
        if digit(value[..at].chars().next_back()) && digit(after) {
            timed.replace_range(at..at + 3, " * ");
        }
    }
    timed
}

fn is_formula_word(word: &str) -> bool {
    let ends = |next: char| "*.,;:!?\"”".contains(next);
    known_letters(&without_upright(word.trim_end_matches(ends)))
}

/// Whether a value may begin so: a unit or a connective has one before it.
fn begins_value(text: &str) -> bool {
    let run = text.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(text.len());
    let run = &text[..run];
    let word = run.len() > 1 && (words::is_unit(run) || run.starts_with("or") || run == "and");
    !word && text.contains(|next: char| next.is_alphanumeric() || next == '∞' || next == '∅')
}

/// A value without the punctuation and the connectives behind it.
fn bounded<'a>(text: &'a str, after: &str) -> &'a str {
    let mut text = text.trim();
    loop {
        let before = text.len();
        // "42!" ends with a cry, "10! ways" has a factorial.
        let cry = text.ends_with('!') && !goes_on(after);
        let marks = |next: char| ",;:.?\"”_".contains(next) || next == '!' && cry;
        text = text.trim_end_matches(marks).trim_end();
        text = text.strip_suffix("**").unwrap_or(text).trim_end();
        text = text.strip_suffix(" and").or(text.strip_suffix(" or")).unwrap_or(text);
        if text.len() == before {
            return text;
        }
    }
}

/// Whether a sentence goes on behind a mark.
fn goes_on(after: &str) -> bool {
    let next = after.trim_start_matches(' ').chars().next();
    next.is_some_and(|next| {
        next.is_lowercase() || next.is_ascii_digit() || "=+-*/^).,≈".contains(next)
    })
}

/// The value that ends last, with those that are one answer with it.
pub(super) fn last_value(text: &str) -> Option<String> {
    let spans = formulas(text);
    let spans = &spans[spans.len().saturating_sub(MAX_FORMULAS)..];
    let mut last = spans.iter().enumerate().rev().take(4);
    let formula = last.find(|(_, span)| is_value(text, span));
    let outside = numbers(text);
    let inside = |at: usize| spans.iter().any(|span| span.start <= at && at < span.end);
    let plain = outside.iter().rev().take(64).find(|span| !inside(span.start));
    let plain = plain.or(outside.last().filter(|_| formula.is_none()));
    match (formula, plain) {
        (Some((at, span)), plain) if plain.is_none_or(|plain| plain.end <= span.end) => {
            Some(joined_formulas(text, &spans[..=at]))
        }
        (_, plain) => plain.map(|span| last_number(text, *span)),
    }
}

/// Whether a formula can be read and is more than a name.
fn is_value(text: &str, span: &Span) -> bool {
    let inside = text[span.start..span.end].trim();
    let name = inside.len() <= 40 && inside.chars().all(|next| next.is_alphabetic());
    !name && inside.len() <= MAX_ANSWER && !readings(inside).is_empty()
}

/// The last formula with those before it that are one answer with it: "are 1 and 2", "1 or 2".
fn joined_formulas(text: &str, spans: &[Span]) -> String {
    let Some(last) = spans.last() else { return String::new() };
    let inside = |span: &Span| text[span.start..span.end].trim();
    let mut value = inside(last).to_string();
    if percent_follows(&text[last.end..]) {
        value.push('%');
    }
    let single = value.clone();
    let (mut first, mut alternatives) = (last, true);
    for pair in spans.windows(2).rev().take(MAX_PARTS) {
        let gap = text[pair[0].end..pair[1].start]
            .trim_matches(|next: char| next.is_whitespace() || "$\\()[]".contains(next));
        let join = match gap {
            "," | ";" => ", ",
            "and" | ", and" => " and ",
            "or" | ", or" => " or ",
            _ => break,
        };
        alternatives &= join != " and ";
        value = format!("{}{join}{value}", inside(&pair[0]));
        first = &pair[0];
    }
    let several = value.len() > single.len();
    let before = text[..first.start].trim_end_matches(|next: char| "$\\([ \n".contains(next));
    let either = alternatives && value.contains(" or ");
    if several && (either || lists(before)) { value } else { single }
}

/// Whether the word before says that several values follow.
fn lists(before: &str) -> bool {
    before.ends_with(':') || before.ends_with(" are") || before.ends_with(" were")
}

/// The last number as part of the expression and of the list that it ends.
fn last_number(text: &str, span: Span) -> String {
    let low = span.start - same_line(&text[..span.start]).len();
    let end = span.end + word_of(&text[span.end..]).len();
    let end = end + scale_behind(&text[end..]);
    let (shown, after) = (&text[low..end], &text[end..]);
    let span = Span { start: span.start - low, end: span.end - low };
    let mut start = opened(shown, word_start(&shown[..span.start]));
    // "3 + 4√2" is no 4√2.
    while let Some((before, operator)) = shown[..start].trim_end().rsplit_once(' ')
        && ["+", "-", "−", "*", "×", "·", "/", "÷", "=", "≈", "^"].contains(&operator)
        && before.ends_with(|next: char| next.is_alphanumeric() || ")}!%".contains(next))
    {
        let word = opened(shown, word_start(before));
        if !value_word(&shown[word..before.len()]) {
            break;
        }
        start = word;
    }
    if start == span.start && has_unit(shown, span) {
        return shown[span.start..span.end].to_string();
    }
    let listed = list_start(shown, start);
    let lead = |start: usize| {
        let value = shown[start..].trim_start_matches(|next: char| "*_\"'“‘`".contains(next));
        bounded(value, after)
    };
    for start in [listed, Some(start)].into_iter().flatten() {
        let value = lead(start);
        let value = unbracketed(value);
        if is_formula(value) && begins_value(value) && !readings(value).is_empty() {
            return value.to_string();
        }
    }
    number_text(shown, span)
}

/// The width of the "million" that a number is counted in, with its punctuation.
fn scale_behind(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(' ') else { return 0 };
    let word = word_of(rest);
    let bare = word.trim_end_matches(|next: char| ".,;:!?)*\"”".contains(next));
    if words::zeros(bare).is_some() { 1 + word.len() } else { 0 }
}

/// Whether only a unit stands right behind a number: "5m²".
fn has_unit(text: &str, span: Span) -> bool {
    let behind = word_of(&text[span.end..]);
    let unit = behind.trim_end_matches(|next: char| "²³.,;:!?)*".contains(next));
    words::is_unit(unit) && word_start(&text[..span.start]) == span.start
}

/// A word that is a value: digits, and letters that are known.
fn value_word(word: &str) -> bool {
    word.contains(|next: char| next.is_ascii_digit()) && is_formula_word(word)
}

/// A value without a bracket that has no partner.
fn unbracketed(text: &str) -> &str {
    let text = if text.starts_with('(') && !text.contains(')') { &text[1..] } else { text };
    if text.ends_with(')') && !text.contains('(') { &text[..text.len() - 1] } else { text }
}

/// Where the bracket opens that the text from `start` on closes.
fn opened(text: &str, start: usize) -> usize {
    let mut depth: i32 = text[start..].chars().map(level).sum();
    for (at, next) in text[..start].char_indices().rev() {
        if depth >= 0 {
            break;
        }
        depth += level(next);
        if depth == 0 {
            return word_start(&text[..at]);
        }
    }
    start
}

/// How a bracket changes the depth.
fn level(next: char) -> i32 {
    match next {
        '(' | '[' | '{' => 1,
        ')' | ']' | '}' => -1,
        _ => 0,
    }
}

/// Where the list begins that ends with the value at `start`, if one does: "are 1, 2 and 3".
fn list_start(text: &str, start: usize) -> Option<usize> {
    let mut at = start;
    let (mut several, mut either) = (false, false);
    for _ in 0..MAX_PARTS {
        let before = text[..at].trim_end();
        let connected = before.strip_suffix(" and").or(before.strip_suffix(" or"));
        either |= before.ends_with(" or");
        let before = match connected {
            Some(before) => before.trim_end(),
            None if before.ends_with(',') => before,
            None => break,
        };
        let word = word_start(before);
        if !value_word(&before[word..]) {
            break;
        }
        (at, several) = (word, true);
    }
    (several && (either || lists(text[..at].trim_end()))).then_some(at)
}

/// What a sentence says that something is, else the value that starts first.
pub(super) fn first_value(text: &str) -> Option<String> {
    let text = within(text, 2 * MAX_ANSWER);
    let verbs = text.match_indices(' ').take(MAX_PARTS).filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        let verb =
            ["is ", "are ", "equals ", "= "].into_iter().find(|verb| rest.starts_with(verb))?;
        // "5, which is 3 more": another subject.
        let subject = text[..at].rsplit(' ').next().unwrap_or("");
        let other = ["this", "that", "which", "it", "there", "what"];
        let other = other.iter().any(|other| subject.eq_ignore_ascii_case(other));
        (!other).then(|| &rest[verb.len()..])
    });
    verbs.take(MAX_VERBS).find_map(leading).or_else(|| value_anywhere(text))
}

fn value_anywhere(text: &str) -> Option<String> {
    let formula = formulas(text).into_iter().take(MAX_FORMULAS).find(|span| is_value(text, span));
    let number = numbers(text).into_iter().next();
    match (formula, number) {
        (Some(formula), number) if number.is_none_or(|number| formula.start <= number.start) => {
            let marked = text[..formula.start].trim_end_matches("$$").trim_end_matches('$');
            let marked =
                marked.strip_suffix("\\(").or(marked.strip_suffix("\\[")).unwrap_or(marked);
            leading(&text[marked.len()..])
        }
        (_, Some(number)) => {
            let word = &text[word_start(&text[..number.start])..];
            let bare = word.trim_start_matches(|next: char| "*_\"'“‘`(".contains(next));
            let known = is_formula_word(word_of(bare));
            match leading(bare).filter(|_| known) {
                Some(value) => Some(value),
                None => Some(number_text(text, number)),
            }
        }
        (_, None) => None,
    }
}

/// A number, unless it is cut out of something: then all of that, which cannot be read.
fn number_or_all(text: &str, span: Span) -> Span {
    if is_cut(text, span) {
        let start = word_start(&text[..span.start]);
        return Span { start, end: span.end + word_of(&text[span.end..]).len() };
    }
    let behind = &text[span.end..];
    let sign = behind.trim_start().starts_with('%');
    let width = if sign { behind.find('%').map_or(0, |at| at + 1) } else { 0 };
    Span { start: span.start, end: span.end + width }
}

/// The text of a number, or of what it is cut out of.
fn number_text(text: &str, span: Span) -> String {
    let found = number_or_all(text, span);
    text[found.start..found.end].to_string()
}

/// Where the word begins that the text ends in.
fn word_start(text: &str) -> usize {
    text.trim_end_matches(|next: char| !next.is_whitespace()).len()
}

/// Whether a command stands in a word that is more than a style, a unit or a space.
fn has_command(word: &str) -> bool {
    let plain = ["text", "math", "quad", "qquad", "boxed", "left", "right"];
    word.match_indices('\\').any(|(at, _)| {
        let name = &word[at + 1..];
        name.starts_with(|next: char| next.is_ascii_alphabetic())
            && !plain.iter().any(|plain| name.starts_with(plain))
    })
}

/// The text up to its first white space.
fn word_of(text: &str) -> &str {
    within(&text[..text.find(char::is_whitespace).unwrap_or(text.len())], REACH)
}

/// The end of a text behind its last line break, as much as is looked at.
fn same_line(text: &str) -> &str {
    let mut start = text.len().saturating_sub(REACH);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let line = &text[start..];
    &line[line.rfind('\n').map_or(0, |at| at + 1)..]
}

/// Whether a number is part of a larger expression by what touches it.
fn is_cut(text: &str, span: Span) -> bool {
    let mut before = text[..span.start].chars().rev();
    let (last, earlier) = (before.next(), before.next().unwrap_or(' '));
    let mut after = text[span.end..].chars();
    let (next, later) = (after.next(), after.next().unwrap_or(' '));
    let word = &text[word_start(&text[..span.start])..];
    if word_of(word).contains(['^', '√']) || has_command(word_of(word)) {
        return true;
    }
    let left = match last {
        Some('π' | '}') => true,
        Some('_' | '/') => {
            earlier.is_alphanumeric() && !earlier.is_ascii_digit() || ")}".contains(earlier)
        }
        Some('(') => earlier.is_ascii_alphanumeric() || earlier == '√',
        _ => false,
    };
    let right = match next {
        Some('π' | '(' | '{') => true,
        Some('⁰'..='⁹' | '⁻' | '⁺' | 'ⁿ' | '¹' | '²' | '³') => true,
        Some('!') => goes_on(&text[span.end + 1..]),
        Some('_') => later.is_alphanumeric() || later == '{',
        Some(')') => later == '_' || later == '^',
        _ => false,
    };
    left || right
}

/// The start of a text, of so many bytes at most.
fn within(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
