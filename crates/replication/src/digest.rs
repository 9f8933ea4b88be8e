//! Are both copies the same? Digests compared at equal positions, every minute.

use crate::parcel::{Body, Head, Parcel};
use base::{AccountName, BootTime, MemberId, Position, Seq, Span};
use dr::{Holder, Reign};
use store::Digest;

/// How often, by default.
pub const DIGEST_EVERY: Span = Span::from_secs(60);
/// How long an answer is waited for, and how soon it is asked again after none.
const PATIENCE: Span = Span::from_secs(1);

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The copies are the same at this position.
    Equal {
        /// Where.
        at: Position,
    },
    /// They differ: the secondary is `diverged`.
    Differ {
        /// Where.
        at: Position,
        /// In which shards.
        shards: Vec<usize>,
    },
}

/// At the primary: asks the secondary for its digest, and compares.
pub struct DigestWatch {
    account: AccountName,
    me: Holder,
    reign: Reign,
    secondary: MemberId,
    every: Span,
    due: BootTime,
    asked: Option<Digest>,
}

impl DigestWatch {
    /// Asks at once, and then `every` so long.
    #[must_use]
    pub const fn new(
        account: AccountName,
        me: Holder,
        reign: Reign,
        secondary: MemberId,
        every: Span,
    ) -> Self {
        Self { account, me, reign, secondary, every, due: BootTime::ZERO, asked: None }
    }

    /// When to call [`DigestWatch::poll`].
    #[must_use]
    pub const fn timer(&self) -> BootTime {
        self.due
    }

    /// Asks when it is time. `digest` gives the own digest of the position that is applied here
    /// and acknowledged by the secondary.
    pub fn poll(
        &mut self,
        now: BootTime,
        digest: impl FnOnce() -> Option<Digest>,
    ) -> Option<Parcel> {
        if now < self.due {
            return None;
        }
        self.due = now + PATIENCE;
        self.asked = digest();
        let at = self.asked.as_ref()?.position;
        Some(Parcel::bare(Head {
            account: self.account.clone(),
            from: self.me,
            reign: self.reign,
            to_boot: None,
            body: Body::DigestAsk { at },
        }))
    }

    /// Takes in the answer.
    pub fn receive(&mut self, now: BootTime, parcel: &Parcel) -> Option<Compared> {
        let head = &parcel.head;
        let Body::DigestAnswer { at, shards: Some(theirs) } = &head.body else { return None };
        let asked = self.asked.as_ref()?;
        let answers = head.account == self.account
            && head.from.member == self.secondary
            && head.to_boot == Some(self.me.boot)
            && head.reign == self.reign
            && *at == asked.position
            && theirs.len() == asked.shards.len();
        if !answers {
            return None;
        }
        let pairs = asked.shards.iter().zip(theirs).enumerate();
        let shards: Vec<usize> =
            pairs.filter(|(_, (ours, theirs))| ours != theirs).map(|(shard, _)| shard).collect();
        let at = *at;
        self.asked = None;
        self.due = now + self.every;
        Some(if shards.is_empty() {
            Compared::Equal { at }
        } else {
            Compared::Differ { at, shards }
        })
    }
}

/// At the secondary: answers a [`Body::DigestAsk`]; `None` for anything else. `digest` gives the
/// own digest after a commit, if that can still, or already, be told.
pub fn answer_digest(
    me: Holder,
    asked: &Parcel,
    digest: impl FnOnce(Seq) -> Option<Digest>,
) -> Option<Parcel> {
    let Body::DigestAsk { at } = asked.head.body else { return None };
    let own = digest(at.seq).filter(|digest| digest.position == at);
    Some(Parcel::bare(Head {
        account: asked.head.account.clone(),
        from: me,
        reign: asked.head.reign,
        to_boot: Some(asked.head.from.boot),
        body: Body::DigestAnswer { at, shards: own.map(|digest| digest.shards.to_vec()) },
    }))
}
