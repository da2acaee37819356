//! Letters: names that multiply, or functions of what stands in brackets behind them.

use super::{Expr, Parser, Token, collect};

impl Parser {
    /// `f(x)` for the letters that functions have; other letters multiply.
    pub(super) fn symbol(&mut self, name: String) -> Expr {
        if name == "P" && self.peek() == Some(&Token::Open('(')) && self.conditional() {
            let start = self.at;
            self.at += 1;
            if let Some(event) = self.nested(Self::event_given) {
                return event;
            }
            self.at = start;
        }
        if !matches!(name.as_str(), "f" | "g" | "h") || self.peek() != Some(&Token::Open('(')) {
            return Expr::Symbol(name);
        }
        let start = self.at;
        self.at += 1;
        match self.nested(|parser| collect::bracket(parser, '(')) {
            Some(argument) => Expr::Opaque(name, vec![argument]),
            None => {
                self.at = start;
                Expr::Symbol(name)
            }
        }
    }

    /// Whether one `|` stands in the bracket that opens here, as in `P(A | B)`.
    fn conditional(&self) -> bool {
        let (mut depth, mut bars) = (0_usize, 0);
        for lexed in &self.tokens[self.at..] {
            match lexed.token {
                Token::Open(_) => depth += 1,
                Token::Close(_) => depth = depth.saturating_sub(1),
                Token::Op('|') if depth == 1 => bars += 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        bars == 1
    }

    /// `A | B)` behind `P(`.
    fn event_given(&mut self) -> Option<Expr> {
        self.bars += 1;
        let event = self.relation();
        self.bars -= 1;
        let event = event?;
        let given = self.op('|').then(|| self.relation())??;
        self.eat(&Token::Close('(')).then(|| Expr::Opaque("P|".into(), vec![event, given]))
    }
}
