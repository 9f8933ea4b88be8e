//! One resource.

use crate::definitions::definitions;
use crate::document::{Document, Key, Kind};
use crate::parse::shown;
use crate::{Issue, Node, TypeId, parse};

/// A resource: JSON that was parsed and whose `resourceType` is one of R4's. Whether it keeps to
/// its definition is for [`Resource::validate`] to say. Numbers keep the text they came with.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(crate) document: Document,
    type_id: TypeId,
}

impl Resource {
    /// Parses a JSON text. In this order: size (1 GiB), depth (`nesting`, at most 256) and number of
    /// values (4 million) on the bare bytes; JSON; no name twice in one object; a known `resourceType`.
    ///
    /// # Errors
    /// One issue that says which of these failed and where.
    pub fn parse(bytes: &[u8], nesting: usize) -> Result<Self, Vec<Issue>> {
        parse::parse(bytes, nesting).and_then(Self::new).map_err(|issue| vec![issue])
    }

    pub(crate) fn new(document: Document) -> Result<Self, Issue> {
        let definitions = definitions();
        let issue = |code, text: &str| {
            Err(Issue::error(code, "Resource.resourceType".to_owned(), text.to_owned()))
        };
        let key = Key::plain(definitions.known().resource_type);
        let Some(at) = document.member(0, key) else {
            return issue("required", "resourceType is missing");
        };
        if document.record(at).kind != Kind::String {
            return issue("structure", "resourceType is not a string");
        }
        let name = document.text(at);
        match definitions.type_id(name) {
            Some(type_id) => Ok(Self { document, type_id }),
            None => {
                let text = format!("{} is not a resource type of R4", shown(name));
                issue("not-supported", &text)
            }
        }
    }

    /// The resource type.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        self.type_id
    }
    /// `Resource.id`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        let at = self.document.member(0, Key::plain(definitions().known().id))?;
        (self.document.record(at).kind == Kind::String).then(|| self.document.text(at))
    }
    /// The resource itself as a place to start from.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::new(&self.document, 0, definitions().type_of_resource(self.type_id))
    }
    /// The JSON text, without white space, as it was sent: members in their order, numbers digit by
    /// digit. What is served is [`Resource::template`], stamped.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.document.text.len() * 2);
        crate::template::write_value(&self.document, 0, &mut out);
        out
    }
}
