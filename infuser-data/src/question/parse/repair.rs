//! Text that a model meant as JSON, as JSON.
//!
//! Outside strings, commas before a closing bracket go and numbers become strings as they stand, so
//! that `0.50` stays `0.50`. Inside strings, control characters become escapes, and a backslash is
//! read as follows.
//!
//! - `\"`, `\\`, `\/` and `\u` with four hexadecimal digits are what they are in JSON; half a surrogate
//!   pair becomes U+FFFD.
//! - `\b`, `\f` and `\r` before a letter begin a LaTeX command (`\beta`, `\frac`, `\rho`): nobody means a
//!   backspace, a form feed or a lone carriage return before a word.
//! - `\n` and `\t` before letters are a line break and a tab, unless the whole run of letters is a LaTeX
//!   command of [`COMMANDS`]: `\nu` and `\times` are commands, `\nThen` and `\tx` are not. Before `)`, `.`
//!   and `:`, `\ne` is a line break and the item `e`.
//! - `\'` is an apostrophe.
//! - Any other backslash is itself, as LaTeX needs it: `\alpha`, `\(`, `\{`, `\%`.
//!
//! JSON that needs none of this keeps its meaning, but for `\n` and `\t` before such a command and for
//! `\b`, `\f` and `\r` before a letter; who writes control characters as `\u000a` is always understood.

/// Commands that begin with `n` or `t`, in order.
const COMMANDS: [&str; 74] = [
    "nRightarrow",
    "nabla",
    "natural",
    "ncong",
    "ne",
    "nearrow",
    "neg",
    "neq",
    "newline",
    "nexists",
    "ngeq",
    "ngtr",
    "nleftarrow",
    "nleq",
    "nless",
    "nmid",
    "nolimits",
    "nonumber",
    "norm",
    "not",
    "notin",
    "nparallel",
    "nprec",
    "nrightarrow",
    "nsim",
    "nsubseteq",
    "nsucc",
    "nsupseteq",
    "ntriangleleft",
    "nu",
    "nwarrow",
    "tag",
    "tan",
    "tanh",
    "tau",
    "tbinom",
    "tensor",
    "text",
    "textbf",
    "textcolor",
    "textdegree",
    "textit",
    "textmd",
    "textnormal",
    "textrm",
    "textsc",
    "textsf",
    "textstyle",
    "textsubscript",
    "textsuperscript",
    "texttt",
    "textup",
    "textwidth",
    "tfrac",
    "therefore",
    "theta",
    "thickapprox",
    "thicksim",
    "thinspace",
    "tilde",
    "times",
    "tiny",
    "to",
    "top",
    "tr",
    "triangle",
    "triangledown",
    "triangleleft",
    "trianglelefteq",
    "triangleq",
    "triangleright",
    "trianglerighteq",
    "twoheadleftarrow",
    "twoheadrightarrow",
];
/// No command is longer.
const LONGEST: usize = 24;

/// The text of an object with the mistakes above mended. What it is not is left to the JSON reader.
pub(super) fn repaired(object: &str) -> String {
    let mut out = String::with_capacity(object.len() + object.len() / 8);
    let mut rest = object;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' => {
                out.push('"');
                string(&rest[1..], &mut out)
            }
            ',' => {
                let behind = &rest[1..];
                if !behind.trim_ascii_start().starts_with(['}', ']']) {
                    out.push(',');
                }
                // The white space was looked at; it must not be looked at again.
                behind.trim_ascii_start()
            }
            '-' | '0'..='9' => number(rest, &mut out),
            _ => {
                out.push(first);
                &rest[first.len_utf8()..]
            }
        };
    }
    out
}

/// Copies a number as a string; returns what follows it.
fn number<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    out.push('"');
    out.push_str(number);
    out.push('"');
    rest
}

/// Copies a string from behind its first quote to its last; returns what follows it.
fn string<'a>(mut rest: &'a str, out: &mut String) -> &'a str {
    loop {
        let plain = |c: char| c != '"' && c != '\\' && c >= ' ';
        let end = rest.find(|c| !plain(c)).unwrap_or(rest.len());
        out.push_str(&rest[..end]);
        let Some(special) = rest[end..].chars().next() else { return "" };
        let behind = &rest[end + 1..];
        rest = match special {
            '"' => {
                out.push('"');
                return behind;
            }
            '\\' => escape(behind, out),
            control => {
                push_control(control, out);
                behind
            }
        };
    }
}

fn push_control(control: char, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let code = control as usize;
    out.push_str("\\u00");
    out.push(char::from(HEX[code >> 4 & 15]));
    out.push(char::from(HEX[code & 15]));
}

