//! Hands for the tests: a store and short ways to use it.

use crate::{
    AccountStore, Action, ChangeRequest, Committed, Guard, Idempotency, Page, Prepared, Refused,
    Version, Write,
};
use base::{Limits, ResourceId};
use fhir::{Resource, TypeId};
use search::{Handling, Query, parse_query};
use std::sync::{Arc, mpsc};

/// How long a test waits for an answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A store under test.
pub struct Bench {
    /// The store.
    pub store: Box<dyn AccountStore>,
}

impl Bench {
    /// Takes a fresh store.
    #[must_use]
    pub fn new(store: Box<dyn AccountStore>) -> Self {
        Self { store }
    }

    /// The type of this name.
    ///
    /// # Panics
    /// When R4 has no such type.
    #[must_use]
    pub fn type_of(name: &str) -> TypeId {
        TypeId::from_name(name).expect("a resource type of R4")
    }

    /// An id.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn id(text: &str) -> ResourceId {
        text.parse().expect("a FHIR id")
    }

    /// A wish to store this JSON under its type and this id.
    ///
    /// # Panics
    /// When it is no resource.
    #[must_use]
    pub fn put(id: &str, json: &str) -> ChangeRequest {
        let resource = Resource::parse(json.as_bytes(), 64).expect("a resource");
        let id = Self::id(id);
        let extracted = search::extract(&resource);
        let prepared = Prepared {
            template: resource.template(&id),
            terms: extracted.terms(),
            extracted: Arc::new(extracted),
        };
        let guard = Guard::default();
        ChangeRequest { type_id: resource.type_id(), id, action: Action::Put(prepared), guard }
    }

    /// A wish to delete.
    #[must_use]
    pub fn delete(type_name: &str, id: &str) -> ChangeRequest {
        ChangeRequest {
            type_id: Self::type_of(type_name),
            id: Self::id(id),
            action: Action::Delete,
            guard: Guard::default(),
        }
    }

    /// A patient with this family name.
    #[must_use]
    pub fn patient(id: &str, family: &str) -> ChangeRequest {
        let json = format!(
            r#"{{"resourceType":"Patient","identifier":[{{"system":"urn:mrn","value":"{id}"}}],"name":[{{"family":"{family}"}}],"birthDate":"1980-02-03","gender":"female"}}"#
        );
        Self::put(id, &json)
    }

    /// Starts a write; the answer comes by the channel.
    pub fn start(&self, write: Write) -> mpsc::Receiver<Result<Committed, Refused>> {
        let (tell, told) = mpsc::channel();
        self.store.submit(write, Box::new(move |answer| drop(tell.send(answer))));
        told
    }

    /// Writes and waits.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn write(&self, write: Write) -> Result<Committed, Refused> {
        self.start(write).recv_timeout(PATIENCE).expect("every write is answered")
    }

    /// Writes changes that must succeed.
    ///
    /// # Panics
    /// When they are refused.
    pub fn change(&self, changes: Vec<ChangeRequest>) -> Committed {
        let write = Write { changes, ..Write::default() };
        self.write(write).expect("an unconditional write succeeds")
    }

    /// The newest version.
    ///
    /// # Panics
    /// When reading fails.
    #[must_use]
    pub fn read(&self, type_name: &str, id: &str) -> Option<Version> {
        self.store.read(Self::type_of(type_name), &Self::id(id)).expect("reads")
    }

    /// A query.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn query(type_name: &str, raw: &str) -> Query {
        let of = Some(Self::type_of(type_name));
        let base = "http://localhost/fhir";
        parse_query(of, raw, Handling::Strict, &Limits::default(), base).expect("a query")
    }

    /// The first page of a search.
    ///
    /// # Panics
    /// When searching fails.
    #[must_use]
    pub fn search(&self, type_name: &str, raw: &str) -> Page {
        self.store.search(&Self::query(type_name, raw), None).expect("searches")
    }

    /// The ids on a page.
    #[must_use]
    pub fn ids(page: &Page) -> Vec<&str> {
        page.entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    /// A key.
    #[must_use]
    pub fn key(key: &str, request: &str) -> Option<Idempotency> {
        let request_hash = base::Hash::of(request.as_bytes());
        Some(Idempotency { key: key.to_owned(), request_hash, principal: String::new() })
    }
}
