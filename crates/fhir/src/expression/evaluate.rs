//! Evaluation. Paths are walked depth first and item by item, without collections in between.

use super::parser::{Expr, Literal, Operator, Start, Step, Whole};
use crate::definitions::{TypeIndex, definitions};
use crate::node::concrete;
use crate::template::write_value;
use crate::{Item, Node};

/// An item on the way.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Node(Node<'a>),
    Literal(Literal),
    /// What a reference points to, of which no more than the type is known.
    Elsewhere(TypeIndex),
}

impl<'a> Value<'a> {
    pub(super) fn item(self) -> Option<Item<'a>> {
        Some(match self {
            Self::Node(node) => Item::Node(node),
            Self::Literal(Literal::Boolean(value)) => Item::Boolean(value),
            Self::Literal(Literal::Integer(value)) => Item::Integer(value),
            Self::Literal(Literal::Decimal(text)) => Item::Decimal(text),
            Self::Literal(Literal::String(text)) => Item::String(text),
            Self::Elsewhere(_) => return None,
        })
    }
    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Node(node) => node.boolean(),
            Self::Literal(Literal::Boolean(value)) => Some(*value),
            _ => None,
        }
    }
    fn is(&self, ty: TypeIndex) -> bool {
        let definitions = definitions();
        let own = match self {
            Self::Node(node) => node.type_index(),
            Self::Elsewhere(own) => *own,
            Self::Literal(literal) => {
                let name = match literal {
                    Literal::Boolean(_) => "boolean",
                    Literal::Integer(_) => "integer",
                    Literal::Decimal(_) => "decimal",
                    Literal::String(_) => "string",
                };
                return definitions.type_index(name) == Some(ty);
            }
        };
        definitions.inherits(own, ty)
    }
}

pub(super) fn of_boolean<'a>(value: bool) -> Value<'a> {
    Value::Literal(Literal::Boolean(value))
}

/// Puts what `expr` gives for `focus` at the end of `out`.
pub(super) fn evaluate<'a>(expr: &Expr, focus: &Value<'a>, out: &mut Vec<Value<'a>>) {
    match expr {
        Expr::Path { start, steps } => walk_from(start, steps, focus, out),
        Expr::Union(arms) => {
            for arm in arms {
                evaluate(arm, focus, out);
            }
        }
        Expr::Whole(what, of) => whole(*what, of, focus, out),
        Expr::Is(of, ty) => {
            if let Some(value) = single(of, focus) {
                out.push(of_boolean(value.is(*ty)));
            }
        }
        Expr::Binary(operator, left, right) => {
            let result = match operator {
                Operator::Equal => equal(left, right, focus),
                Operator::NotEqual => equal(left, right, focus).map(|same| !same),
                _ => logic(*operator, truth(left, focus), || truth(right, focus)),
            };
            out.extend(result.map(of_boolean));
        }
    }
}

fn walk_from<'a>(start: &Start, steps: &[Step], focus: &Value<'a>, out: &mut Vec<Value<'a>>) {
    match start {
        Start::Focus => walk(steps, focus.clone(), out),
        Start::Typed(ty) => {
            if focus.is(*ty) {
                walk(steps, focus.clone(), out);
            }
        }
        Start::Resource => {
            if let Some(root) = root_of(focus) {
                walk(steps, Value::Node(root), out);
            }
        }
        Start::Literal(literal) => walk(steps, Value::Literal(literal.clone()), out),
        Start::Nothing => {}
        Start::Of(inner) => {
            for value in collect(inner, focus) {
                walk(steps, value, out);
            }
        }
    }
}

fn walk<'a>(steps: &[Step], value: Value<'a>, out: &mut Vec<Value<'a>>) {
    let Some((step, rest)) = steps.split_first() else {
        out.push(value);
        return;
    };
    match (step, &value) {
        (Step::Child(name), Value::Node(node)) => {
            for child in node.named(*name) {
                walk(rest, Value::Node(child), out);
            }
        }
        (Step::OfType(ty), _) => {
            if value.is(*ty) {
                walk(rest, value, out);
            }
        }
        (Step::Where(criteria), _) => {
            if truth(criteria, &value) == Some(true) {
                walk(rest, value, out);
            }
        }
        (Step::Resolve, Value::Node(node)) => {
            if let Some(target) = resolve(*node) {
                walk(rest, target, out);
            }
        }
        (Step::Extension(url), Value::Node(node)) => {
            for extension in node.named(definitions().known().extension) {
                if extension.child("url").and_then(Node::text) == Some(url) {
                    walk(rest, Value::Node(extension), out);
                }
            }
        }
        (Step::Child(_) | Step::Resolve | Step::Extension(_), _) => {}
    }
}

fn collect<'a>(expr: &Expr, focus: &Value<'a>) -> Vec<Value<'a>> {
    let mut out = Vec::new();
    evaluate(expr, focus, &mut out);
    out
}

/// The item of a collection that has just one.
fn single<'a>(expr: &Expr, focus: &Value<'a>) -> Option<Value<'a>> {
    let mut values = collect(expr, focus);
    if values.len() == 1 { values.pop() } else { None }
}

/// A collection as a condition: an item that is no boolean counts as true, several as nothing.
fn truth(expr: &Expr, focus: &Value<'_>) -> Option<bool> {
    single(expr, focus).map(|value| value.boolean().unwrap_or(true))
}

