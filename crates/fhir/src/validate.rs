//! A resource against its definition.

use crate::artifact::TypeKind;
use crate::definitions::{Definitions, Member, NameId, TypeDef, TypeIndex, definitions};
use crate::document::{Document, Key, Kind};
use crate::parse::{Place, shown};
use crate::{Issue, Resource};
use smallvec::SmallVec;

/// Issues told at most.
const ISSUES_MAX: usize = 20;

impl Resource {
    /// Checks the resource against its definition: elements that it does not have, elements that
    /// are missing, one where many may be and the reverse, types of a choice, formats of
    /// primitives, `_name` siblings, empty values, contained resources and those of a Bundle.
    ///
    /// # Errors
    /// What was found, at most 20 issues, each with its place.
    pub fn validate(&self) -> Result<(), Vec<Issue>> {
        self.check(true)
    }

    /// As [`Resource::validate`], but does not look into `Bundle.entry.resource`: for a batch or
    /// transaction, whose entries are checked one by one.
    ///
    /// # Errors
    /// As [`Resource::validate`].
    pub fn validate_without_entries(&self) -> Result<(), Vec<Issue>> {
        self.check(false)
    }

    fn check(&self, entries: bool) -> Result<(), Vec<Issue>> {
        let definitions = definitions();
        let ty = definitions.type_of_resource(self.type_id());
        let mut check = Check {
            definitions,
            document: &self.document,
            entries,
            contained: 0,
            issues: Vec::new(),
        };
        check.object(0, definitions.type_def(ty), &Place::root(self.type_id().name()));
        if check.issues.is_empty() { Ok(()) } else { Err(check.issues) }
    }
}

struct Check<'a> {
    definitions: &'static Definitions,
    document: &'a Document,
    entries: bool,
    /// How many contained resources the walk stands in.
    contained: usize,
    issues: Vec<Issue>,
}

