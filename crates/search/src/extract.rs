//! From a resource to its indexed values: one walk for the simple paths of all parameters, and an
//! evaluation for each of the others.

use crate::ParamId;
use crate::arm::{Arm, Step};
use crate::decimal::Decimal;
use crate::interval::Interval;
use crate::param::{Catalogue, Parameter, Source};
use crate::system::System;
use crate::value::{Extracted, Quantity, Reference, Span, Target, Token, Value};
use fhir::{Component, Item, Node, ParamKind, ParamNumber, Resource, TypeId, definitions};
use std::sync::OnceLock;

/// All indexed values of a resource, by the rules of
/// <https://hl7.org/fhir/R4/search.html>. What stands in contained resources is not indexed.
#[must_use]
pub fn extract(resource: &Resource) -> Extracted {
    let plan = Plan::of(resource.type_id());
    let mut out = Extracted::with_room(12);
    let root = resource.root();
    walk(&plan.root, root, &mut out);
    for (take, expression) in &plan.evaluated {
        for item in expression.evaluate(root) {
            take.item(&item, &mut out);
        }
    }
    out
}

/// What to do at one place of a resource.
#[derive(Default)]
struct Branch {
    steps: Vec<(Step, Branch)>,
    takes: Vec<Take>,
}

/// Which values to take from an element.
#[derive(Clone)]
struct Take {
    param: ParamId,
    kind: ParamKind,
    refers_to: Option<TypeId>,
    /// It is a family name: its words are found on their own too.
    family: bool,
    composite: Option<(&'static [Component], Vec<ParamKind>)>,
}

/// What to take from resources of one type.
struct Plan {
    root: Branch,
    evaluated: Vec<(Take, &'static fhir::Expression)>,
}

impl Plan {
    fn of(type_id: TypeId) -> &'static Self {
        static ALL: OnceLock<Vec<OnceLock<Plan>>> = OnceLock::new();
        let all = ALL.get_or_init(|| TypeId::all().map(|_| OnceLock::new()).collect());
        all[usize::from(type_id.get())].get_or_init(|| Self::make(type_id))
    }

    fn make(type_id: TypeId) -> Self {
        let mut plan = Self { root: Branch::default(), evaluated: Vec::new() };
        for param in &Catalogue::of(type_id).params {
            if param.source != Source::Own {
                continue;
            }
            match &param.arms {
                Some(arms) => {
                    for arm in arms {
                        plan.root.add(&arm.path, Take::new(param, Some(arm)));
                    }
                }
                None => {
                    if let Some(found) = definitions().param_of(type_id, param.code) {
                        plan.evaluated.push((Take::new(param, None), &found.expression));
                    }
                }
            }
        }
        plan
    }
}

impl Branch {
    fn add(&mut self, path: &[Step], take: Take) {
        let Some((first, rest)) = path.split_first() else {
            self.takes.push(take);
            return;
        };
        let place = self.steps.iter().position(|(step, _)| step == first).unwrap_or_else(|| {
            self.steps.push((first.clone(), Self::default()));
            self.steps.len() - 1
        });
        self.steps[place].1.add(rest, take);
    }
}

fn walk(branch: &Branch, node: Node<'_>, out: &mut Extracted) {
    for take in &branch.takes {
        take.node(node, out);
    }
    if branch.steps.is_empty() {
        return;
    }
    for (name, child) in node.all_children() {
        for (step, next) in &branch.steps {
            if step.name == name && step.cast.is_none_or(|cast| is_a(child, cast)) {
                walk(next, child, out);
            }
        }
    }
}

fn is_a(node: Node<'_>, type_name: &str) -> bool {
    let own = node.type_name();
    own == type_name || definitions().is_subtype(own, type_name)
}

impl Take {
    fn new(param: &Parameter, arm: Option<&Arm>) -> Self {
        let components = definitions().param(ParamNumber(param.id.get()));
        let composite = (param.kind == ParamKind::Composite).then(|| {
            let kinds = param.parts.iter().map(|part| part.kind).collect();
            (components.map_or(&[][..], |found| found.components.as_slice()), kinds)
        });
        Self {
            param: param.id,
            kind: param.kind,
            refers_to: arm.and_then(|arm| TypeId::from_name(arm.refers_to?)),
            family: arm.and_then(|arm| arm.path.last()).is_some_and(|step| step.name == "family"),
            composite,
        }
    }

    fn item(&self, item: &Item<'_>, out: &mut Extracted) {
        match item {
            Item::Node(node) => self.node(*node, out),
            other => literal(self.kind, other, &mut |value| out.push(self.param, value)),
        }
    }

