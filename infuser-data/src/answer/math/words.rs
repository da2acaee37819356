//! The vocabulary: what names, commands and signs mean.

use super::{
    expr::{Constant, Function, Sign},
    lex::Token,
};

/// A word of plain text that has a mathematical meaning.
pub(super) fn known(run: &str) -> Option<Token> {
    if let Some(function) = Function::named(run) {
        return Some(Token::Function(function));
    }
    Some(match run {
        "sqrt" => Token::Sqrt,
        "pi" | "Pi" => Token::Constant(Constant::Pi),
        "infinity" | "inf" | "oo" | "Infinity" => Token::Constant(Constant::Infinity),
        "and" => Token::And,
        "or" => Token::Or,
        "percent" | "pct" | "percentage" => Token::Op('%'),
        "degrees" | "degree" | "deg" => Token::Op('°'),
        "union" => Token::Op('∪'),
        "alpha" | "beta" | "gamma" | "delta" | "epsilon" | "theta" | "lambda" | "sigma"
        | "omega" | "phi" => Token::Symbol(run.into()),
        "times" => Token::Op('*'),
        _ => return None,
    })
}

/// One letter: two of them are numbers.
pub(super) fn letter(letter: char) -> Token {
    match letter {
        'e' => Token::Constant(Constant::E),
        'i' => Token::Constant(Constant::I),
        _ => Token::Symbol(letter.into()),
    }
}

/// A LaTeX command without its backslash.
pub(super) fn command(name: &str) -> Option<Token> {
    if let Some(function) = Function::named(name) {
        return Some(Token::Function(function));
    }
    Some(match name {
        "frac" | "dfrac" | "tfrac" | "cfrac" | "nicefrac" | "sfrac" => Token::Frac,
        "sqrt" => Token::Sqrt,
        "binom" | "dbinom" | "tbinom" => Token::Binom,
        "choose" => Token::Choose,
        "cdot" | "times" | "ast" | "cdotp" | "bullet" => Token::Op('*'),
        "div" | "slash" => Token::Op('/'),
        "over" => Token::Over,
        "pm" => Token::Op('±'),
        "mp" => Token::Op('∓'),
        "le" | "leq" | "leqslant" => Token::Sign(Sign::LessOrEqual),
        "ge" | "geq" | "geqslant" => Token::Sign(Sign::GreaterOrEqual),
        "lt" => Token::Sign(Sign::Less),
        "gt" => Token::Sign(Sign::Greater),
        "ne" | "neq" => Token::Sign(Sign::NotEqual),
        "equiv" | "coloneqq" => Token::Sign(Sign::Equal),
        "approx" | "simeq" | "sim" | "cong" | "thickapprox" => Token::Sign(Sign::Approximately),
        "in" => Token::Sign(Sign::In),
        "infty" => Token::Constant(Constant::Infinity),
        "pi" => Token::Constant(Constant::Pi),
        "emptyset" | "varnothing" => Token::Constant(Constant::EmptySet),
        "cup" | "bigcup" => Token::Op('∪'),
        "cap" | "bigcap" => Token::Op('∩'),
        "setminus" | "backslash" | "smallsetminus" => Token::Op('\\'),
        "colon" => Token::Op(':'),
        "circ" | "degree" => Token::Op('°'),
        "prime" => Token::Op('\''),
        "ldots" | "cdots" | "dots" | "dotsc" | "dotsb" => Token::Symbol("...".into()),
        "lvert" | "rvert" | "vert" | "mid" | "lVert" | "rVert" | "Vert" => Token::Op('|'),
        "lbrace" => Token::Open('S'),
        "rbrace" => Token::Close('S'),
        "lbrack" => Token::Open('['),
        "rbrack" => Token::Close('['),
        "langle" => Token::Open('<'),
        "rangle" => Token::Close('<'),
        "lfloor" => Token::Open('F'),
        "rfloor" => Token::Close('F'),
        "lceil" => Token::Open('C'),
        "rceil" => Token::Close('C'),
        "sum" => Token::Bound("sum"),
        "prod" => Token::Bound("prod"),
        "int" | "iint" | "oint" => Token::Bound("int"),
        "lim" => Token::Bound("lim"),
        "overline" | "bar" => Token::Accent("overline"),
        "dot" => Token::Accent("dot"),
        "vec" | "overrightarrow" | "hat" | "widehat" | "tilde" => Token::Accent("vec"),
        "varepsilon" => Token::Symbol("epsilon".into()),
        "varphi" => Token::Symbol("phi".into()),
        "vartheta" => Token::Symbol("theta".into()),
        "land" | "wedge" => Token::And,
        "lor" | "vee" => Token::Or,
        "pounds" | "euro" => Token::Op(' '),
        _ => return None,
    })
}

