//! What the two regions say to each other about an account's log.
//!
//! ```text
//!   0  1  version        5  …  head (postcard)
//!   1  4  bytes of head     …  frames, as `Frame::encode` writes them, one after the other
//! ```

use crate::Error;
use base::{AccountName, BootId, MemberId, Position, Seq};
use bytes::Bytes;
use dr::{Holder, Reign};
use serde::{Deserialize, Serialize};
use store::log::Frame;

const VERSION: u8 = 1;
const HEAD_AT: usize = 5;
/// The longest head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// One statement between two regions. Everything sent carries region, boot and epoch (E5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Who says what to whom.
    pub head: Head,
    /// The frames it carries, encoded; empty unless the body says so.
    pub frames: Bytes,
}

/// A parcel without its frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The account.
    pub account: AccountName,
    /// The sender, in this process lifetime.
    pub from: Holder,
    /// The epoch that it speaks in: its own as primary, else that of the primary it follows.
    pub reign: Reign,
    /// For an answer: the process lifetime that it answers (E5).
    pub to_boot: Option<BootId>,
    /// What is said.
    pub body: Body,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Primary: a session begins, where does your log end?
    Hello {
        /// Counts the sender's sessions; answers repeat it.
        session: u64,
    },
    /// Primary: these frames follow exactly `before` (E3).
    Batch {
        /// The session.
        session: u64,
        /// The position before the first frame.
        before: Position,
    },
    /// Secondary: my log ends here, durably. Answers a hello, and a batch that was appended.
    Standing {
        /// From the primary.
        session: u64,
        /// Position and hash (E3).
        end: Position,
    },
    /// Secondary: batches of this epoch are refused.
    Refused {
        /// From the primary.
        session: u64,
        /// Why.
        why: Refused,
    },
    /// What follows `after` in your log, up to `to`? (E1)
    Fetch {
        /// To match the answer.
        number: u64,
        /// The end of the asker's log.
        after: Position,
        /// How far.
        to: Position,
    },
    /// These frames follow `after`; without frames: there are none, or `after` is not here.
    Fetched {
        /// From the question.
        number: u64,
        /// From the question.
        after: Position,
    },
    /// A former primary: keep these frames of my cut tail (Q3). Without frames it asks how far.
    Keep {
        /// Which tail.
        tail: Tail,
        /// The frames follow this commit of the tail.
        after: Seq,
    },
    /// Primary: of that tail all up to here is durable in my log as quarantine commits.
    Kept {
        /// Which tail.
        tail: Tail,
        /// The last commit kept; that before the tail's first if none is.
        upto: Seq,
    },
    /// Primary: what is your digest at this position?
    DigestAsk {
        /// Which position.
        at: Position,
    },
    /// Its digest there.
    DigestAnswer {
        /// Which position.
        at: Position,
        /// By shard; `None`: not there, or not any more.
        shards: Option<Vec<u128>>,
    },
}

/// Why a secondary refuses a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// It knows a higher epoch (E5).
    OldEpoch {
        /// Which.
        known: Reign,
    },
    /// It sealed the epoch (P2), or does not follow its primary (yet).
    NotFollowing,
    /// The batch does not follow the exact end of its log (E3).
    Misfit,
    /// A frame does not chain to the one before, or is not what its hash says.
    Broken,
}

/// A tail that a former primary cut off, named by what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tail {
    /// The region that held it.
    pub region: MemberId,
    /// The position before its first frame.
    pub from: Position,
    /// Its last frame.
    pub end: Position,
}

impl Parcel {
    /// Without frames.
    #[must_use]
    pub const fn bare(head: Head) -> Self {
        Self { head, frames: Bytes::new() }
    }

    /// For the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = postcard::to_stdvec(&self.head).expect("plain data always encodes");
        let mut out = Vec::with_capacity(HEAD_AT + head.len() + self.frames.len());
        out.push(VERSION);
        out.extend_from_slice(&u32::try_from(head.len()).expect("heads are short").to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.frames);
        out
    }

    /// Reads [`Parcel::encode`]. The frames are not looked at.
    ///
    /// # Errors
    /// [`Error::Parcel`].
    pub fn decode(input: &Bytes) -> Result<Self, Error> {
        if input.len() < HEAD_AT || input[0] != VERSION {
            return Err(Error::Parcel("its version is unknown"));
        }
        let bytes = u32::from_le_bytes(input[1..HEAD_AT].try_into().expect("four bytes")) as usize;
        if bytes > HEAD_BYTES_MAX || input.len() - HEAD_AT < bytes {
            return Err(Error::Parcel("the length of its head does not fit"));
        }
        let head = postcard::from_bytes(&input[HEAD_AT..HEAD_AT + bytes])
            .map_err(|_| Error::Parcel("its head is none"))?;
        Ok(Self { head, frames: input.slice(HEAD_AT + bytes..) })
    }

    /// The frames it carries: each what its hash says, each chained to the one before, the first
    /// to `before`.
    ///
    /// # Errors
    /// [`Error::Parcel`], [`Error::Log`].
    pub fn frames_after(&self, before: &Position) -> Result<Vec<Frame>, Error> {
        let mut rest = self.frames.clone();
        let mut frames = Vec::new();
        let mut end = *before;
        while !rest.is_empty() {
            let frame = Frame::decode(&mut rest)?;
            let chains = frame.before == end.hash
                && frame.position.seq == end.seq.next()
                && frame.position.epoch >= end.epoch;
            if !chains {
                return Err(Error::Parcel("its frames do not chain"));
            }
            end = frame.position;
            frames.push(frame);
        }
        Ok(frames)
    }
}
