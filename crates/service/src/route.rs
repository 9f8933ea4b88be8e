//! From a path below an account's base to what it names, and from that and a method to the
//! interaction (<https://hl7.org/fhir/R4/http.html>). One table: the handlers, `Allow` and
//! `/metadata` follow it.

use crate::Error;
use base::ResourceId;
use fhir::TypeId;
use http::Method;
use percent_encoding::percent_decode_str;

/// What a path below the base names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The base itself.
    System,
    /// `metadata`.
    Metadata,
    /// `_history`.
    SystemHistory,
    /// `_search`.
    SystemSearch,
    /// `Patient`.
    Type(TypeId),
    /// `Patient/_search`.
    TypeSearch(TypeId),
    /// `Patient/_history`.
    TypeHistory(TypeId),
    /// `Patient/1`.
    Instance(TypeId, ResourceId),
    /// `Patient/1/_history`.
    InstanceHistory(TypeId, ResourceId),
    /// `Patient/1/_history/2`; the version is not read yet.
    Version(TypeId, ResourceId, String),
}

/// One interaction of FHIR's REST page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interaction {
    /// The CapabilityStatement.
    Capabilities,
    /// Batch or transaction.
    Bundle,
    /// Search over one type or all.
    Search,
    /// Search by a form.
    SearchForm,
    /// History of an instance, a type or all.
    History,
    /// Create, also conditional.
    Create,
    /// Read of the newest version.
    Read,
    /// Read of one version.
    VersionRead,
    /// Update, also as create.
    Update,
    /// Delete.
    Delete,
}

impl Target {
    /// Reads a path below the base: no leading slash, one trailing slash at most.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let decoded = percent_decode_str(path).decode_utf8().map_err(|_| Error::Path)?;
        let mut segments = [""; 4];
        let mut count = 0;
        if !decoded.is_empty() {
            for segment in decoded.split('/') {
                if segment.is_empty() {
                    return Err(Error::Path);
                }
                *segments.get_mut(count).ok_or(Error::Path)? = segment;
                count += 1;
            }
        }
        if let Some(name) = segments.iter().find(|segment| segment.starts_with('$')) {
            return Err(Error::Operation { name: (*name).chars().take(64).collect() });
        }
        Self::of_segments(&segments[..count])
    }

    fn of_segments(segments: &[&str]) -> Result<Self, Error> {
        match *segments {
            [] => Ok(Self::System),
            ["metadata"] => Ok(Self::Metadata),
            ["_history"] => Ok(Self::SystemHistory),
            ["_search"] => Ok(Self::SystemSearch),
            [name] => Ok(Self::Type(type_id(name)?)),
            [name, "_search"] => Ok(Self::TypeSearch(type_id(name)?)),
            [name, "_history"] => Ok(Self::TypeHistory(type_id(name)?)),
            [name, id] => Ok(Self::Instance(type_id(name)?, resource_id(id)?)),
            [name, id, "_history"] => Ok(Self::InstanceHistory(type_id(name)?, resource_id(id)?)),
            [name, id, "_history", version] => {
                Ok(Self::Version(type_id(name)?, resource_id(id)?, version.to_owned()))
            }
            [name, id, _] if type_id(name).is_ok() && resource_id(id).is_ok() => {
                Err(Error::Compartment)
            }
            _ => Err(Error::Path),
        }
    }

    /// The methods this path takes, for `Allow`.
    #[must_use]
    pub const fn allow(&self) -> &'static str {
        match self {
            Self::System | Self::Type(_) => "GET, HEAD, POST, OPTIONS",
            Self::Metadata
            | Self::SystemHistory
            | Self::TypeHistory(_)
            | Self::InstanceHistory(..)
            | Self::Version(..) => "GET, HEAD, OPTIONS",
            Self::SystemSearch | Self::TypeSearch(_) => "POST, OPTIONS",
            Self::Instance(..) => "GET, HEAD, PUT, DELETE, OPTIONS",
        }
    }

    /// The interaction of a method on this path.
    pub fn interaction(&self, method: &Method) -> Result<Interaction, Error> {
        let get = method == Method::GET || method == Method::HEAD;
        let post = method == Method::POST;
        match self {
            Self::Metadata if get => Ok(Interaction::Capabilities),
            Self::System if post => Ok(Interaction::Bundle),
            Self::System | Self::Type(_) if get => Ok(Interaction::Search),
            Self::SystemSearch | Self::TypeSearch(_) if post => Ok(Interaction::SearchForm),
            Self::SystemHistory | Self::TypeHistory(_) | Self::InstanceHistory(..) if get => {
                Ok(Interaction::History)
            }
            Self::Type(_) if post => Ok(Interaction::Create),
            Self::Instance(..) if get => Ok(Interaction::Read),
            Self::Version(..) if get => Ok(Interaction::VersionRead),
            Self::Instance(..) if method == Method::PUT => Ok(Interaction::Update),
            Self::Instance(..) if method == Method::DELETE => Ok(Interaction::Delete),
            Self::Type(_) if method == Method::PUT || method == Method::DELETE => {
                Err(Error::ConditionalChange)
            }
            _ => Err(Error::MethodNotAllowed {
                method: method.as_str().chars().take(16).collect(),
                allow: self.allow(),
            }),
        }
    }
}

/// The resource type of a name.
pub fn type_id(name: &str) -> Result<TypeId, Error> {
    TypeId::from_name(name)
        .ok_or_else(|| Error::UnknownType { name: name.chars().take(64).collect() })
}

/// The id of a text.
pub fn resource_id(text: &str) -> Result<ResourceId, Error> {
    text.parse().map_err(|_| Error::Id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        let rows = [
            ("GET", ""),
            ("POST", ""),
            ("POST", "/"),
            ("DELETE", ""),
            ("GET", "metadata"),
            ("GET", "_history"),
            ("POST", "_search"),
            ("GET", "Patient"),
            ("GET", "Patient/"),
            ("POST", "Patient"),
            ("PUT", "Patient"),
            ("PATCH", "Patient"),
            ("POST", "Patient/_search"),
            ("GET", "Patient/_search"),
            ("GET", "Patient/_history"),
            ("HEAD", "Patient/1"),
            ("PUT", "Patient/a.b-C"),
            ("PUT", "Patient/a_b"),
            ("DELETE", "Patient/1"),
            ("PATCH", "Patient/1"),
            ("GET", "Patient/1/_history"),
            ("GET", "Patient/1/_history/2"),
            ("PUT", "Patient/1/_history/2"),
            ("GET", "Patient/1/Observation"),
            ("GET", "Patient/1/$everything"),
            ("POST", "$export"),
            ("GET", "Patients"),
            ("GET", "Patient//1"),
            ("GET", "Patient/1/_history/2/3"),
            ("GET", "Patient/%31"),
            ("GET", "Patient/%FF"),
        ];
        let table: Vec<String> = rows
            .iter()
            .map(|(method, path)| {
                let method: Method = method.parse().expect("a method");
                let found = Target::parse(path).and_then(|target| target.interaction(&method));
                match found {
                    Ok(interaction) => format!("{method} /{path}: {interaction:?}"),
                    Err(error) => {
                        format!("{method} /{path}: {}, {error}", error.kind().http().status)
                    }
                }
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
