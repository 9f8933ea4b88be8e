//! From words to a tree (<https://hl7.org/fhirpath/N1/#operator-precedence>), with names of
//! elements and types looked up.

use super::ExpressionError;
use super::lexer::{Token, tokens};
use crate::artifact::TypeKind;
use crate::definitions::{Definitions, NameId, TypeIndex};

/// Parentheses and functions inside one another at most.
const DEPTH_MAX: usize = 32;
/// Words at most: a chain of functions or operators nests as deep as it is long.
const TOKENS_MAX: usize = 1024;

/// An expression.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    /// Steps from each item of a start, taken one by one.
    Path { start: Start, steps: Vec<Step> },
    /// `a | b`.
    Union(Vec<Expr>),
    /// A function of a whole collection.
    Whole(Whole, Box<Expr>),
    /// `a is Type`.
    Is(Box<Expr>, TypeIndex),
    /// `a = b`.
    Binary(Operator, Box<Expr>, Box<Expr>),
}

/// Where a path begins.
#[derive(Clone, Debug)]
pub(super) enum Start {
    /// The item at hand.
    Focus,
    /// The item at hand, if it is of this type.
    Typed(TypeIndex),
    /// `%resource`.
    Resource,
    /// A literal.
    Literal(Literal),
    /// `{}`.
    Nothing,
    /// Whatever an expression gives.
    Of(Box<Expr>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Boolean(bool),
    Integer(i64),
    Decimal(Box<str>),
    String(Box<str>),
}

/// What happens to an item without regard to the others.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Child(NameId),
    OfType(TypeIndex),
    Where(Box<Expr>),
    Resolve,
    Extension(Box<str>),
}

/// What needs a whole collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    At(usize),
    First,
    Last,
    Exists,
    Empty,
    Count,
    Not,
    HasValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    And,
    Or,
    Xor,
    Implies,
}

pub(super) fn parse(definitions: &Definitions, text: &str) -> Result<Expr, ExpressionError> {
    let tokens = tokens(text)?;
    if let Some((at, _)) = tokens.get(TOKENS_MAX) {
        return Err(ExpressionError { at: *at, reason: "longer than 1,024 words" });
    }
    let mut parser = Parser { definitions, tokens, at: 0, end: text.len(), depth: 0 };
    let expr = parser.implies()?;
    match parser.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.error("something after the end")),
    }
}

struct Parser<'t> {
    definitions: &'t Definitions,
    tokens: Vec<(usize, Token<'t>)>,
    at: usize,
    end: usize,
    depth: usize,
}

