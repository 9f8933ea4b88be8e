//! Who takes part: three members, two gateways, the clients.

use std::fmt;

/// A place on the simulated network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The home region.
    East,
    /// The other region.
    West,
    /// The third failure domain: votes, holds no data.
    Witness,
    /// One public endpoint.
    GatewayA,
    /// The other public endpoint.
    GatewayB,
    /// Where clients are. Their links to the gateways never fail.
    Clients,
}

impl Place {
    /// How many places there are.
    pub const COUNT: usize = 6;
    /// All of them.
    pub const ALL: [Self; Self::COUNT] =
        [Self::East, Self::West, Self::Witness, Self::GatewayA, Self::GatewayB, Self::Clients];
    /// The three members.
    pub const MEMBERS: [Self; 3] = [Self::East, Self::West, Self::Witness];
    /// The two regions.
    pub const REGIONS: [Self; 2] = [Self::East, Self::West];
    /// The two gateways.
    pub const GATEWAYS: [Self; 2] = [Self::GatewayA, Self::GatewayB];

    /// A small number of its own.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
    /// The other region.
    #[must_use]
    pub fn other_region(self) -> Self {
        match self {
            Self::East => Self::West,
            Self::West => Self::East,
            _ => panic!("only regions come in pairs"),
        }
    }
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::East => "east",
            Self::West => "west",
            Self::Witness => "witness",
            Self::GatewayA => "gateway-a",
            Self::GatewayB => "gateway-b",
            Self::Clients => "clients",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