/// A character that is no letter, digit or backslash.
pub(super) fn sign(next: char) -> Option<Token> {
    Some(match next {
        '+' | '/' | '^' | '_' | '!' | ',' | ';' | ':' | '%' | '°' | '\'' | '&' | '|' | '±'
        | '∓' | '∪' | '∩' | '*' | '-' => Token::Op(next),
        '−' | '–' | '—' | '‑' | '－' | '﹣' => Token::Op('-'),
        '＋' => Token::Op('+'),
        '×' | '·' | '⋅' | '∙' | '•' => Token::Op('*'),
        '÷' | '∕' | '⁄' => Token::Op('/'),
        '′' | '’' => Token::Op('\''),
        '，' | '、' => Token::Op(','),
        '；' => Token::Op(';'),
        '％' => Token::Op('%'),
        '∖' => Token::Op('\\'),
        '√' | '∛' | '∜' => Token::Sqrt,
        '(' | '[' | '{' => Token::Open(next),
        ')' => Token::Close('('),
        ']' => Token::Close('['),
        '}' => Token::Close('{'),
        '（' => Token::Open('('),
        '）' => Token::Close('('),
        '⟨' => Token::Open('<'),
        '⟩' => Token::Close('<'),
        '⌊' => Token::Open('F'),
        '⌋' => Token::Close('F'),
        '⌈' => Token::Open('C'),
        '⌉' => Token::Close('C'),
        '=' | '＝' => Token::Sign(Sign::Equal),
        '<' => Token::Sign(Sign::Less),
        '>' => Token::Sign(Sign::Greater),
        '≤' | '⩽' => Token::Sign(Sign::LessOrEqual),
        '≥' | '⩾' => Token::Sign(Sign::GreaterOrEqual),
        '≠' => Token::Sign(Sign::NotEqual),
        '≈' | '≃' | '≅' => Token::Sign(Sign::Approximately),
        '∈' => Token::Sign(Sign::In),
        '∞' => Token::Constant(Constant::Infinity),
        'π' => Token::Constant(Constant::Pi),
        '∅' => Token::Constant(Constant::EmptySet),
        'ℝ' => Token::Constant(Constant::Reals),
        _ if script(next).is_some() => Token::Op('^'),
        '½' | '⅓' | '⅔' | '¼' | '¾' | '⅕' | '⅖' | '⅗' | '⅘' | '⅙' | '⅚' | '⅐' | '⅛' | '⅜' | '⅝'
        | '⅞' | '⅑' | '⅒' => Token::Frac,
        'µ' => Token::Symbol(greek('μ')),
        '\u{2126}' => Token::Symbol(greek('Ω')),
        '℃' | '℉' => Token::Op('°'),
        'α'..='ω' | 'Α'..='Ω' => Token::Symbol(greek(next)),
        // Words of other scripts: units, usually.
        _ if next.is_alphabetic() => Token::Word(next.into()),
        _ => return None,
    })
}

/// The name LaTeX has for a Greek letter; capitals that look Latin keep their sign.
fn greek(letter: char) -> String {
    match letter {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' => "epsilon",
        'θ' => "theta",
        'λ' => "lambda",
        'μ' => "mu",
        'ρ' => "rho",
        'σ' => "sigma",
        'τ' => "tau",
        'φ' => "phi",
        'ω' => "omega",
        'Δ' => "Delta",
        'Ω' => "Omega",
        _ => return letter.into(),
    }
    .into()
}

/// `^` or `_` for a raised or a lowered character, and the plain one.
pub(super) fn script(next: char) -> Option<(char, char)> {
    const RAISED: (&str, &str) = ("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣʸᵏᵐᵗ", "0123456789+-()nixykmt");
    const LOWERED: (&str, &str) = ("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙᵢₓₖₘₜⱼ", "0123456789+-()nixkmtj");
    let find = |(from, to): (&str, &str)| {
        from.chars().zip(to.chars()).find(|(from, _)| *from == next).map(|(_, to)| to)
    };
    find(RAISED).map(|plain| ('^', plain)).or_else(|| find(LOWERED).map(|plain| ('_', plain)))
}

/// The degree of a root sign that has one.
pub(super) fn root(next: char) -> Option<&'static str> {
    match next {
        '∛' => Some("3"),
        '∜' => Some("4"),
        _ => None,
    }
}

/// The parts of a fraction that is one character.
pub(super) fn vulgar(next: char) -> Option<(&'static str, &'static str)> {
    Some(match next {
        '½' => ("1", "2"),
        '⅓' => ("1", "3"),
        '⅔' => ("2", "3"),
        '¼' => ("1", "4"),
        '¾' => ("3", "4"),
        '⅕' => ("1", "5"),
        '⅖' => ("2", "5"),
        '⅗' => ("3", "5"),
        '⅘' => ("4", "5"),
        '⅙' => ("1", "6"),
        '⅚' => ("5", "6"),
        '⅐' => ("1", "7"),
        '⅛' => ("1", "8"),
        '⅜' => ("3", "8"),
        '⅝' => ("5", "8"),
        '⅞' => ("7", "8"),
        '⅑' => ("1", "9"),
        '⅒' => ("1", "10"),
        _ => return None,
    })
}

