//! A place in a resource: a JSON value together with its FHIR type.

use crate::artifact::TypeKind;
use crate::definitions::{ElementDef, NameId, TypeIndex, definitions};
use crate::document::{Children, Document, Key, Kind};
use std::fmt;

/// One element of a resource, with its FHIR type. A primitive may have a value, extensions (the
/// `_name` sibling of JSON), or both. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document,
    /// The record of the value.
    value: Option<u32>,
    /// The record of the `_name` object.
    sibling: Option<u32>,
    ty: TypeIndex,
}

impl<'a> Node<'a> {
    pub(crate) fn new(document: &'a Document, value: u32, ty: TypeIndex) -> Self {
        Self { document, value: Some(value), sibling: None, ty }
    }

    /// The FHIR type: `CodeableConcept`, `dateTime`, `Observation`; of an element that is defined
    /// inside another type its path, such as `Observation.component`.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        definitions().type_def(self.ty).name
    }
    /// Whether it has a primitive type.
    #[must_use]
    pub fn is_primitive(self) -> bool {
        definitions().type_def(self.ty).kind == TypeKind::Primitive
    }
    /// The text of a primitive's value: a string decoded, a number digit by digit as it was sent,
    /// `true` or `false`. `None` without a value, and for anything else.
    #[must_use]
    pub fn text(self) -> Option<&'a str> {
        let at = self.value?;
        match self.document.record(at).kind {
            Kind::String | Kind::Number => Some(self.document.text(at)),
            Kind::True => Some("true"),
            Kind::False => Some("false"),
            Kind::Null | Kind::Array | Kind::Object => None,
        }
    }
    /// Whether its value is a JSON number.
    #[must_use]
    pub fn is_number(self) -> bool {
        self.value.is_some_and(|at| self.document.record(at).kind == Kind::Number)
    }
    /// The value of a boolean.
    #[must_use]
    pub fn boolean(self) -> Option<bool> {
        match self.document.record(self.value?).kind {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }
    /// The first child of this element name; a choice goes by its name without the type (`value`).
    #[must_use]
    pub fn child(self, name: &str) -> Option<Self> {
        self.children(name).next()
    }
    /// All children of this element name, in order; a choice goes by its name without the type.
    pub fn children(self, name: &str) -> impl Iterator<Item = Self> {
        definitions().names().find(name).into_iter().flat_map(move |name| self.named(name))
    }
    /// All children with their element names, in order of the JSON.
    pub fn all_children(self) -> impl Iterator<Item = (&'static str, Self)> {
        let def = definitions().type_def(self.ty);
        self.objects()
            .flat_map(move |object| {
                self.document.children(object).filter_map(move |at| {
                    let key = self.document.record(at).key;
                    let member = def.member(key.name()?)?;
                    let name = def.elements[usize::from(member.element)].name;
                    let paired = key.is_sibling()
                        && self.document.member(object, Key::plain(member.name)).is_some();
                    let items = Items::new(self, object, member.name, member.ty);
                    (!paired)
                        .then_some(items.map(move |node| (definitions().names().text(name), node)))
                })
            })
            .flatten()
    }

    /// Children of a name that was looked up before.
    pub(crate) fn named(self, name: NameId) -> Named<'a> {
        Named::new(self, name)
    }
    pub(crate) fn type_index(self) -> TypeIndex {
        self.ty
    }
    pub(crate) fn document(self) -> &'a Document {
        self.document
    }
    pub(crate) fn value_record(self) -> Option<u32> {
        self.value
    }
    /// The objects that hold children: the value, if it is an object, and the `_name` sibling.
    fn objects(self) -> impl Iterator<Item = u32> {
        [self.value, self.sibling].into_iter().flatten()
    }
    fn object(self) -> Option<u32> {
        let is_object = |at: &u32| self.document.record(*at).kind == Kind::Object;
        self.value.filter(is_object).or(self.sibling.filter(is_object))
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.type_name())
    }
}

