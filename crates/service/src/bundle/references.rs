//! Where the references inside a transaction lead
//! (<https://hl7.org/fhir/R4/http.html#trules>): to other entries by `fullUrl`, and to stored
//! resources by a query.

use super::transaction::Own;
use crate::call::Shared;
use crate::commit::{Matched, conditional_reference, resolve};
use crate::route::type_id;
use crate::{Error, Failure};
use fhir::Resource;
use std::collections::HashMap;
use store::Condition;

/// What each reference is to be replaced by.
#[derive(Default)]
pub struct References {
    /// `fullUrl` of an entry, to `Type/id`.
    entries: HashMap<String, String>,
    /// `Type?query`, to `Type/id`.
    conditional: HashMap<String, String>,
}

impl References {
    /// The entry of this `fullUrl` is stored as `target`. `false` when another entry has it.
    #[must_use]
    pub fn add_entry(&mut self, full_url: String, target: String) -> bool {
        self.entries.insert(full_url, target).is_none()
    }

    /// Resolves every conditional reference of a resource that is not resolved yet: each once for
    /// a bundle, over what is stored and what the bundle puts. It may wait: call it where blocking is allowed.
    pub fn resolve_in(
        &mut self,
        shared: &Shared,
        resource: &Resource,
        index: usize,
        own: &mut Own<'_>,
        conditions: &mut Vec<Condition>,
    ) -> Result<(), Failure> {
        for reference in resource.references() {
            let Some((name, query)) = conditional_reference(reference) else { continue };
            if self.conditional.contains_key(reference) {
                continue;
            }
            let place = || format!("Bundle.entry[{index}].resource");
            let type_id = type_id(name)?;
            let (stored, condition) = match resolve(shared, type_id, query, &place())? {
                Matched::One(id, condition) => (Some(id), condition),
                Matched::None(condition) => (None, condition),
                Matched::Several => return Err(Error::SeveralMatches { place: place() }.into()),
            };
            // What the transaction changes counts as it is then.
            let mut found = own.matches(type_id, &condition.filter);
            found.extend(stored.filter(|id| !own.changes(type_id, id)));
            conditions.push(condition);
            let id = match (found.pop(), found.pop()) {
                (Some(id), None) => id,
                (None, _) => return Err(Error::NoMatch { place: place() }.into()),
                (Some(_), Some(_)) => {
                    return Err(Error::SeveralMatches { place: place() }.into());
                }
            };
            self.conditional.insert(reference.to_owned(), format!("{}/{id}", type_id.name()));
        }
        Ok(())
    }

    /// Points every reference of an entry's resource to where it leads.
    pub fn rewrite(&self, resource: &mut Resource, full_url: Option<&str>) {
        if self.entries.is_empty() && self.conditional.is_empty() {
            return;
        }
        let root = full_url.and_then(root_of);
        resource.rewrite_references(&mut |reference| self.target(reference, root));
    }

    fn target(&self, reference: &str, root: Option<&str>) -> Option<String> {
        if let Some(found) = self.entries.get(reference) {
            return Some(found.clone());
        }
        if reference.contains('?') {
            return self.conditional.get(reference).cloned();
        }
        if let Some((whole, fragment)) = reference.split_once('#')
            && let Some(found) = self.entries.get(whole)
        {
            return Some(format!("{found}#{fragment}"));
        }
        // `Patient/1` inside an entry of `http://other/fhir/Observation/2` means the entry
        // `http://other/fhir/Patient/1`, if there is one.
        let is_relative = reference.contains('/') && !reference.contains(':');
        let root = root.filter(|_| is_relative)?;
        self.entries.get(&format!("{root}/{reference}")).cloned()
    }
}

/// `http://host/fhir` of `http://host/fhir/Patient/1`; nothing of any other URL.
fn root_of(full_url: &str) -> Option<&str> {
    let is_http = full_url.starts_with("http://") || full_url.starts_with("https://");
    let (rest, _id) = full_url.rsplit_once('/').filter(|_| is_http)?;
    rest.rsplit_once('/').map(|(root, _type)| root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_to_entries_and_matches() {
        let mut references = References::default();
        assert!(references.add_entry("urn:uuid:1".into(), "Patient/a".into()));
        assert!(references.add_entry("http://x/fhir/Patient/1".into(), "Patient/b".into()));
        assert!(!references.add_entry("http://x/fhir/Patient/1".into(), "Patient/b".into()));
        references.conditional.insert("Patient?identifier=x|1".into(), "Patient/d".into());
        let root = root_of("http://x/fhir/Observation/2");
        for (reference, target) in [
            ("Patient/1", Some("Patient/b")),
            ("http://x/fhir/Patient/1", Some("Patient/b")),
            ("urn:uuid:1", Some("Patient/a")),
            ("urn:uuid:1#x", Some("Patient/a#x")),
            ("Patient?identifier=x|1", Some("Patient/d")),
            ("Patient?identifier=x|2", None),
            ("Patient/2", None),
            ("#contained", None),
        ] {
            assert_eq!(references.target(reference, root).as_deref(), target, "{reference}");
        }
        assert_eq!(references.target("Patient/1", None), None);
    }
}
