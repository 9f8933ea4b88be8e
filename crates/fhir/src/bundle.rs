//! A Bundle's entries.

use crate::definitions::{NameId, definitions};
use crate::document::{Document, Key};
use crate::{Issue, Resource};

/// `Bundle.entry.request`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleRequest {
    /// `GET`, `HEAD`, `POST`, `PUT`, `DELETE`, `PATCH`, or what else stood there.
    pub method: String,
    /// Relative to the base.
    pub url: String,
    /// As the header of this name.
    pub if_none_match: Option<String>,
    /// As the header of this name.
    pub if_modified_since: Option<String>,
    /// As the header of this name.
    pub if_match: Option<String>,
    /// The query of a conditional create.
    pub if_none_exist: Option<String>,
}

/// `Bundle.entry`, with its resource taken out of the bundle.
#[derive(Clone, Debug)]
pub struct BundleEntry {
    /// `fullUrl`.
    pub full_url: Option<String>,
    /// `request`.
    pub request: Option<BundleRequest>,
    /// `resource`: not validated yet; an issue when its `resourceType` is missing or unknown.
    pub resource: Option<Result<Resource, Issue>>,
}

impl Resource {
    /// A Bundle's `type`, such as `transaction`.
    #[must_use]
    pub fn bundle_type(&self) -> Option<&str> {
        (self.type_id().name() == "Bundle").then(|| self.root().child("type")?.text()).flatten()
    }

    /// How many entries a Bundle has.
    #[must_use]
    pub fn bundle_len(&self) -> usize {
        let entry = self.document.member(0, Key::plain(definitions().known().entry));
        entry.map_or(0, |at| self.document.len(at))
    }

    /// A Bundle's entries in order, each resource copied out without parsing again. Of anything
    /// but a Bundle: none. Issues of a resource are told from its own root: see [`Issue::within`].
    pub fn bundle_entries(&self) -> impl Iterator<Item = BundleEntry> {
        let entry = (self.type_id().name() == "Bundle")
            .then(|| self.document.member(0, Key::plain(definitions().known().entry)))
            .flatten();
        entry.into_iter().flat_map(|at| self.document.children(at)).map(|at| self.entry(at))
    }

    fn entry(&self, at: u32) -> BundleEntry {
        let document = &self.document;
        let known = definitions().known();
        let resource = document.member(at, Key::plain(known.resource));
        BundleEntry {
            full_url: text_of(document, at, known.full_url),
            request: member(document, at, "request").map(|request| self.request(request)),
            resource: resource.map(|at| Self::new(document.subtree(at))),
        }
    }

    fn request(&self, at: u32) -> BundleRequest {
        let text = |name: &str| {
            definitions().names().find(name).and_then(|name| text_of(&self.document, at, name))
        };
        BundleRequest {
            method: text("method").unwrap_or_default(),
            url: text("url").unwrap_or_default(),
            if_none_match: text("ifNoneMatch"),
            if_modified_since: text("ifModifiedSince"),
            if_match: text("ifMatch"),
            if_none_exist: text("ifNoneExist"),
        }
    }
}

fn member(document: &Document, object: u32, name: &str) -> Option<u32> {
    document.member(object, Key::plain(definitions().names().find(name)?))
}

fn text_of(document: &Document, object: u32, name: NameId) -> Option<String> {
    let at = document.member(object, Key::plain(name))?;
    let text = document.text(at);
    (!text.is_empty()).then(|| text.to_owned())
}
