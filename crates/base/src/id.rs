//! Identities: minted ones of the cluster, and the logical ids of FHIR resources.

use crate::{Rng, Stamp};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

macro_rules! minted {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u128);

        impl $name {
            /// Wraps a raw number.
            #[must_use]
            pub const fn new(value: u128) -> Self {
                Self(value)
            }
            /// The raw number.
            #[must_use]
            pub const fn get(self) -> u128 {
                self.0
            }
            /// A fresh one.
            pub fn mint(rng: &mut dyn Rng) -> Self {
                Self((u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64()))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:x})", stringify!($name), self.0)
            }
        }
        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                u128::from_str_radix(text, 16).map(Self)
            }
        }
    };
}

minted!(
    /// A member of the cluster, minted at `init`: a wiped or restored member is another one.
    MemberId
);
minted!(
    /// One process lifetime of a member.
    BootId
);
minted!(
    /// One change to a register, so that a retry that meets its own change completes it (PROTOCOL.md R3).
    ChangeId
);

/// A FHIR logical id: 1 to 64 of `A-Z a-z 0-9 - .`
/// (<https://hl7.org/fhir/R4/datatypes.html#id>).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId(Box<str>);

/// The text is not a FHIR id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("id is not 1 to 64 of A-Z, a-z, 0-9, '-' and '.'")]
pub struct ResourceIdError;

impl ResourceId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// A time-ordered server id (UUIDv7, RFC 9562 section 5.7).
    pub fn mint(now: Stamp, rng: &mut dyn Rng) -> Self {
        let mut random = [0u8; 10];
        random[..8].copy_from_slice(&rng.next_u64().to_be_bytes());
        random[8..].copy_from_slice(&rng.next_u64().to_be_bytes()[..2]);
        let uuid = uuid::Builder::from_unix_timestamp_millis(now.ms(), &random).into_uuid();
        Self(uuid.hyphenated().to_string().into())
    }
    /// Whether it has the form of [`ResourceId::mint`]; a client may choose such an id too.
    #[must_use]
    pub fn is_like_minted(&self) -> bool {
        let uuid = uuid::Uuid::try_parse(&self.0).ok().filter(|uuid| uuid.get_version_num() == 7);
        let mut buffer = uuid::Uuid::encode_buffer();
        uuid.is_some_and(|uuid| uuid.hyphenated().encode_lower(&mut buffer) == &*self.0)
    }
}

impl FromStr for ResourceId {
    type Err = ResourceIdError;
    fn from_str(text: &str) -> Result<Self, ResourceIdError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if fits { Ok(Self(text.into())) } else { Err(ResourceIdError) }
    }
}
impl TryFrom<String> for ResourceId {
    type Error = ResourceIdError;
    fn try_from(text: String) -> Result<Self, ResourceIdError> {
        text.parse()
    }
}
impl From<ResourceId> for String {
    fn from(id: ResourceId) -> String {
        id.0.into()
    }
}
impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
/// A client may put a person's number into an id: it is never printed by `{:?}`.
impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResourceId(…)")
    }
}