impl<'a> Check<'a> {
    #[cold]
    fn issue(&mut self, code: &'static str, place: &Place<'_>, text: impl Into<String>) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(Issue::error(code, place.text(), text));
        }
    }

    fn object(&mut self, at: u32, def: &'static TypeDef, place: &Place<'_>) {
        if self.issues.len() >= ISSUES_MAX {
            return;
        }
        if self.document.len(at) == 0 {
            return self.issue("structure", place, "an object is not empty");
        }
        let mut present = 0_u64;
        let mut chosen: SmallVec<[(u8, NameId); 4]> = SmallVec::new();
        for child in self.document.children(at) {
            let key = self.document.record(child).key;
            let Some(member) = key.name().and_then(|name| def.member(name)) else {
                self.no_element(child, def, place);
                continue;
            };
            let element = &def.elements[usize::from(member.element)];
            let inside = place.member(self.definitions.names().text(element.name));
            present |= 1 << member.element;
            if element.choice {
                let other = |&(number, name): &(u8, NameId)| {
                    number == member.element && name != member.name
                };
                if chosen.iter().any(other) {
                    self.issue("structure", &inside, "more than one type of a choice");
                }
                chosen.push((member.element, member.name));
            }
            if key.is_sibling() {
                self.sibling(at, child, def, member, &inside);
            } else {
                self.member(at, child, def, member, &inside);
            }
        }
        let mut missing = def.required & !present;
        while missing != 0 {
            let element = &def.elements[missing.trailing_zeros() as usize];
            let name = self.definitions.names().text(element.name);
            let name = if element.choice { format!("{name}[x]") } else { name.to_owned() };
            self.issue("required", place, format!("{name} is missing"));
            missing &= missing - 1;
        }
    }

    /// A member that is no element; `resourceType` of a resource is meant to be none.
    fn no_element(&mut self, at: u32, def: &TypeDef, place: &Place<'_>) {
        let key = self.document.record(at).key;
        let resource_type = Key::plain(self.definitions.known().resource_type);
        if key == resource_type && def.kind == TypeKind::Resource {
            return;
        }
        if self.issues.len() >= ISSUES_MAX {
            return;
        }
        let document = self.document;
        let (sibling, name) = document.key_text(at, self.definitions.names());
        let name = if sibling { format!("_{name}") } else { name.to_owned() };
        let text = format!("{} has no element {}", def.name, shown(&name));
        self.issue("structure", &place.member(&name), text);
    }

    /// A member by its plain name.
    fn member(
        &mut self,
        object: u32,
        at: u32,
        def: &'static TypeDef,
        member: Member,
        place: &Place<'_>,
    ) {
        let element = &def.elements[usize::from(member.element)];
        let record = self.document.record(at);
        if !element.many {
            if record.kind == Kind::Array {
                return self.issue("structure", place, "an array is not allowed: at most one");
            }
            return self.value(at, member.ty, element.name, place);
        }
        if record.kind != Kind::Array {
            return self.issue("structure", place, "an array is due: there may be many");
        }
        if self.document.len(at) == 0 {
            return self.issue("structure", place, "an array is not empty");
        }
        let primitive = self.definitions.type_def(member.ty).primitive.is_some();
        let sibling = primitive
            .then(|| self.document.member(object, Key::sibling(member.name)))
            .flatten()
            .filter(|&sibling| self.document.record(sibling).kind == Kind::Array);
        if sibling.is_some_and(|sibling| self.document.len(sibling) != self.document.len(at)) {
            self.issue(
                "structure",
                place,
                "the arrays of values and of extensions differ in length",
            );
        }
        let mut siblings = sibling.map(|sibling| self.document.children(sibling));
        for (index, item) in self.document.children(at).enumerate() {
            let extended = siblings.as_mut().and_then(Iterator::next);
            let extended = extended.map(|at| self.document.record(at).kind) == Some(Kind::Object);
            if self.document.record(item).kind == Kind::Null && extended {
                continue;
            }
            self.value(item, member.ty, element.name, &place.item(index));
        }
    }

    /// One value of an element.
    fn value(&mut self, at: u32, ty: TypeIndex, name: NameId, place: &Place<'_>) {
        let kind = self.document.record(at).kind;
        let mut def = self.definitions.type_def(ty);
        if kind == Kind::Null {
            return self.issue("structure", place, "null is not allowed here");
        }
        if let Some(primitive) = def.primitive {
            if let Err((code, due)) = primitive.check(kind, self.document.text(at)) {
                self.issue(code, place, due);
            }
            return;
        }
        if kind != Kind::Object {
            return self.issue("structure", place, format!("a JSON object is due, a {}", def.name));
        }
        if def.kind != TypeKind::Resource {
            return self.object(at, def, place);
        }
        let known = self.definitions.known();
        if name == known.resource && !self.entries {
            return;
        }
        if def.resource.is_none() {
            let Some(found) = self.resource_type(at, place) else { return };
            def = found;
        }
        let contained = usize::from(name == known.contained);
        if contained > 0 && self.contained > 0 {
            return self.issue("structure", place, "a contained resource contains none");
        }
        self.contained += contained;
        self.object(at, def, place);
        self.contained -= contained;
    }

    /// The definition of the resource at a place where any may stand.
    fn resource_type(&mut self, at: u32, place: &Place<'_>) -> Option<&'static TypeDef> {
        let known = self.definitions.known();
        let told = self.document.member(at, Key::plain(known.resource_type));
        let told = told.filter(|&told| self.document.record(told).kind == Kind::String);
        let place = place.member("resourceType");
        let Some(told) = told else {
            self.issue("required", &place, "resourceType is missing");
            return None;
        };
        let name = self.document.text(told);
        let Some(id) = self.definitions.type_id(name) else {
            let text = format!("{} is not a resource type of R4", shown(name));
            self.issue("not-supported", &place, text);
            return None;
        };
        Some(self.definitions.type_def(self.definitions.type_of_resource(id)))
    }

    /// A `_name` member: id and extensions of a primitive.
    fn sibling(
        &mut self,
        object: u32,
        at: u32,
        def: &'static TypeDef,
        member: Member,
        place: &Place<'_>,
    ) {
        let element = &def.elements[usize::from(member.element)];
        if element.attribute || self.definitions.type_def(member.ty).primitive.is_none() {
            return self.no_element(at, def, &place.above());
        }
        let Some(own) = self.definitions.type_index("Element") else { return };
        let own = self.definitions.type_def(own);
        let kind = self.document.record(at).kind;
        if !element.many {
            return match kind {
                Kind::Object => self.object(at, own, place),
                _ => self.issue("structure", place, "a JSON object is due beside a primitive"),
            };
        }
        if kind != Kind::Array {
            return self.issue("structure", place, "an array is due: there may be many");
        }
        let values = self.document.member(object, Key::plain(member.name));
        let mut any = false;
        for (index, item) in self.document.children(at).enumerate() {
            match self.document.record(item).kind {
                Kind::Object => self.object(item, own, &place.item(index)),
                Kind::Null if values.is_some() => continue,
                _ => self.issue("structure", &place.item(index), "a JSON object is due here"),
            }
            any = true;
        }
        if !any {
            self.issue("structure", place, "an array is not empty");
        }
    }
}
