//! FHIR R4 (4.0.1) as data and pure functions: resources as checked JSON, HL7's definitions as
//! tables, FHIRPath as far as the search parameters use it, and the bytes that are served.
//!
//! Nothing here does I/O, tells the time, or knows of accounts, logs or HTTP. Depends on `base`
//! only. There is no generated struct for a FHIR type: a [`Resource`] is a flat table of JSON
//! values whose names were looked up once, and [`Definitions`] says what may stand where.

mod artifact;
mod definitions;
mod type_id;

mod issue;

mod document;
mod guard;
mod node;
mod parse;
mod resource;

mod primitive;
mod validate;

mod bundle;
mod references;
mod template;

mod expression;

pub use artifact::{
    Artifact, ArtifactComponent, ArtifactElement, ArtifactParam, ArtifactType, ParamKind, TypeKind,
};
pub use bundle::{BundleEntry, BundleRequest};
pub use definitions::{
    Component, Definitions, DefinitionsError, ParamNumber, SearchParam, TypeParam, definitions,
};
pub use expression::{Expression, ExpressionError, Item};
pub use issue::{Issue, Severity};
pub use node::Node;
pub use resource::Resource;
pub use template::BodyTemplate;
pub use type_id::TypeId;
