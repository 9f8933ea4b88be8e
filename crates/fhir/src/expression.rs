//! FHIRPath, as far as the search parameters of R4 use it: paths, `|`, `as`, `ofType`, `is`,
//! `where()`, `exists()`, `empty()`, `not()`, `first()`, `last()`, `count()`, `hasValue()`,
//! `resolve()`, `extension(url)`, an index, `=`, `!=`, `and`, `or`, `xor`, `implies`, `%resource`.
//! Anything else is refused when it is compiled.
//!
//! Two liberties, both usual in search: `as` of many items filters them, as `ofType` does; and
//! `resolve()` fetches nothing, it knows contained resources and the type that a reference tells.

mod evaluate;
mod lexer;
mod parser;

use crate::Node;
use crate::definitions::{Definitions, TypeIndex, definitions};
use evaluate::Value;
use parser::{Expr, Start};

/// A compiled FHIRPath expression.
#[derive(Clone, Debug)]
pub struct Expression {
    expr: Expr,
}

/// The text is not an expression that is offered here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, at byte {at} of the expression")]
pub struct ExpressionError {
    at: usize,
    reason: &'static str,
}

/// One result of an expression.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// An element of the resource.
    Node(Node<'a>),
    /// A computed value.
    Boolean(bool),
    /// A computed value.
    Integer(i64),
    /// A literal, digit by digit.
    Decimal(Box<str>),
    /// A literal.
    String(Box<str>),
}

impl Expression {
    /// Compiles.
    ///
    /// # Errors
    /// Where it stopped, and why: no FHIRPath, an element or type that R4 does not have, a function
    /// that is not offered, nested deeper than 32, or
    /// longer than 1,024 words.
    pub fn compile(text: &str) -> Result<Self, ExpressionError> {
        Self::compile_with(definitions(), text)
    }

    pub(crate) fn compile_with(
        definitions: &Definitions,
        text: &str,
    ) -> Result<Self, ExpressionError> {
        Ok(Self { expr: parser::parse(definitions, text)? })
    }

    /// The same for resources of one type: arms of a union that begin with another are left out.
    pub(crate) fn for_type(&self, definitions: &Definitions, ty: TypeIndex) -> Self {
        let applies = |arm: &Expr| head(arm).is_none_or(|head| definitions.inherits(ty, head));
        let nothing = Expr::Path { start: Start::Nothing, steps: Vec::new() };
        let expr = match &self.expr {
            Expr::Union(arms) => {
                let mut arms: Vec<Expr> = arms.iter().filter(|arm| applies(arm)).cloned().collect();
                match arms.len() {
                    0 => nothing,
                    1 => arms.swap_remove(0),
                    _ => Expr::Union(arms),
                }
            }
            whole if applies(whole) => whole.clone(),
            _ => nothing,
        };
        Self { expr }
    }

    /// Evaluates from `node`, which is a resource's root for a search parameter and each of the
    /// composite's own values for a component. Never fails: what does not apply gives nothing.
    #[must_use]
    pub fn evaluate<'a>(&self, node: Node<'a>) -> Vec<Item<'a>> {
        let mut values = Vec::new();
        evaluate::evaluate(&self.expr, &Value::Node(node), &mut values);
        values.into_iter().filter_map(Value::item).collect()
    }
}

/// The type that an expression begins with.
fn head(expr: &Expr) -> Option<TypeIndex> {
    match expr {
        Expr::Path { start: Start::Typed(ty), .. } => Some(*ty),
        Expr::Path { start: Start::Of(inner), .. } => head(inner),
        Expr::Path { .. } | Expr::Union(_) => None,
        Expr::Whole(_, of) | Expr::Is(of, _) | Expr::Binary(_, of, _) => head(of),
    }
}
