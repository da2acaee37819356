//! Text to tokens: LaTeX, plain text and the Unicode signs between them become one vocabulary.

mod numeral;

use super::{
    expr::{Constant, Function, Sign, Time},
    number::Number,
    words,
};

/// The smallest thing that means something.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A numeral, and its digits as they stand.
    Number(Number, String),
    Symbol(String),
    Word(String),
    Time(Time),
    Constant(Constant),
    Function(Function),
    Sign(Sign),
    /// One of `+ - * / ^ _ ! ± ∓ , ; : % ° ' & | \ ∪ ∩ √`.
    Op(char),
    /// One of `( [ {`, `S` for `\{`, `<` for `\langle`, `F` and `C` for floor and ceiling.
    Open(char),
    Close(char),
    Frac,
    Sqrt,
    Binom,
    /// `\choose`.
    Choose,
    /// `\over`: all around it, up to the braces, is a fraction.
    Over,
    /// `\overline`, `\vec`, …
    Accent(&'static str),
    /// `\sum`, `\int`, …
    Bound(&'static str),
    Begin,
    End,
    /// `\\`: the next row.
    Row,
    /// "and".
    And,
    /// "or".
    Or,
}

/// A token and how it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lexed {
    pub(super) token: Token,
    /// White space stands before it.
    pub(super) spaced: bool,
    /// It stands in upright letters, as units do.
    pub(super) upright: bool,
}

/// How text that can be read in two ways is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// "1,234" is one number, rather than two.
    pub(super) thousands: bool,
    /// A sign that stands for two is this one.
    pub(super) minus: bool,
    pub(super) units: Units,
}

/// What letters behind a number are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    /// Names: `2mg` is a product of three factors.
    Names,
    /// A unit where they stand apart from the number or upright: what a reference means by them.
    Apart,
    /// A unit in all places: an answer may be careless, and its number counts.
    Anywhere,
}

/// Reads all of `text`; `None` if something in it has no meaning here.
pub(super) fn lex(text: &str, reading: Reading) -> Option<Vec<Lexed>> {
    let chars: Vec<char> = text.chars().collect();
    let doubled = doubled_escapes(text);
    let mut lexer = Lexer {
        chars,
        at: 0,
        depth: 0,
        matrices: 0,
        spaced: false,
        upright: false,
        reading,
        doubled,
        out: Vec::new(),
    };
    lexer.all(0)?;
    Some(lexer.out)
}

/// Whether every backslash was doubled on the way here, as in JSON that was escaped twice.
fn doubled_escapes(text: &str) -> bool {
    let single = text.replace("\\\\", "");
    let command = text.match_indices("\\\\").any(|(at, _)| {
        text[at + 2..].starts_with(|next: char| next.is_ascii_alphabetic() || next == '{')
    });
    command && !single.contains('\\')
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    /// Open brackets around this place that make a comma part lists.
    depth: usize,
    /// Open matrices around this place: only there do `&` and `\\\\` part anything.
    matrices: usize,
    spaced: bool,
    upright: bool,
    reading: Reading,
    doubled: bool,
    out: Vec<Lexed>,
}

