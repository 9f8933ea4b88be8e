//! What goes over the simulated network.

use crate::client::{Ask, Reply};
use base::{BootId, Epoch, Position};
use bytes::Bytes;
use std::fmt;
use store::log::Frame;

/// One message.
#[derive(Clone)]
pub enum Packet {
    /// Between members of the protocol, as encoded.
    Protocol(Bytes),
    /// Frames for the secondary.
    Batch {
        /// The epoch of the shipping session.
        epoch: Epoch,
        /// The primary's process lifetime.
        boot: BootId,
        /// The position before the first frame.
        before: Position,
        /// The frames.
        frames: Vec<Frame>,
    },
    /// The secondary's answer.
    Ack {
        /// The epoch of the shipping session.
        epoch: Epoch,
        /// The primary's process lifetime that shipped.
        boot: BootId,
        /// What is durable there.
        position: Position,
    },
    /// A question for what follows a position.
    TailFetch {
        /// To match the answer.
        query: u64,
        /// The asker's end.
        after: Position,
    },
    /// Its answer.
    TailFrames {
        /// From the question.
        query: u64,
        /// What follows.
        frames: Vec<Frame>,
    },
    /// A former primary's commit, for the quarantine of the present one.
    Offer {
        /// Whose.
        region: u8,
        /// The frame.
        frame: Frame,
    },
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

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(bytes) => match postcard::from_bytes(bytes) {
                Ok(dr::Wire::V1(envelope)) => write!(f, "{:?}", envelope.message),
                Err(_) => f.write_str("undecodable"),
            },
            Self::Batch { epoch, before, frames, .. } => {
                write!(f, "batch in epoch {epoch} after {} of {}", before.seq, frames.len())
            }
            Self::Ack { epoch, position, .. } => write!(f, "ack in epoch {epoch} of {position}"),
            Self::TailFetch { after, .. } => write!(f, "tail after {after}?"),
            Self::TailFrames { frames, .. } => write!(f, "tail of {}", frames.len()),
            Self::Offer { frame, .. } => write!(f, "offer of {}", frame.position),
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
