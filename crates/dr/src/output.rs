//! What the parts of a member (acceptor, proposer, leaseholder) ask for.

use crate::{Holder, Message, Record, Token};
use base::{BootId, MemberId};

/// Who sent a message, in which process lifetime.
pub type Sender = Holder;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Send this.
    Send {
        /// The receiver.
        to: MemberId,
        /// For an answer: the process lifetime that asked.
        to_boot: Option<BootId>,
        /// What is said.
        message: Message,
    },
    /// Make this durable, then say so.
    Persist {
        /// To match it.
        token: Token,
        /// What to keep.
        record: Record,
    },
}

impl Output {
    pub(crate) fn answer(to: Sender, message: Message) -> Self {
        Self::Send { to: to.member, to_boot: Some(to.boot), message }
    }
    pub(crate) fn ask(to: MemberId, message: Message) -> Self {
        Self::Send { to, to_boot: None, message }
    }
}
