//! Reading collections: lists, tuples, sets, intervals, matrices.

use super::{
    compare::constant,
    expr::{Constant, Expr, Function, Interval, Sign},
    lex::Token,
    parse::Parser,
};

/// A whole answer: statements apart by semicolons, by "and", "or", or by commas.
pub(super) fn answers(parser: &mut Parser) -> Option<Expr> {
    let mut groups = vec![list(parser)?];
    while parser.op(';') {
        if parser.peek().is_none() {
            break;
        }
        groups.push(list(parser)?);
    }
    if groups.len() == 1 {
        return groups.pop();
    }
    Some(Expr::List(groups.into_iter().map(in_order).collect()))
}

/// A list inside of a list keeps its order: `x=1, y=2; x=2, y=1`.
fn in_order(expr: Expr) -> Expr {
    match expr {
        Expr::List(parts) => Expr::Tuple(parts),
        other => other,
    }
}

/// Statements apart by commas and connectives.
fn list(parser: &mut Parser) -> Option<Expr> {
    let mut groups = vec![vec![parser.relation()?]];
    let (mut ands, mut ors) = (false, false);
    loop {
        let comma = parser.op(',');
        let or = parser.eat(&Token::Or);
        let and = or || parser.eat(&Token::And);
        if !comma && !and {
            break;
        }
        if matches!(parser.peek(), None | Some(Token::Op(';' | ',') | Token::Close(_))) {
            break;
        }
        ands |= and && !or;
        ors |= or;
        let statement = parser.relation()?;
        if and && !comma {
            groups.push(vec![statement]);
        } else {
            groups.last_mut()?.push(statement);
        }
    }
    let size = groups[0].len();
    if groups.len() > 1 && size > 1 && groups.iter().all(|group| group.len() == size) {
        return Some(Expr::List(groups.into_iter().map(Expr::Tuple).collect()));
    }
    let parts: Vec<Expr> = groups.into_iter().flatten().collect();
    Some(match (ands, ors) {
        (true, false) if conditions(&parts) => Expr::Intersection(parts),
        (false, true) if conditions(&parts) => Expr::Union(parts),
        _ => flat(parts),
    })
}

/// More conditions are no set: the work grows with the square.
const MAX_CONDITIONS: usize = 32;

/// Whether all are inequalities for one name, or values of it beside such.
pub(super) fn conditions(parts: &[Expr]) -> bool {
    let names: Option<Vec<&str>> = parts.iter().map(condition).collect();
    let inequality = |part: &Expr| match part {
        Expr::Relation(_, signs) => !signs.contains(&Sign::Equal),
        _ => false,
    };
    (2..=MAX_CONDITIONS).contains(&parts.len())
        && names.is_some_and(|names| names.iter().all(|name| *name == names[0]))
        && parts.iter().any(inequality)
}

/// The name that `x < 2`, `1 ≤ x < 3` or `x = 2` says something of.
fn condition(expr: &Expr) -> Option<&str> {
    let Expr::Relation(sides, signs) = expr else { return None };
    let name = |side: &Expr| matches!(side, Expr::Symbol(_));
    let fits = |side: &Expr| name(side) || constant(side) || endless(side);
    if signs.contains(&Sign::In) || !sides.iter().all(fits) {
        return None;
    }
    let mut names = sides.iter().filter(|side| name(side));
    match (names.next(), names.next()) {
        (Some(Expr::Symbol(name)), None) => Some(name),
        _ => None,
    }
}

/// One thing, or a list of all things in lists.
pub(super) fn flat(mut parts: Vec<Expr>) -> Expr {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    let spread = parts.into_iter().flat_map(|part| match part {
        Expr::List(inner) => inner,
        other => vec![other],
    });
    Expr::List(spread.collect())
}

