//! Resource types as small numbers.

use crate::definitions;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A concrete resource type of R4, as its index in the alphabetical list of them. The number is a
/// contract on disk: index keys and logs hold it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct TypeId(u8);

impl TypeId {
    /// The type of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        definitions().type_id(name)
    }
    /// The type of this number, when there is one.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (usize::from(number) < definitions().type_count()).then_some(Self(number))
    }
    /// For the definitions' own use.
    pub(crate) const fn of_index(index: u8) -> Self {
        Self(index)
    }
    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        definitions().type_id_name(self)
    }
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).take(definitions().type_count()).map(Self)
    }
    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The number stands for no resource type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{number} is not the number of a resource type")]
pub struct TypeIdError {
    number: u8,
}

impl TryFrom<u8> for TypeId {
    type Error = TypeIdError;
    fn try_from(number: u8) -> Result<Self, TypeIdError> {
        Self::new(number).ok_or(TypeIdError { number })
    }
}

impl From<TypeId> for u8 {
    fn from(id: TypeId) -> Self {
        id.0
    }
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