impl Lexer {
    fn all(&mut self, nesting: usize) -> Option<()> {
        while let Some(next) = self.peek(0) {
            if next.is_whitespace() {
                (self.at, self.spaced) = (self.at + 1, true);
            } else if next.is_ascii_digit() || next == '.' {
                self.number()?;
            } else if next == '\\' {
                self.command(nesting)?;
            } else if next.is_ascii_alphabetic() {
                self.letters()?;
            } else {
                self.sign(next)?;
            }
        }
        Some(())
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn push(&mut self, token: Token) {
        match token {
            Token::Open('(' | '[' | 'S' | '<') => self.depth += 1,
            Token::Close('(' | '[' | 'S' | '<') => self.depth = self.depth.saturating_sub(1),
            Token::Begin => self.matrices += 1,
            Token::End => self.matrices = self.matrices.saturating_sub(1),
            Token::Op('&') if self.matrices == 0 => return,
            // Of several lines, or of steps of an argument, the last says the result.
            Token::Row if self.matrices == 0 => return self.out.clear(),
            _ => {}
        }
        let spaced = std::mem::take(&mut self.spaced);
        self.out.push(Lexed { token, spaced, upright: self.upright });
    }

    /// A run of letters in plain text.
    fn letters(&mut self) -> Option<()> {
        let run = self.name(0);
        let before = self.at.checked_sub(1).and_then(|at| self.chars.get(at)).copied();
        self.at += run.len();
        if self.scale(&run) || self.times(&run) || self.clock(&run) {
            return Some(());
        }
        // US$5
        if self.peek(0) == Some('$') && run == "US" {
            return Some(());
        }
        // "1orW(x)": a word that lost its spaces.
        let glued = ["or", "and"].iter().find(|word| {
            run.strip_prefix(**word)
                .is_some_and(|rest| rest.starts_with(|next: char| next.is_uppercase()))
        });
        if let Some(word) = glued.filter(|_| !self.spaced && !self.out.is_empty()) {
            self.push(if **word == *"or" { Token::Or } else { Token::And });
            return self.word(&run[word.len()..]);
        }
        // In `2abcd`, `abcd + 1` and `(x)abcd` no word stands.
        let factor = before.is_some_and(|next| next.is_ascii_digit() || ")}+*".contains(next))
            || self.peek(0).is_some_and(|next| "^_+*".contains(next));
        if factor && words::known(&run).is_none() && !words::names_unit(&run) {
            return self.product(&run);
        }
        self.word(&run)
    }

    /// The half of the day behind an hour: "10:30 AM", "5 p.m."
    fn clock(&mut self, run: &str) -> bool {
        let dotted = run.len() == 1
            && self.peek(0) == Some('.')
            && matches!(self.peek(1), Some('m' | 'M'))
            && !self.peek(2).is_some_and(char::is_alphanumeric);
        let half = if dotted { format!("{run}m") } else { run.to_string() };
        let number = |count: usize| match self.back(count) {
            Some(Token::Number(_, digits)) if digits.len() <= 2 => digits.parse().ok(),
            _ => None,
        };
        let colon = |count| self.back(count) == Some(&Token::Op(':'));
        let colons = usize::from(colon(2)) * (1 + usize::from(colon(4)));
        let (hour, rest) = match colons {
            0 => (number(1), [None, None]),
            1 => (number(3), [number(1), None]),
            _ => (number(5), [number(3), number(1)]),
        };
        let Some(hour) = hour.filter(|hour: &u32| *hour <= 12) else { return false };
        let whole = rest.iter().flatten().filter(|part: &&u32| **part < 60).count() == colons;
        let name = half.to_ascii_lowercase();
        // `5am` may be a product.
        let sure = colons > 0 || self.spaced || half != name;
        if !matches!(name.as_str(), "am" | "pm") || !whole || !sure {
            return false;
        }
        self.out.truncate(self.out.len() - 1 - 2 * colons);
        self.at += if dotted { 2 } else { 0 };
        self.push(Token::Time(Time { hour, rest, afternoon: name == "pm" }));
        true
    }

    /// A token counted from the last one, which is the first.
    fn back(&self, count: usize) -> Option<&Token> {
        self.out.get(self.out.len().checked_sub(count)?).map(|lexed| &lexed.token)
    }

    fn after_value(&self) -> bool {
        matches!(self.out.last(), Some(Lexed { token: Token::Number(..) | Token::Close(_), .. }))
    }

    /// The "million" of "3 million" is a factor.
    fn scale(&mut self, run: &str) -> bool {
        let Some(zeros) = words::zeros(run).filter(|_| self.after_value()) else { return false };
        let Some(number) = Number::new(&format!("1{}", "0".repeat(zeros)), 0) else { return false };
        self.push(Token::Op('*'));
        self.push(Token::Number(number, run.into()));
        true
    }

    /// The x of `1.5 x 10^3` is a sign.
    fn times(&mut self, run: &str) -> bool {
        let mut rest = self.chars[self.at..].iter().skip_while(|next| **next == ' ');
        let ten = rest.next() == Some(&'1') && rest.next() == Some(&'0');
        let raised = rest.find(|next| **next != ' ').is_some_and(|next| {
            *next == '^' || words::script(*next).is_some_and(|(mark, _)| mark == '^')
        });
        let found = matches!(run, "x" | "X") && self.after_value() && ten && raised;
        if found {
            self.push(Token::Op('*'));
        }
        found
    }

    fn word(&mut self, run: &str) -> Option<()> {
        if let Some(token) = words::known(run) {
            self.push(token);
            return Some(());
        }
        if run.len() < 4 || words::applied(run).is_some() {
            return self.product(run);
        }
        self.push(Token::Word(run.into()));
        Some(())
    }

    /// Letters that multiply, or a function of the last of them.
    fn product(&mut self, run: &str) -> Option<()> {
        let letters = match words::applied(run) {
            Some((function, argument)) => {
                self.push(Token::Function(function));
                argument
            }
            None => run,
        };
        for letter in letters.chars() {
            self.push(words::letter(letter));
        }
        Some(())
    }

    /// What follows a backslash.
    fn command(&mut self, nesting: usize) -> Option<()> {
        self.at += 1;
        if self.peek(0) == Some('\\') && (self.doubled || self.escaped_twice()) {
            self.at += 1;
        }
        let name = self.name(0);
        if name.is_empty() {
            return self.escaped();
        }
        // `\quadx` lost the space that ends the command.
        let name = match ["qquad", "quad"].iter().find(|space| name.starts_with(**space)) {
            Some(space) => (*space).to_string(),
            None => name,
        };
        self.at += name.len();
        self.named(&name, nesting)
    }

    /// The letters `ahead`.
    fn name(&self, ahead: usize) -> String {
        let rest = self.chars.iter().skip(self.at + ahead);
        rest.take_while(|next| next.is_ascii_alphabetic()).collect()
    }

    /// Whether this is a command whose backslash was doubled, rather than the end of a row.
    fn escaped_twice(&self) -> bool {
        let name = self.name(1);
        self.matrices == 0 && (words::command(&name).is_some() || name == "text" || name == "left")
    }

    /// A backslash before something that is no letter.
    fn escaped(&mut self) -> Option<()> {
        let Some(next) = self.peek(0) else { return Some(()) };
        self.at += 1;
        match next {
            '!' => {}
            ',' | ';' | ':' | ' ' | '>' | '\n' => self.spaced = true,
            '{' => self.push(Token::Open('S')),
            '}' => self.push(Token::Close('S')),
            '%' => self.push(Token::Op('%')),
            '$' | '#' => {}
            '&' => self.push(Token::And),
            '\\' => {
                self.push(Token::Row);
                self.row_space();
            }
            '|' => self.push(Token::Op('|')),
            '(' | ')' | '[' | ']' => self.spaced = true,
            _ => return None,
        }
        Some(())
    }

    /// The `[4pt]` behind the end of a row.
    fn row_space(&mut self) {
        let rest = self.chars[self.at..].iter().take(12);
        let Some(end) = rest.clone().position(|next| *next == ']') else { return };
        let length: String = rest.take(end).collect();
        let units = ["pt", "em", "ex", "mm", "cm", "in"];
        let size = units.iter().find_map(|unit| length.strip_prefix('[')?.strip_suffix(unit));
        let digit = |next: char| next.is_ascii_digit() || "-. ".contains(next);
        if size.is_some_and(|size| size.chars().all(digit)) {
            self.at += end + 1;
        }
    }

    fn named(&mut self, name: &str, nesting: usize) -> Option<()> {
        match name {
            "left" | "right" | "middle" | "big" | "Big" | "bigg" | "Bigg" | "bigl" | "bigr"
            | "Bigl" | "Bigr" | "biggl" | "biggr" => {
                if self.peek(0) == Some('.') {
                    self.at += 1;
                }
            }
            "quad" | "qquad" | "space" | "thinspace" | "displaystyle" | "textstyle" | "limits"
            | "nolimits" | "hfill" | "rm" | "bf" | "it" | "boxed" | "fbox" | "hspace"
            | "checkmark" | "blacksquare" | "qed" | "underline" => self.spaced = true,
            "text" | "textbf" | "textit" | "textrm" | "textnormal" | "mbox" | "hbox" | "textsf"
            | "texttt" | "mathrm" | "operatorname" | "mathbf" | "mathit" | "mathsf" | "mathtt"
            | "boldsymbol" | "bm" | "mathcal" | "emph" => self.text(nesting)?,
            "mathbb" => {
                let field = self.group()?;
                let reals = Token::Constant(Constant::Reals);
                self.push(if field == "R" { reals } else { Token::Symbol(field) });
            }
            "begin" | "end" => self.environment(name == "begin")?,
            "Rightarrow" | "implies" | "therefore" | "Longrightarrow" => self.out.clear(),
            "vspace" | "phantom" | "tag" | "label" | "color" | "textcolor" => drop(self.group()?),
            _ => match words::command(name) {
                Some(token) => self.push(token),
                // `\cotx` lost the space that ends the command.
                None if words::applied(name).is_some() => self.product(name)?,
                // A name nobody knows is a symbol, except that it may hide a meaning.
                None => self.push(Token::Symbol(name.into())),
            },
        }
        Some(())
    }

    /// The braced group here, or the one character that stands for it.
    fn group(&mut self) -> Option<String> {
        while self.peek(0) == Some(' ') {
            self.at += 1;
        }
        if self.peek(0) != Some('{') {
            let single = self.peek(0)?;
            self.at += 1;
            return Some(single.into());
        }
        let (mut depth, start) = (0_usize, self.at + 1);
        while let Some(next) = self.peek(0) {
            self.at += 1;
            match next {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(self.chars[start..self.at - 1].iter().collect());
            }
        }
        None
    }

    /// The words of `\text{…}`: a connective, a unit, or a number in upright letters.
    fn text(&mut self, nesting: usize) -> Option<()> {
        let content = self.group()?;
        let plain = content.trim().trim_matches([',', '.', ';']).trim().to_lowercase();
        if plain.is_empty() {
            self.spaced = true;
            return Some(());
        }
        let spaced = std::mem::replace(&mut self.spaced, true);
        if self.clock(&plain.replace('.', "")) {
            return Some(());
        }
        self.spaced = spaced;
        let (first, rest) = plain.split_once(' ').unwrap_or((&plain, ""));
        if self.scale(first) {
            if !rest.is_empty() {
                self.push(Token::Word(rest.into()));
            }
            return Some(());
        }
        // "The answer is" says nothing.
        if self.out.is_empty()
            && [" is", ":", " =", " equals"].iter().any(|end| plain.ends_with(end))
        {
            return Some(());
        }
        if let Some(token) =
            words::known(&plain).filter(|token| plain.len() > 1 && !self.names_amount(token))
        {
            self.push(token);
        } else if plain.len() == 1 && plain.is_ascii() && plain.starts_with(char::is_alphabetic) {
            let letter = content.trim().chars().next()?;
            let around = std::mem::replace(&mut self.upright, true);
            self.push(words::letter(letter));
            self.upright = around;
        } else if nesting == 0
            && (content.contains(|next: char| next.is_ascii_digit() || next == '(' || next == '\\'))
        {
            let inner: Vec<char> = content.chars().collect();
            let mut lexer = Lexer {
                chars: inner,
                at: 0,
                depth: self.depth,
                matrices: self.matrices,
                spaced: true,
                upright: true,
                reading: self.reading,
                doubled: self.doubled,
                out: std::mem::take(&mut self.out),
            };
            let read = lexer.all(1);
            self.out = lexer.out;
            read?;
        } else {
            self.push(Token::Word(content.trim().into()));
        }
        Some(())
    }

    /// "5 min" and "3 sec" are no functions, nor is "max" beside anything but a bracket.
    fn names_amount(&self, token: &Token) -> bool {
        let Token::Function(function) = token else { return false };
        let short = [Function::Min, Function::Max, Function::Sec, Function::Abs, Function::Floor];
        short.contains(function) && !matches!(self.peek(0), Some('(' | '{' | '_' | '\\'))
    }

    fn environment(&mut self, begin: bool) -> Option<()> {
        let name = self.group()?;
        match name.trim_end_matches('*') {
            "matrix" | "pmatrix" | "bmatrix" | "Bmatrix" | "smallmatrix" => {}
            "array" => {
                if begin && self.peek(0) == Some('{') {
                    self.group()?;
                }
            }
            "align" | "aligned" | "equation" | "gather" | "gathered" | "split" => return Some(()),
            _ => return None,
        }
        self.push(if begin { Token::Begin } else { Token::End });
        Some(())
    }

    /// A run of raised or lowered characters is one group: `10⁻³` is `10^{-3}`.
    fn script(&mut self, mark: char) -> Option<()> {
        self.at -= 1;
        let mut digits = String::new();
        self.push(Token::Op(mark));
        self.push(Token::Open('{'));
        loop {
            let next = self.peek(0).and_then(words::script).filter(|script| script.0 == mark);
            let plain = next.map(|script| script.1);
            if let Some(digit) = plain.filter(char::is_ascii_digit) {
                digits.push(digit);
            } else if !digits.is_empty() {
                let text = std::mem::take(&mut digits);
                self.push(Token::Number(Number::new(&text, 0)?, text));
            }
            match plain {
                None => break,
                Some(digit) if digit.is_ascii_digit() => {}
                Some(letter) if letter.is_alphabetic() => self.push(words::letter(letter)),
                Some(sign) => self.push(words::sign(sign)?),
            }
            self.at += 1;
        }
        self.push(Token::Close('{'));
        Some(())
    }

    /// A sign that is neither letter, digit nor backslash.
    fn sign(&mut self, next: char) -> Option<()> {
        self.at += 1;
        let follows = |lexer: &Self, sign| lexer.peek(0) == Some(sign);
        let (token, extra) = match next {
            '<' if follows(self, '=') => (Token::Sign(Sign::LessOrEqual), 1),
            '>' if follows(self, '=') => (Token::Sign(Sign::GreaterOrEqual), 1),
            '!' if follows(self, '=') => (Token::Sign(Sign::NotEqual), 1),
            '+' if self.chars[self.at..].starts_with(&['/', '-']) => (Token::Op('±'), 2),
            '=' if follows(self, '=') => (Token::Sign(Sign::Equal), 1),
            '*' if follows(self, '*') => (Token::Op('^'), 1),
            ':' if follows(self, '=') => (Token::Sign(Sign::Equal), 1),
            '$' | '€' | '£' | '¥' | '~' | '\u{200b}' | '`' => {
                self.spaced |= next == '~';
                return Some(());
            }
            _ => (words::sign(next)?, 0),
        };
        self.at += extra;
        if let Some(script) = words::script(next) {
            self.script(script.0)?;
        } else if let Some(degree) = words::root(next) {
            self.push(Token::Sqrt);
            self.push(Token::Open('['));
            self.push(Token::Number(Number::new(degree, 0)?, degree.into()));
            self.push(Token::Close('['));
        } else if let Some((num, den)) = words::vulgar(next) {
            for (i, part) in [num, den].iter().enumerate() {
                if i == 0 {
                    self.push(Token::Frac);
                }
                self.push(Token::Open('{'));
                self.push(Token::Number(Number::new(part, 0)?, (*part).into()));
                self.push(Token::Close('{'));
            }
        } else {
            self.push(token);
        }
        Some(())
    }
}