/// What follows an opening bracket, to its close.
pub(super) fn bracket(parser: &mut Parser, open: char) -> Option<Expr> {
    match open {
        '(' | '[' | ']' => round_or_square(parser, open),
        '{' => {
            if parser.eat(&Token::Close('{')) {
                return Some(Expr::Word(String::new()));
            }
            parser.braces += 1;
            let inner = answers(parser);
            parser.braces -= 1;
            let inner = inner?;
            if parser.eat(&Token::Choose) {
                let below = parser.sum()?;
                let choose = Expr::Binomial(inner.into(), below.into());
                return parser.eat(&Token::Close('{')).then_some(choose);
            }
            parser.eat(&Token::Close('{')).then_some(inner)
        }
        'S' => set(parser),
        '<' => {
            let parts = items(parser)?;
            parser.eat(&Token::Close('<')).then_some(Expr::Tuple(parts))
        }
        'F' | 'C' => {
            let inner = parser.sum()?;
            let function = if open == 'F' { Function::Floor } else { Function::Ceil };
            parser.eat(&Token::Close(open)).then(|| Expr::Function(function, inner.into()))
        }
        _ => None,
    }
}

fn items(parser: &mut Parser) -> Option<Vec<Expr>> {
    let mut parts = vec![parser.relation()?];
    // `(2; 5)` where a comma is the decimal point.
    let semicolons = parser.peek() == Some(&Token::Op(';'));
    let between = if semicolons { ';' } else { ',' };
    while parser.op(between) || parser.joined() {
        parts.push(parser.relation()?);
    }
    Some(parts)
}

fn round_or_square(parser: &mut Parser, open: char) -> Option<Expr> {
    if parser.eat(&Token::Close(open)) {
        return Some(Expr::Tuple(Vec::new()));
    }
    let mut parts = items(parser)?;
    let close = closing(parser)?;
    if parts.len() == 1 {
        let pair = matches!((open, close), ('(', ')') | ('[', ']'));
        return if pair { parts.pop() } else { None };
    }
    let round = open == '(' && close == ')';
    if parts.len() == 2 && (!round || parts.iter().any(endless)) {
        let (high, low) = (parts.pop()?, parts.pop()?);
        let closed = [open == '[', close == ']'];
        return Some(Expr::Interval(Interval { low, high, closed }.into()));
    }
    Some(Expr::Tuple(parts))
}

/// The sign that ends a bracket: `)`, `]`, or `[` as in `[0, 1[`.
fn closing(parser: &mut Parser) -> Option<char> {
    let closes = [(Token::Close('('), ')'), (Token::Close('['), ']'), (Token::Open('['), '[')];
    closes.into_iter().find(|(token, _)| parser.eat(token)).map(|(_, sign)| sign)
}

fn endless(expr: &Expr) -> bool {
    match expr {
        Expr::Constant(Constant::Infinity) => true,
        Expr::Negative(inner) => endless(inner),
        _ => false,
    }
}

/// `{1, 2}`, or the condition of `{x | x > 3}`.
fn set(parser: &mut Parser) -> Option<Expr> {
    if parser.eat(&Token::Close('S')) {
        return Some(Expr::Constant(Constant::EmptySet));
    }
    // The first `|` parts a variable from its condition; it opens nothing.
    parser.bars += 1;
    let first = parser.relation();
    parser.bars -= 1;
    let mut parts = vec![first?];
    if parser.op('|') || parser.op(':') {
        let condition = parser.relation()?;
        return parser.eat(&Token::Close('S')).then_some(condition);
    }
    while parser.op(',') || parser.op(';') || parser.joined() {
        parts.push(parser.relation()?);
    }
    parser.eat(&Token::Close('S')).then_some(Expr::Set(parts))
}

/// Rows and columns, after `\begin`.
pub(super) fn matrix(parser: &mut Parser) -> Option<Expr> {
    let mut rows = vec![Vec::new()];
    loop {
        if parser.eat(&Token::End) {
            break;
        }
        if parser.eat(&Token::Row) {
            rows.push(Vec::new());
            continue;
        }
        rows.last_mut()?.push(parser.relation()?);
        let next = matches!(parser.peek(), Some(Token::Row | Token::End));
        if !parser.op('&') && !next {
            return None;
        }
    }
    if rows.last().is_some_and(Vec::is_empty) {
        rows.pop();
    }
    let width = rows.first()?.len();
    rows.iter().all(|row| row.len() == width).then_some(Expr::Matrix(rows))
}