fn whole<'a>(what: Whole, of: &Expr, focus: &Value<'a>, out: &mut Vec<Value<'a>>) {
    let mut values = collect(of, focus);
    let result = match what {
        Whole::At(index) => {
            out.extend(values.into_iter().nth(index));
            return;
        }
        Whole::First => {
            out.extend(values.into_iter().next());
            return;
        }
        Whole::Last => {
            out.extend(values.pop());
            return;
        }
        Whole::Count => {
            let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
            out.push(Value::Literal(Literal::Integer(count)));
            return;
        }
        Whole::Exists => Some(!values.is_empty()),
        Whole::Empty => Some(values.is_empty()),
        Whole::Not => truth(of, focus).map(|truth| !truth),
        Whole::HasValue => Some(match &values[..] {
            [Value::Node(node)] => node.text().is_some(),
            [Value::Literal(_)] => true,
            _ => false,
        }),
    };
    out.extend(result.map(of_boolean));
}

/// Three-valued (<https://hl7.org/fhirpath/N1/#boolean-logic>).
fn logic(
    operator: Operator,
    left: Option<bool>,
    right: impl FnOnce() -> Option<bool>,
) -> Option<bool> {
    match (operator, left) {
        (Operator::And, Some(false)) => Some(false),
        (Operator::And, Some(true)) => right(),
        (Operator::And, None) => right().filter(|right| !right),
        (Operator::Or, Some(true)) => Some(true),
        (Operator::Or, Some(false)) => right(),
        (Operator::Or, None) => right().filter(|right| *right),
        (Operator::Xor, left) => Some(left? ^ right()?),
        (Operator::Implies, Some(false)) => Some(true),
        (Operator::Implies, Some(true)) => right(),
        (Operator::Implies, None) => right().filter(|right| *right),
        (Operator::Equal | Operator::NotEqual, _) => None,
    }
}

/// `None` when either side is empty.
fn equal(left: &Expr, right: &Expr, focus: &Value<'_>) -> Option<bool> {
    let left = collect(left, focus);
    let right = collect(right, focus);
    if left.is_empty() || right.is_empty() {
        return None;
    }
    let pairs = left.iter().zip(&right);
    Some(left.len() == right.len() && pairs.into_iter().all(|(left, right)| same(left, right)))
}

fn same(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (comparable(left), comparable(right)) {
        (Comparable::Boolean(left), Comparable::Boolean(right)) => left == right,
        (Comparable::Number(left), Comparable::Number(right)) => same_number(&left, &right),
        (Comparable::Text(left), Comparable::Text(right)) => left == right,
        (Comparable::Json(left), Comparable::Json(right)) => left == right,
        _ => false,
    }
}

enum Comparable {
    Boolean(bool),
    Number(String),
    Text(String),
    Json(Vec<u8>),
    Unknown,
}

fn comparable(value: &Value<'_>) -> Comparable {
    match value {
        Value::Literal(Literal::Boolean(value)) => Comparable::Boolean(*value),
        Value::Literal(Literal::Integer(value)) => Comparable::Number(value.to_string()),
        Value::Literal(Literal::Decimal(text)) => Comparable::Number(text.to_string()),
        Value::Literal(Literal::String(text)) => Comparable::Text(text.to_string()),
        Value::Elsewhere(_) => Comparable::Unknown,
        Value::Node(node) => match (node.boolean(), node.text(), node.value_record()) {
            (Some(value), ..) => Comparable::Boolean(value),
            (_, Some(text), _) if node.is_number() => Comparable::Number(text.to_owned()),
            (_, Some(text), _) => Comparable::Text(text.to_owned()),
            (_, _, Some(at)) => {
                let mut json = Vec::new();
                write_value(node.document(), at, &mut json);
                Comparable::Json(json)
            }
            _ => Comparable::Unknown,
        },
    }
}

/// Compares plain decimals without their trailing zeros; with an exponent, the texts.
fn same_number(left: &str, right: &str) -> bool {
    let plain = |text: &str| match text.contains('.') && !text.contains(['e', 'E']) {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    plain(left) == plain(right)
}

/// The resource that the item stands in, from outside.
fn root_of<'a>(focus: &Value<'a>) -> Option<Node<'a>> {
    let Value::Node(node) = focus else { return None };
    let document = node.document();
    let ty = concrete(document, 0, definitions().type_index("Resource")?);
    Some(Node::new(document, 0, ty))
}

/// What a Reference, canonical or uri points to: a contained resource, or the type that the text
/// tells. Nothing is fetched.
fn resolve(node: Node<'_>) -> Option<Value<'_>> {
    let definitions = definitions();
    let text = match node.child("reference") {
        Some(reference) => reference.text(),
        None => node.text(),
    };
    if let Some(id) = text.and_then(|text| text.strip_prefix('#')) {
        let root = root_of(&Value::Node(node))?;
        if id.is_empty() {
            return Some(Value::Node(root));
        }
        let contained = root.named(definitions.known().contained);
        let mut named =
            contained.filter(|resource| resource.child("id").and_then(Node::text) == Some(id));
        return named.next().map(Value::Node);
    }
    let told = || node.child("type").and_then(Node::text);
    let name = text.and_then(type_in).or_else(told)?;
    definitions.type_index(name).map(Value::Elsewhere)
}

/// The type in `Patient/1`, `https://x.org/fhir/Patient/1/_history/2` or `Patient?identifier=1`.
fn type_in(reference: &str) -> Option<&str> {
    let known = |name: &&str| crate::TypeId::from_name(name).is_some();
    if let Some((head, _)) = reference.split_once('?') {
        return head.rsplit('/').next().filter(known);
    }
    let mut parts = reference.rsplit('/');
    let (last, before) = (parts.next()?, parts.next()?);
    let name = if before == "_history" {
        parts.next()?;
        parts.next()?
    } else {
        let _ = last;
        before
    };
    Some(name).filter(known)
}
