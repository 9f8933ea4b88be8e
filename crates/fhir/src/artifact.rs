//! The form of `definitions.bin`, which `cargo xtask gen` makes from HL7's files.
//!
//! It is postcard, then zstd, and nothing but a table of names and numbers. Two of its orders are a
//! contract on disk, because search terms and logs hold the numbers:
//! - resource types: alphabetical; the index is the [`crate::TypeId`];
//! - search parameters: by canonical URL, bytewise, all 1,378 of R4; the index is the
//!   [`crate::ParamNumber`]. Numbers from 0x8000 are kept for parameters that an account adds.

use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Of FHIR: `4.0.1`.
    pub version: String,
    /// Names of the concrete resource types, alphabetical.
    pub resources: Vec<String>,
    /// Every type with elements or a format, supertypes before subtypes.
    pub types: Vec<ArtifactType>,
    /// Search parameters, by URL.
    pub params: Vec<ArtifactParam>,
}

/// What sort of type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeKind {
    /// Such as `dateTime`: a JSON string, number or boolean.
    Primitive,
    /// Such as `CodeableConcept`.
    Complex,
    /// Defined inside another type; its name is its path, such as `Observation.component`.
    Backbone,
    /// Such as `Observation`; also the abstract `Resource` and `DomainResource`.
    Resource,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactType {
    /// `Observation`, `Observation.component`, `code`.
    pub name: String,
    /// What sort.
    pub kind: TypeKind,
    /// Index of the supertype in [`Artifact::types`].
    pub base: Option<u16>,
    /// Its elements, inherited ones included, in the order of the definition.
    pub elements: Vec<ArtifactElement>,
}

/// An element of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactElement {
    /// `code`; for a choice without the `[x]`: `value`.
    pub name: String,
    /// Indexes in [`Artifact::types`]: one, or those of a choice.
    pub types: Vec<u16>,
    /// Written `name[x]`: its members are named `valueQuantity` and so on.
    pub choice: bool,
    /// At least one.
    pub required: bool,
    /// A JSON array.
    pub many: bool,
    /// An XML attribute: never has an extension (`id`, `Extension.url`).
    pub attribute: bool,
}

/// `SearchParameter.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ParamKind {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

/// A search parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactParam {
    /// Canonical URL.
    pub url: String,
    /// The name in a query.
    pub code: String,
    /// How it is searched.
    pub kind: ParamKind,
    /// Resource types, also `Resource` and `DomainResource`.
    pub bases: Vec<String>,
    /// FHIRPath; three of R4 have none.
    pub expression: Option<String>,
    /// What a reference may point to; empty: not a reference.
    pub targets: Vec<String>,
    /// Of a composite, in order.
    pub components: Vec<ArtifactComponent>,
}

/// A component of a composite parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactComponent {
    /// Index in [`Artifact::params`] of the parameter it is searched like.
    pub param: u16,
    /// FHIRPath, from each value of the composite's own expression.
    pub expression: String,
}