    fn node(&self, node: Node<'_>, out: &mut Extracted) {
        if let Some((components, kinds)) = &self.composite {
            if let Some(value) = composite(components, kinds, node) {
                out.push(self.param, value);
            }
            return;
        }
        values(self.kind, node, &mut |value| {
            let fits = match (&value, self.refers_to) {
                (Value::Reference(reference), Some(wanted)) => reference.type_id() == Some(wanted),
                (_, Some(_)) => false,
                (_, None) => true,
            };
            if let (Value::Text(text), true) = (&value, self.family) {
                words(text, &mut |word| out.push(self.param, word));
            }
            if fits {
                out.push(self.param, value);
            }
        });
    }
}

/// The values of each component at one element; `None` if one has none. The last is looked at
/// first, for there most elements part.
fn composite(components: &[Component], kinds: &[ParamKind], node: Node<'_>) -> Option<Value> {
    let mut lists: Vec<Box<[Value]>> = Vec::with_capacity(components.len());
    for (component, kind) in components.iter().zip(kinds).rev() {
        let mut list = Vec::new();
        for item in component.expression.evaluate(node) {
            let mut keep = |value| {
                if value != Value::Present {
                    list.push(value);
                }
            };
            match &item {
                Item::Node(node) => values(*kind, *node, &mut keep),
                other => literal(*kind, other, &mut keep),
            }
        }
        if list.is_empty() {
            return None;
        }
        lists.push(list.into());
    }
    lists.reverse();
    Some(Value::Composite(lists.into()))
}

/// A computed value.
fn literal(kind: ParamKind, item: &Item<'_>, out: &mut dyn FnMut(Value)) {
    let text = match item {
        Item::Node(_) => return,
        Item::Boolean(value) => if *value { "true" } else { "false" }.to_owned(),
        Item::Integer(value) => value.to_string(),
        Item::Decimal(text) | Item::String(text) => text.to_string(),
    };
    primitive(kind, &text, out);
}

/// The values of an element for a parameter of this kind.
fn values(kind: ParamKind, node: Node<'_>, out: &mut dyn FnMut(Value)) {
    if node.is_primitive() {
        // Without a value it is missing, whatever extensions it has.
        if let Some(text) = node.text() {
            primitive(kind, text, out);
        }
        return;
    }
    match kind {
        ParamKind::String => strings(node, out),
        ParamKind::Token => tokens(node, out),
        ParamKind::Reference => references(node, out),
        ParamKind::Date => dates(node, out),
        ParamKind::Number => out(range(node).map_or(Value::Present, Value::Number)),
        ParamKind::Quantity => quantities(node, out),
        ParamKind::Uri | ParamKind::Composite | ParamKind::Special => out(Value::Present),
    }
}

fn primitive(kind: ParamKind, text: &str, out: &mut dyn FnMut(Value)) {
    out(match kind {
        ParamKind::String => Value::Text(text.into()),
        ParamKind::Token => Value::Token(Token { system: System::Unused, code: Some(text.into()) }),
        ParamKind::Reference => Reference::parse(text).map_or(Value::Present, Value::Reference),
        ParamKind::Date => Interval::parse(text).map_or(Value::Present, Value::Date),
        ParamKind::Number => {
            Decimal::parse(text).map_or(Value::Present, |value| Value::Number(Span::point(value)))
        }
        ParamKind::Uri => Value::Uri(text.into()),
        ParamKind::Quantity | ParamKind::Composite | ParamKind::Special => Value::Present,
    });
}

fn text_of<'a>(node: Node<'a>, name: &str) -> Option<&'a str> {
    node.child(name).and_then(Node::text)
}

/// HumanName and Address are searched in all their parts of type string; of others the text.
fn strings(node: Node<'_>, out: &mut dyn FnMut(Value)) {
    let parts: &[&str] = match node.type_name() {
        "HumanName" => &["text", "family", "given", "prefix", "suffix"],
        "Address" => &["text", "line", "city", "district", "state", "postalCode", "country"],
        "CodeableConcept" | "Annotation" => &["text"],
        "Coding" => &["display"],
        _ => &[],
    };
    let mut found = false;
    for part in parts {
        for text in node.children(part).filter_map(Node::text) {
            found = true;
            out(Value::Text(text.into()));
            if *part == "family" {
                words(text, out);
            }
        }
    }
    if !found {
        out(Value::Present);
    }
}

/// The words of a family name after its first, which are found on their own too.
fn words(text: &str, out: &mut dyn FnMut(Value)) {
    let parts = text.split(|c: char| c.is_whitespace() || c == '-').filter(|part| !part.is_empty());
    for part in parts.skip(1) {
        out(Value::Word(part.into()));
    }
}