/// The children of one element name.
pub(crate) struct Named<'a> {
    parent: Node<'a>,
    element: Option<&'static ElementDef>,
    /// The members that are yet to be looked at, for another type of a choice.
    members: Option<Children<'a>>,
    items: Option<Items<'a>>,
}

impl<'a> Named<'a> {
    fn new(parent: Node<'a>, name: NameId) -> Self {
        let element = definitions().type_def(parent.ty).element(name);
        let object = element.and_then(|_| parent.object());
        let mut named = Self { parent, element, members: None, items: None };
        match (element, object) {
            (Some(element), Some(object)) if element.choice => {
                named.members = Some(parent.document.children(object));
            }
            (Some(element), Some(object)) => {
                let &[(name, ty), ..] = &element.variants[..] else { return named };
                named.items = Some(Items::new(parent, object, name, ty));
            }
            _ => {}
        }
        named
    }

    /// The values of the next member that is one of the choice's.
    fn next_of_choice(&mut self) -> Option<Items<'a>> {
        let document = self.parent.document;
        let object = self.parent.object()?;
        let element = self.element?;
        loop {
            let at = self.members.as_mut()?.next()?;
            let key = document.record(at).key;
            let Some((name, ty)) = key.name().and_then(|name| element.variant(name)) else {
                continue;
            };
            if !(key.is_sibling() && document.member(object, Key::plain(name)).is_some()) {
                return Some(Items::new(self.parent, object, name, ty));
            }
        }
    }
}

impl<'a> Iterator for Named<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        loop {
            if let Some(found) = self.items.as_mut().and_then(Iterator::next) {
                return Some(found);
            }
            self.items = Some(self.next_of_choice()?);
        }
    }
}

/// The values of one member and its `_name` sibling, paired.
struct Items<'a> {
    document: &'a Document,
    ty: TypeIndex,
    values: Run<'a>,
    siblings: Run<'a>,
}

/// One value, or the items of an array.
enum Run<'a> {
    One(Option<u32>),
    Many(Children<'a>),
}

impl<'a> Run<'a> {
    fn new(document: &'a Document, at: Option<u32>) -> Self {
        match at {
            Some(at) if document.record(at).kind == Kind::Array => {
                Self::Many(document.children(at))
            }
            other => Self::One(other),
        }
    }
    fn next(&mut self) -> Option<u32> {
        match self {
            Self::One(at) => at.take(),
            Self::Many(children) => children.next(),
        }
    }
}

impl<'a> Items<'a> {
    fn new(parent: Node<'a>, object: u32, name: NameId, ty: TypeIndex) -> Self {
        let document = parent.document;
        let primitive = definitions().type_def(ty).primitive.is_some();
        let (mut value, mut sibling) = (None, None);
        for at in document.children(object) {
            let key = document.record(at).key;
            if key == Key::plain(name) {
                value = Some(at);
                if !primitive {
                    break;
                }
            } else if primitive && key == Key::sibling(name) {
                sibling = Some(at);
            }
        }
        Self {
            document,
            ty,
            values: Run::new(document, value),
            siblings: Run::new(document, sibling),
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        loop {
            let (value, sibling) = (self.values.next(), self.siblings.next());
            if value.is_none() && sibling.is_none() {
                return None;
            }
            let there = |at: &u32| self.document.record(*at).kind != Kind::Null;
            let (value, sibling) = (value.filter(there), sibling.filter(there));
            if value.is_some() || sibling.is_some() {
                let ty = value.map_or(self.ty, |at| concrete(self.document, at, self.ty));
                return Some(Node { document: self.document, value, sibling, ty });
            }
        }
    }
}

/// The type of a value: where a resource stands, what its `resourceType` says.
pub(crate) fn concrete(document: &Document, at: u32, declared: TypeIndex) -> TypeIndex {
    let definitions = definitions();
    let def = definitions.type_def(declared);
    if def.kind != TypeKind::Resource || def.resource.is_some() {
        return declared;
    }
    document
        .member(at, Key::plain(definitions.known().resource_type))
        .and_then(|at| definitions.type_id(document.text(at)))
        .map_or(declared, |id| definitions.type_of_resource(id))
}
