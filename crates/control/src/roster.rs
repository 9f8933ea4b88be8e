//! Who belongs to the cluster: names, minted ids, kinds and addresses.
//!
//! The member that holds the cluster's authority writes the roster when it lets someone join,
//! and raises its version; the others take a higher version from any member they know. A name
//! stands for one id: a wiped member that joins anew is another one, and the old id is refused.

use base::{MemberId, MemberName};
use serde::{Deserialize, Serialize};

/// What someone of the cluster is, as its certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A failure domain with a full copy and compute.
    Region,
    /// A voter without patient data.
    Witness,
    /// A public endpoint.
    Gateway,
    /// A person or program that may command.
    Operator,
}

impl Kind {
    /// The word in configuration, certificates and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Witness => "witness",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
        }
    }
    /// Reads the word.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        [Self::Region, Self::Witness, Self::Gateway, Self::Operator]
            .into_iter()
            .find(|kind| kind.name() == text)
    }
    /// Whether it votes in registers.
    #[must_use]
    pub const fn votes(self) -> bool {
        matches!(self, Self::Region | Self::Witness)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name, as people call it.
    pub name: MemberName,
    /// Its minted id.
    #[serde(with = "minted")]
    pub id: MemberId,
    /// What it is.
    pub kind: Kind,
    /// Where members reach it (`host:port`); empty for gateways and operators.
    #[serde(default)]
    pub peer: String,
    /// Where gateways and operators reach a region (`host:port`); empty for others.
    #[serde(default)]
    pub serve: String,
    /// Where the other region ships logs to (`host:port`); empty for others than regions.
    #[serde(default)]
    pub ship: String,
}

/// Everyone of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// The cluster's minted number.
    #[serde(with = "minted")]
    pub cluster: MemberId,
    /// Raised with every change.
    pub version: u64,
    /// Everyone, in the order of joining.
    pub members: Vec<Member>,
}

impl Roster {
    /// Who has this id.
    #[must_use]
    pub fn by_id(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }
    /// Who has this name.
    #[must_use]
    pub fn by_name(&self, name: &MemberName) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }
    /// The regions, in the order of joining.
    pub fn regions(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.kind == Kind::Region)
    }
    /// Those that vote.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.kind.votes())
    }
}

/// Minted numbers as 32 hexadecimal digits: TOML has no integers of 128 bits.
pub(crate) mod minted {
    use base::MemberId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(id: &MemberId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MemberId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("not a minted number: 32 hexadecimal digits"))
    }
}