fn tokens(node: Node<'_>, out: &mut dyn FnMut(Value)) {
    match node.type_name() {
        "CodeableConcept" => {
            let mut found = false;
            for coding in node.children("coding") {
                found = true;
                out(token(coding, "code"));
            }
            if !found {
                out(Value::Present);
            }
        }
        "Coding" => out(token(node, "code")),
        "Identifier" => out(token(node, "value")),
        "ContactPoint" => out(text_of(node, "value").map_or(Value::Present, |value| {
            Value::Token(Token { system: System::Unused, code: Some(value.into()) })
        })),
        _ => out(Value::Present),
    }
}

fn token(node: Node<'_>, code: &str) -> Value {
    token_of(node, code).map_or(Value::Present, Value::Token)
}

fn token_of(node: Node<'_>, code: &str) -> Option<Token> {
    let system = System::of(text_of(node, "system"));
    let code = text_of(node, code);
    (code.is_some() || system != System::None).then(|| Token { system, code: code.map(Into::into) })
}

fn references(node: Node<'_>, out: &mut dyn FnMut(Value)) {
    if node.type_name() != "Reference" {
        // A whole resource, such as the first of a document.
        let local = TypeId::from_name(node.type_name()).zip(text_of(node, "id"));
        out(local.map_or(Value::Present, |(type_id, id)| {
            let target = Target::Local { type_id, id: id.into() };
            Value::Reference(Reference { target, version: None })
        }));
        return;
    }
    let mut found = false;
    if let Some(mut reference) = text_of(node, "reference").and_then(Reference::parse) {
        if let Target::Absolute { type_id: type_id @ None, .. } = &mut reference.target {
            *type_id = text_of(node, "type").and_then(TypeId::from_name);
        }
        found = true;
        out(Value::Reference(reference));
    }
    if let Some(token) = node.child("identifier").and_then(|node| token_of(node, "value")) {
        found = true;
        out(Value::Logical(token));
    }
    if !found {
        out(Value::Present);
    }
}

fn dates(node: Node<'_>, out: &mut dyn FnMut(Value)) {
    let interval = match node.type_name() {
        "Period" => period(node),
        "Timing" => timing(node),
        _ => None,
    };
    out(interval.map_or(Value::Present, Value::Date));
}

/// From the first moment of the start to the last of the end.
fn period(node: Node<'_>) -> Option<Interval> {
    let bound = |name| text_of(node, name).map(Interval::parse);
    let (lo, hi) = match (bound("start"), bound("end")) {
        (None, None) => return None,
        (start, end) => (
            start.map_or(Some(Interval::OPEN_LO), |start| Some(start?.lo))?,
            end.map_or(Some(Interval::OPEN_HI), |end| Some(end?.hi))?,
        ),
    };
    // One that ends before it begins covers nothing.
    (lo < hi).then_some(Interval { lo, hi })
}

/// The outer limits of all its events and bounds.
fn timing(node: Node<'_>) -> Option<Interval> {
    let events = node.children("event").filter_map(Node::text).filter_map(Interval::parse);
    let bounds = node
        .children("repeat")
        .flat_map(|repeat| repeat.children("bounds"))
        .filter(|bounds| bounds.type_name() == "Period")
        .filter_map(period);
    events.chain(bounds).reduce(|a, b| Interval { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi) })
}

fn decimal(node: Node<'_>, name: &str) -> Option<Decimal> {
    text_of(node, name).and_then(Decimal::parse)
}

/// The values of a Range, or those that a quantity's comparator allows.
fn range(node: Node<'_>) -> Option<Span> {
    if node.type_name() == "Range" {
        let bound = |name| node.child(name).and_then(|quantity| decimal(quantity, "value"));
        let (lo, hi) = (bound("low"), bound("high"));
        let fits = lo.zip(hi).is_none_or(|(lo, hi)| lo <= hi);
        return (fits && (lo.is_some() || hi.is_some())).then_some(Span { lo, hi });
    }
    let value = decimal(node, "value")?;
    Some(match text_of(node, "comparator") {
        Some("<" | "<=") => Span { lo: None, hi: Some(value) },
        Some(">" | ">=") => Span { lo: Some(value), hi: None },
        _ => Span::point(value),
    })
}

fn quantities(node: Node<'_>, out: &mut dyn FnMut(Value)) {
    let Some(span) = range(node) else {
        out(Value::Present);
        return;
    };
    let (system, code, unit) = match node.type_name() {
        "Money" => (System::of(Some("urn:iso:std:iso:4217")), text_of(node, "currency"), None),
        "Range" => {
            let bound = node.child("low").or_else(|| node.child("high"));
            bound.map_or((System::None, None, None), unit_of)
        }
        _ => unit_of(node),
    };
    out(Value::Quantity(Quantity {
        span,
        system,
        code: code.map(Into::into),
        unit: unit.filter(|unit| code != Some(unit)).map(Into::into),
    }));
}

fn unit_of(node: Node<'_>) -> (System, Option<&str>, Option<&str>) {
    (System::of(text_of(node, "system")), text_of(node, "code"), text_of(node, "unit"))
}