/// Copies what a backslash begins; `rest` is behind it. Returns what follows.
fn escape<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let Some(first) = rest.bytes().next() else {
        out.push_str("\\\\");
        return rest;
    };
    let behind = rest.get(1..).unwrap_or_default();
    let letter = behind.starts_with(|c: char| c.is_ascii_alphabetic());
    let keep = match first {
        b'"' | b'\\' | b'/' => true,
        b'u' => return unicode(rest, out),
        b'\'' => {
            out.push('\'');
            return behind;
        }
        b'b' | b'f' | b'r' => !letter,
        b'n' | b't' => !(letter && is_command(rest)),
        _ => false,
    };
    if !keep {
        out.push_str("\\\\");
        return rest;
    }
    out.push('\\');
    out.push(char::from(first));
    behind
}

/// Whether the letters at the beginning are a command.
fn is_command(rest: &str) -> bool {
    let head = rest.bytes().take(LONGEST + 1);
    let len = head.take_while(u8::is_ascii_alphabetic).count();
    let (name, behind) = rest.split_at(len);
    if name == "ne" && behind.starts_with([')', '.', ':']) {
        return false;
    }
    COMMANDS.binary_search(&name).is_ok()
}

/// As [`escape`], where `rest` begins with `u`.
fn unicode<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let hex = |text: &str| {
        let digits = text.get(..4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(code) = hex(&rest[1..]) else {
        out.push_str("\\\\");
        return rest;
    };
    let behind = &rest[5..];
    match code {
        0xd800..0xdc00 => {
            let low = behind.strip_prefix("\\u").and_then(hex);
            if low.is_some_and(|low| (0xdc00..0xe000).contains(&low)) {
                out.push('\\');
                out.push_str(&rest[..11]);
                return &behind[6..];
            }
            out.push('\u{fffd}');
        }
        0xdc00..0xe000 => out.push('\u{fffd}'),
        _ => {
            out.push('\\');
            out.push_str(&rest[..5]);
        }
    }
    behind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_searched() {
        assert!(COMMANDS.is_sorted());
        assert!(COMMANDS.iter().all(|name| name.len() <= LONGEST));
    }

    #[track_caller]
    fn check(written: &str, meant: &str) {
        let text = repaired(&format!("\"{written}\""));
        let value: Result<String, _> = serde_json::from_str(&text);
        assert_eq!(value.as_deref().ok(), Some(meant), "{written} became {text}");
    }

    #[test]
    fn latex_survives() {
        for name in [
            "frac",
            "beta",
            "nu",
            "tau",
            "rho",
            "neq",
            "nabla",
            "times",
            "text",
            "theta",
            "bar",
            "forall",
            "right",
            "alpha",
            "sqrt",
            "underline",
            "upsilon",
            "not",
            "to",
            "boxed",
            "begin",
            "rangle",
        ] {
            for tail in ["{x}", "_1", " y", "", "^2", "+", "1"] {
                check(&format!("\\{name}{tail}"), &format!("\\{name}{tail}"));
                check(&format!("\\\\{name}{tail}"), &format!("\\{name}{tail}"));
            }
        }
        check(r"\(x\) \[y\] \{z\} 5\% \$3 \, \; a\_b", r"\(x\) \[y\] \{z\} 5\% \$3 \, \; a\_b");
        check(r"\newpage \nux", "\newpage \nux");
    }

    #[test]
    fn json_escapes_stay() {
        check(r#"a\nThen\n1\tb\r\nc\"d\\e\/f\bg"#, "a\nThen\n1\tb\r\nc\"d\\e/f\\bg");
        check(r"i)\n\ne) last\n\ni.", "i)\n\ne) last\n\ni.");
        check(r"\u00e9\u0009au \ud83d\ude00", "é\tau 😀");
        check(r"\ud83d \ude00 \ud83dx \ud83d\u0041", "\u{fffd} \u{fffd} \u{fffd}x \u{fffd}A");
        check(r"it\'s", "it's");
        check("a\nb\tc\u{1}", "a\nb\tc\u{1}");
        check(r"\é \ x", r"\é \ x");
    }

    #[test]
    fn commas_and_numbers() {
        for (text, mended) in [
            ("[1, 0.50, -3e-7,]", r#"["1","0.50","-3e-7"]"#),
            ("{\"a\" : [ ] , \n }", "{\"a\" : [ ] }"),
            (r#"{"a": "1, ]", }"#, r#"{"a": "1, ]"}"#),
            ("[,,]", "[,]"),
        ] {
            assert_eq!(repaired(text), mended, "{text}");
        }
    }
}
