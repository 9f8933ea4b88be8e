//! From bytes to a [`Document`]: guard, then sonic-rs, then one walk that looks names up and
//! refuses a name that stands twice in one object.

use crate::definitions::{Names, definitions};
use crate::document::{Document, Key, Kind, narrow};
use crate::{Issue, guard};
use hashbrown::HashSet;
use smallvec::SmallVec;
use sonic_rs::{JsonContainerTrait, JsonType, JsonValueTrait, Value};
use std::fmt::Write as _;

/// Members up to which a name that stands twice is looked for by comparing all pairs.
const FEW: usize = 24;

/// Where a walk stands, as a list on the stack. It costs nothing until an issue needs its text.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Name(&'p str),
    Index(usize),
}

impl<'p> Place<'p> {
    pub(crate) const fn root(name: &'p str) -> Self {
        Self { parent: None, step: Step::Name(name) }
    }
    pub(crate) const fn member(&'p self, name: &'p str) -> Self {
        Self { parent: Some(self), step: Step::Name(name) }
    }
    pub(crate) const fn item(&'p self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }
    /// Without the last step.
    pub(crate) fn above(&self) -> Self {
        self.parent.copied().unwrap_or(*self)
    }
    /// `Observation.code.coding[0].systm`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }
    fn write(&self, out: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(out);
        }
        match self.step {
            Step::Index(index) => write!(out, "[{index}]").expect("writing to a String succeeds"),
            Step::Name(name) => {
                if self.parent.is_some() {
                    out.push('.');
                }
                out.push_str(&shown(name));
            }
        }
    }
}

/// A name as a message may show it: a name that is no plain word is the client's content.
pub(crate) fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("<a name of {} bytes>", name.len())
    }
}

/// Parses a JSON text whose root is an object.
pub(crate) fn parse(bytes: &[u8], nesting: usize) -> Result<Document, Issue> {
    let text = guard::check(bytes, nesting)?;
    let mut deserializer = sonic_rs::Deserializer::from_str(text).use_rawnumber();
    let value: Value = deserializer.deserialize().map_err(|error| syntax(&error))?;
    deserializer.end().map_err(|error| syntax(&error))?;
    if value.get_type() != JsonType::Object {
        return Err(Issue::of_body("structure", "body is not a JSON object"));
    }
    let resource_type = value.get("resourceType").and_then(|name| name.as_str());
    let root = Place::root(resource_type.unwrap_or("Resource"));
    let mut document = Document {
        text: String::with_capacity(text.len()),
        records: Vec::with_capacity(text.len() / 16 + 8),
        unknown: Vec::new(),
    };
    let mut walk = Walk { names: definitions().names(), document: &mut document };
    walk.value(&value, Key::NONE, &root)?;
    Ok(document)
}

/// What the parser says, without the piece of the body that it quotes.
fn syntax(error: &sonic_rs::Error) -> Issue {
    let text = format!("body is not JSON at line {}, column {}", error.line(), error.column());
    Issue::of_body("structure", text)
}

struct Walk<'a> {
    names: &'a Names,
    document: &'a mut Document,
}

impl Walk<'_> {
    fn value(&mut self, value: &Value, key: Key, place: &Place<'_>) -> Result<(), Issue> {
        match value.get_type() {
            JsonType::Null => {
                self.document.push(key, Kind::Null, "");
            }
            JsonType::Boolean => {
                let kind = if value.is_true() { Kind::True } else { Kind::False };
                self.document.push(key, kind, "");
            }
            JsonType::Number => {
                let number = value.as_raw_number().ok_or_else(|| {
                    Issue::error("structure", place.text(), "number is not readable")
                })?;
                self.document.push(key, Kind::Number, number.as_str());
            }
            JsonType::String => {
                self.document.push(key, Kind::String, value.as_str().unwrap_or_default());
            }
            JsonType::Array => {
                let at = self.document.push(key, Kind::Array, "");
                let items = value.as_array().map_or(&[][..], |array| array.as_slice());
                for (index, item) in items.iter().enumerate() {
                    self.value(item, Key::NONE, &place.item(index))?;
                }
                self.document.close(at, items.len());
            }
            JsonType::Object => self.object(value, key, place)?,
        }
        Ok(())
    }

    fn object(&mut self, value: &Value, key: Key, place: &Place<'_>) -> Result<(), Issue> {
        let at = self.document.push(key, Kind::Object, "");
        let Some(object) = value.as_object() else { return Ok(()) };
        let mut seen: SmallVec<[(Key, &str); FEW]> = SmallVec::new();
        let mut many: HashSet<&str> = HashSet::new();
        let mut count = 0;
        for (name, member) in object.iter() {
            let key = Key::of(name, self.names);
            let inside = place.member(name);
            let twice = if object.len() <= FEW {
                let same = |&(other, text): &(Key, &str)| {
                    other == key && (key != Key::UNKNOWN || text == name)
                };
                let twice = seen.iter().any(same);
                seen.push((key, name));
                twice
            } else {
                !many.insert(name)
            };
            if twice {
                let text = "name stands twice in one object";
                return Err(Issue::error("structure", inside.text(), text));
            }
            if key == Key::UNKNOWN {
                self.document.push_unknown_key(name);
            }
            self.value(member, key, &inside)?;
            count += 1;
        }
        debug_assert_eq!(narrow(count), narrow(object.len()));
        self.document.close(at, count);
        Ok(())
    }
}