/// `sinx`: a function and the letter it is applied to.
pub(super) fn applied(run: &str) -> Option<(Function, &str)> {
    let (name, argument) = run.split_at_checked(run.len().checked_sub(1)?)?;
    let function = Function::named(name)
        .filter(|it| it.takes_angles() || matches!(it, Function::Ln | Function::Log))?;
    matches!(argument, "x" | "y" | "z").then_some((function, argument))
}

/// A unit of measure, where it follows a number.
pub(super) fn is_unit(run: &str) -> bool {
    glues(run) || APART.contains(&run)
}

/// A unit that may stand right behind its number in an answer.
pub(super) fn glues(run: &str) -> bool {
    only_unit(run) || OFTEN_UNITS.contains(&run)
}

/// A unit that no product of names looks like.
pub(super) fn only_unit(run: &str) -> bool {
    ONLY_UNITS.contains(&run)
}

/// Letters that name a unit and nothing else.
const ONLY_UNITS: &[&str] = &[
    "cm", "mm", "ft", "yd", "hr", "hrs", "yr", "yrs", "sec", "lb", "lbs", "oz", "mph", "kph", "mL",
    "kW", "MW", "kWh", "kJ", "MJ", "eV", "keV", "MeV", "kPa", "MPa", "Hz", "kHz", "MHz", "GHz",
    "mol", "kΩ", "μm", "μs", "rpm", "th", "USD", "pcs", "men", "cup",
];

/// Letters that name a unit where no names are expected.
const OFTEN_UNITS: &[&str] = &[
    "m", "km", "nm", "pm", "dm", "in", "mi", "g", "kg", "mg", "μg", "s", "ms", "ns", "min", "h",
    "day", "L", "l", "ml", "J", "mJ", "cal", "kcal", "W", "mW", "N", "kN", "Pa", "hPa", "bar",
    "atm", "V", "kV", "mV", "A", "mA", "K", "C", "μC", "nC", "F", "μF", "nF", "pF", "Ω", "rad",
    "rev", "sq", "cu", "st", "nd", "rd",
];

/// Letters that are units only where they stand apart from the number.
const APART: [&str; 12] = ["T", "H", "M", "mM", "mH", "mT", "cd", "gal", "EUR", "am", "AM", "PM"];

/// The names of units and of what is often counted: words, wherever they stand.
pub(super) fn names_unit(run: &str) -> bool {
    const NAMES: &[&str] = &[
        "meter",
        "metre",
        "centimeter",
        "centimetre",
        "kilometer",
        "kilometre",
        "millimeter",
        "inch",
        "inches",
        "foot",
        "feet",
        "yard",
        "mile",
        "second",
        "minute",
        "hour",
        "week",
        "month",
        "year",
        "gram",
        "kilogram",
        "pound",
        "ounce",
        "liter",
        "litre",
        "gallon",
        "dollar",
        "cent",
        "euro",
        "unit",
        "point",
        "time",
        "radian",
        "joule",
        "newton",
        "watt",
        "volt",
        "ampere",
        "kelvin",
        "mole",
        "ohm",
        "hertz",
        "pascal",
        "percent",
    ];
    let run = run.to_ascii_lowercase();
    [run.as_str(), run.strip_suffix('s').unwrap_or("")].iter().any(|name| NAMES.contains(name))
        || matches!(run.as_str(), "mins" | "secs" | "days" | "people" | "square" | "cubic")
}

/// A set that has a name in words.
pub(super) fn named_set(words: &str) -> Option<Constant> {
    Some(match words {
        "all real numbers"
        | "all reals"
        | "real numbers"
        | "all real values"
        | "the set of all real numbers" => Constant::Reals,
        "no solution" | "no solutions" | "no real solution" | "no real solutions" | "empty set"
        | "the empty set" | "none" => Constant::EmptySet,
        _ => return None,
    })
}

/// The zeros of "million".
pub(super) fn zeros(run: &str) -> Option<usize> {
    Some(match run.strip_suffix('s').unwrap_or(run).to_ascii_lowercase().as_str() {
        "hundred" => 2,
        "thousand" => 3,
        "million" => 6,
        "billion" => 9,
        "trillion" => 12,
        _ => return None,
    })
}

/// A word that may stand between the words of a unit: "5 years old", "3 km per hour".
pub(super) fn joins_units(run: &str) -> bool {
    matches!(run, "old" | "per" | "of" | "ago")
}
