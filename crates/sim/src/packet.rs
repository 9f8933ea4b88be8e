//! What goes over the simulated network.

use crate::client::{Ask, Reply};
use bytes::Bytes;
use std::fmt;

/// One message.
#[derive(Clone)]
pub enum Packet {
    /// Between members of the protocol, as encoded.
    Protocol(Bytes),
    /// Between regions about the log, as encoded. In order, as on one connection.
    Parcel(Bytes),
    /// A region's process has started: connections to the one before are gone.
    Connected,
    /// A client's attempt, on its way to a gateway or region.
    Ask(Ask),
    /// Its answer.
    Reply(Reply),
    /// A client gave an attempt up: its connection to the gateway is closed.
    Cancel(Ask),
    /// A gateway asks a region how it stands.
    Probe,
    /// Its answer.
    Status(Box<gateway::Status>),
}

impl Packet {
    /// Whether it goes over a connection: in order, sent again when lost, never doubled.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        matches!(self, Self::Parcel(_) | Self::Connected)
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(bytes) => match postcard::from_bytes(bytes) {
                Ok(dr::Wire::V1(envelope)) => write!(f, "{:?}", envelope.message),
                Err(_) => f.write_str("undecodable"),
            },
            Self::Parcel(bytes) => match replication::Parcel::decode(bytes) {
                Ok(parcel) => write!(f, "{:?} and {} B", parcel.head.body, parcel.frames.len()),
                Err(_) => f.write_str("undecodable"),
            },
            Self::Connected => f.write_str("connected"),
            Self::Ask(ask) => write!(f, "{} #{} {:?}", ask.request, ask.attempt, ask.want),
            Self::Cancel(ask) => write!(f, "{} #{} is given up", ask.request, ask.attempt),
            Self::Probe => f.write_str("probe"),
            Self::Status(_) => f.write_str("status"),
            Self::Reply(reply) => {
                write!(f, "{} #{} {:?}", reply.request, reply.attempt, reply.told)
            }
        }
    }
}