type Parsed = Result<Expr, ExpressionError>;

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&Token<'t>> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }
    fn error(&self, reason: &'static str) -> ExpressionError {
        ExpressionError { at: self.tokens.get(self.at).map_or(self.end, |(at, _)| *at), reason }
    }
    fn take(&mut self, sign: &'static str) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }
    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(&Token::Name(word));
        self.at += usize::from(found);
        found
    }
    fn expect(&mut self, sign: &'static str, reason: &'static str) -> Result<(), ExpressionError> {
        if self.take(sign) { Ok(()) } else { Err(self.error(reason)) }
    }
    fn name(&mut self) -> Result<&'t str, ExpressionError> {
        let Some(&Token::Name(name)) = self.peek() else { return Err(self.error("a name is due")) };
        self.at += 1;
        Ok(name)
    }

    fn implies(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("nested deeper than 32"));
        }
        let mut left = self.or()?;
        while self.take_word("implies") {
            left = binary(Operator::Implies, left, self.or()?);
        }
        self.depth -= 1;
        Ok(left)
    }
    fn or(&mut self) -> Parsed {
        let mut left = self.and()?;
        loop {
            let operator = if self.take_word("or") {
                Operator::Or
            } else if self.take_word("xor") {
                Operator::Xor
            } else {
                return Ok(left);
            };
            left = binary(operator, left, self.and()?);
        }
    }
    fn and(&mut self) -> Parsed {
        let mut left = self.equality()?;
        while self.take_word("and") {
            left = binary(Operator::And, left, self.equality()?);
        }
        Ok(left)
    }
    fn equality(&mut self) -> Parsed {
        let mut left = self.union()?;
        loop {
            let operator = if self.take("=") {
                Operator::Equal
            } else if self.take("!=") {
                Operator::NotEqual
            } else {
                return Ok(left);
            };
            left = binary(operator, left, self.union()?);
        }
    }
    fn union(&mut self) -> Parsed {
        let first = self.typed()?;
        let mut arms = vec![first];
        while self.take("|") {
            arms.push(self.typed()?);
        }
        Ok(if arms.len() == 1 { arms.swap_remove(0) } else { Expr::Union(arms) })
    }
    fn typed(&mut self) -> Parsed {
        let mut left = self.postfix()?;
        loop {
            if self.take_word("as") {
                let ty = self.type_name()?;
                left = step(left, Step::OfType(ty));
            } else if self.take_word("is") {
                left = Expr::Is(Box::new(left), self.type_name()?);
            } else {
                return Ok(left);
            }
        }
    }

    /// `FHIR.Quantity`, `Quantity`; `DateTime` is `dateTime`.
    fn type_name(&mut self) -> Result<TypeIndex, ExpressionError> {
        let mut name = self.name()?;
        if (name == "FHIR" || name == "System") && self.take(".") {
            name = self.name()?;
        }
        let found = self.definitions.type_index(name).or_else(|| {
            let (head, tail) = name.split_at_checked(1)?;
            self.definitions.type_index(&format!("{}{tail}", head.to_ascii_lowercase()))
        });
        found.ok_or_else(|| {
            self.at -= 1;
            self.error("no type of this name")
        })
    }

    fn postfix(&mut self) -> Parsed {
        let mut left = self.term()?;
        loop {
            if self.take(".") {
                left = self.invocation(left)?;
            } else if self.take("[") {
                let index = match self.peek() {
                    Some(Token::Number(digits)) => digits.parse().ok(),
                    _ => None,
                };
                let index = index.ok_or_else(|| self.error("an index is due"))?;
                self.at += 1;
                self.expect("]", "']' is due")?;
                left = Expr::Whole(Whole::At(index), Box::new(left));
            } else {
                return Ok(left);
            }
        }
    }

    fn term(&mut self) -> Parsed {
        let start = match self.peek().cloned() {
            Some(Token::String(text)) => Start::Literal(Literal::String(text.into())),
            Some(Token::Number(digits)) => Start::Literal(match digits.parse() {
                Ok(integer) => Literal::Integer(integer),
                Err(_) => Literal::Decimal(digits.into()),
            }),
            Some(Token::External("resource" | "rootResource" | "context")) => Start::Resource,
            Some(Token::Special("this")) => Start::Focus,
            Some(Token::Name("true")) => Start::Literal(Literal::Boolean(true)),
            Some(Token::Name("false")) => Start::Literal(Literal::Boolean(false)),
            Some(Token::Sign("(")) => {
                self.at += 1;
                let inner = self.implies()?;
                self.expect(")", "')' is due")?;
                return Ok(inner);
            }
            Some(Token::Sign("{")) => {
                self.at += 1;
                self.expect("}", "'}' is due")?;
                return Ok(path(Start::Nothing));
            }
            Some(Token::Name(name)) => match self.head_type(name) {
                Some(ty) => Start::Typed(ty),
                None => return self.invocation(path(Start::Focus)),
            },
            _ => return Err(self.error("a term is due")),
        };
        self.at += 1;
        Ok(path(start))
    }

    /// A type at the head of a path: `Patient.name`. Primitive types are not meant.
    fn head_type(&self, name: &str) -> Option<TypeIndex> {
        if self.tokens.get(self.at + 1).is_some_and(|(_, next)| *next == Token::Sign("(")) {
            return None;
        }
        let ty = self.definitions.type_index(name)?;
        (self.definitions.type_def(ty).kind != TypeKind::Primitive).then_some(ty)
    }

    /// An element or a function, of `left`.
    fn invocation(&mut self, left: Expr) -> Parsed {
        let name = self.name()?;
        if !self.take("(") {
            let found = self.definitions.names().find(name);
            return match found {
                Some(name) => Ok(step(left, Step::Child(name))),
                None => {
                    self.at -= 1;
                    Err(self.error("no element of this name"))
                }
            };
        }
        let made = match name {
            "where" => step(left, Step::Where(Box::new(self.implies()?))),
            "as" | "ofType" => {
                let ty = self.type_name()?;
                step(left, Step::OfType(ty))
            }
            "is" => Expr::Is(Box::new(left), self.type_name()?),
            "resolve" => step(left, Step::Resolve),
            "extension" => match self.peek().cloned() {
                Some(Token::String(url)) => {
                    self.at += 1;
                    step(left, Step::Extension(url.into()))
                }
                _ => return Err(self.error("a literal URL is due")),
            },
            "exists" if self.peek() != Some(&Token::Sign(")")) => {
                let criteria = Step::Where(Box::new(self.implies()?));
                whole(Whole::Exists, step(left, criteria))
            }
            "exists" => whole(Whole::Exists, left),
            "empty" => whole(Whole::Empty, left),
            "not" => whole(Whole::Not, left),
            "first" => whole(Whole::First, left),
            "last" => whole(Whole::Last, left),
            "count" => whole(Whole::Count, left),
            "hasValue" => whole(Whole::HasValue, left),
            _ => {
                self.at -= 2;
                return Err(self.error("no function that is offered"));
            }
        };
        self.expect(")", "')' is due")?;
        Ok(made)
    }
}

fn path(start: Start) -> Expr {
    Expr::Path { start, steps: Vec::new() }
}

fn whole(what: Whole, of: Expr) -> Expr {
    Expr::Whole(what, Box::new(of))
}

fn binary(operator: Operator, left: Expr, right: Expr) -> Expr {
    Expr::Binary(operator, Box::new(left), Box::new(right))
}

fn step(left: Expr, step: Step) -> Expr {
    match left {
        Expr::Path { start, mut steps } => {
            steps.push(step);
            Expr::Path { start, steps }
        }
        other => Expr::Path { start: Start::Of(Box::new(other)), steps: vec![step] },
    }
}
