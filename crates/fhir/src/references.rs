//! What a resource points to, and pointing it elsewhere, as a transaction needs
//! (<https://hl7.org/fhir/R4/http.html#trules>).

use crate::definitions::definitions;
use crate::document::{Document, Key, Kind};
use crate::parse::Place;
use crate::{Node, Resource};

impl Resource {
    /// Every `Reference.reference` in it, contained resources included. Of a resource that was
    /// validated: no other type has an element of that name and a string for a value.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let key = Key::plain(definitions().known().reference);
        let records = self.document.records.iter().zip(0_u32..);
        records
            .filter(move |(record, _)| record.key == key && record.kind == Kind::String)
            .map(|(_, at)| self.document.text(at))
    }

    /// Where the first `Reference.reference` stands that `wanted` says yes to:
    /// `Observation.performer[1].reference`. Of a resource that was validated. What a Bundle holds
    /// are resources of their own: it does not look into them.
    #[must_use]
    pub fn place_of_reference(&self, wanted: &dyn Fn(&str) -> bool) -> Option<String> {
        if !self.references().any(wanted) {
            return None;
        }
        find(&self.document, 0, &Place::root(self.type_id().name()), wanted)
    }

    /// Replaces what `target` answers for: it is asked for every `Reference.reference`, every
    /// element of type `uri`, `url`, `oid`, `uuid` or `canonical`, and every `href` and `src` of a
    /// narrative. Says how many were replaced.
    pub fn rewrite_references(&mut self, target: &mut dyn FnMut(&str) -> Option<String>) -> usize {
        let mut changes = Vec::new();
        collect(self.root(), target, &mut changes);
        for (at, text) in &changes {
            self.document.replace_text(*at, text);
        }
        changes.len()
    }
}

fn find(
    document: &Document,
    object: u32,
    place: &Place<'_>,
    wanted: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let known = definitions().known();
    let is_resource = |at| document.member(at, Key::plain(known.resource_type)).is_some();
    document.children(object).find_map(|at| {
        let record = document.record(at);
        let (_, name) = document.key_text(at, definitions().names());
        let inside = place.member(name);
        match record.kind {
            Kind::String if record.key == Key::plain(known.reference) => {
                wanted(document.text(at)).then(|| inside.text())
            }
            Kind::Object if record.key == Key::plain(known.resource) && is_resource(at) => None,
            Kind::Object => find(document, at, &inside, wanted),
            Kind::Array => document.children(at).enumerate().find_map(|(index, item)| {
                let is_object = document.record(item).kind == Kind::Object;
                is_object.then(|| find(document, item, &inside.item(index), wanted)).flatten()
            }),
            _ => None,
        }
    })
}

fn collect(
    node: Node<'_>,
    target: &mut dyn FnMut(&str) -> Option<String>,
    changes: &mut Vec<(u32, String)>,
) {
    let parent = node.type_name();
    for (name, child) in node.all_children() {
        let change = match (child.type_name(), child.text()) {
            ("uri" | "url" | "oid" | "uuid" | "canonical", Some(text)) => target(text),
            ("string", Some(text)) if parent == "Reference" && name == "reference" => target(text),
            ("xhtml", Some(text)) => narrative(text, target),
            _ => None,
        };
        if let (Some(text), Some(at)) = (change, child.value_record()) {
            changes.push((at, text));
        }
        collect(child, target, changes);
    }
}

/// The narrative with the links that `target` answers for replaced; `None` if there is none.
fn narrative(text: &str, target: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find('=')) {
        let equals = from + found;
        from = equals + 1;
        let quote = match text.as_bytes().get(from) {
            Some(&quote @ (b'"' | b'\'')) => char::from(quote),
            _ => continue,
        };
        let linking = text[..equals].ends_with("href") || text[..equals].ends_with("src");
        let Some(len) = text[from + 1..].find(quote) else { break };
        let link = from + 1..from + 1 + len;
        from = link.end + 1;
        if let Some(changed) = linking.then(|| target(&text[link.clone()])).flatten() {
            out.push_str(&text[copied..link.start]);
            let quoted = if quote == '"' { "&quot;" } else { "&#39;" };
            out.push_str(&changed.replace('&', "&amp;").replace(quote, quoted));
            copied = link.end;
        }
    }
    (copied > 0).then(|| {
        out.push_str(&text[copied..]);
        out
    })
}
