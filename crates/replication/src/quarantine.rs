//! The tail that a former primary cut, kept whole in the account's log (PROTOCOL.md Q3).
//!
//! ```text
//! former primary                              primary
//!   export file ──Keep(frames after seq)────▶ commit of kind quarantine, its record these frames
//!        ▲      ◀─Kept(up to seq)──────────── │
//!        └── removed when the own log, as secondary, holds those commits durably ◀─ shipped ─┘
//! ```
//! [`Quarantine`] is what the commits of a log say, so both regions know the same; a frame is
//! known by region, epoch, seq and hash, and kept once however often it is sent.

use crate::Error;
use crate::parcel::{Body, Head, Parcel, Tail};
use base::{BootTime, MemberId, Position, Seq, Span};
use bytes::Bytes;
use dr::{Holder, Reign};
use std::collections::BTreeMap;
use store::log::{Export, ExportFrames, Frame};

const VERSION: u8 = 1;
/// Bytes of frames in one quarantine commit, unless one frame alone has more.
const CHUNK_BYTES: usize = 1 << 20;
/// How long an answer is waited for.
const SILENCE: Span = Span::from_secs(2);

/// The record of a commit of kind quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose tail.
    pub tail: Tail,
    /// Its frames follow this position.
    pub after: Position,
    /// The frames, as [`Frame::encode`] writes them.
    pub frames: Bytes,
}

impl Record {
    /// The commit's record.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        let head = postcard::to_stdvec(&(self.tail, self.after));
        out.extend_from_slice(&head.expect("plain data always encodes"));
        out.extend_from_slice(&self.frames);
        out.into()
    }

    /// Reads [`Record::encode`].
    ///
    /// # Errors
    /// [`Error::Record`].
    pub fn decode(record: &Bytes) -> Result<Self, Error> {
        if record.first() != Some(&VERSION) {
            return Err(Error::Record("its version is unknown"));
        }
        let ((tail, after), rest) = postcard::take_from_bytes::<(Tail, Position)>(&record[1..])
            .map_err(|_| Error::Record("its head is none"))?;
        Ok(Self { tail, after, frames: record.slice(record.len() - rest.len()..) })
    }

    /// The frames it holds, each chained to the one before.
    ///
    /// # Errors
    /// [`Error::Record`], [`Error::Log`].
    pub fn frames(&self) -> Result<Vec<Frame>, Error> {
        let mut rest = self.frames.clone();
        let (mut frames, mut end) = (Vec::new(), self.after);
        while !rest.is_empty() {
            let frame = Frame::decode(&mut rest)?;
            if frame.before != end.hash || frame.position.seq != end.seq.next() {
                return Err(Error::Record("its frames do not chain"));
            }
            end = frame.position;
            frames.push(frame);
        }
        Ok(frames)
    }
}

/// A commit in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The region that held it.
    pub region: MemberId,
    /// Its position there.
    pub position: Position,
    /// The quarantine commit that holds it.
    pub within: Seq,
}

/// What an account's log says of its quarantine. Told of every quarantine commit in order, in
/// both regions, also at a start.
#[derive(Debug, Default)]
pub struct Quarantine {
    tails: Vec<Kept>,
    /// By region, seq and hash: the hash covers the epoch.
    commits: BTreeMap<(MemberId, Seq, base::Hash), Quarantined>,
    /// What is being committed at the primary.
    pending: Option<Tail>,
}

#[derive(Debug)]
struct Kept {
    tail: Tail,
    /// How far after each quarantine commit.
    upto: Vec<(Seq, Position)>,
}

/// What the primary does with a [`Body::Keep`].
#[derive(Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Submit this record in a commit of kind quarantine; when it is durable and noted, answer
    /// with [`Quarantine::kept`].
    Commit(Bytes),
    /// Send this.
    Answer(Parcel),
    /// Nothing now: another commit of it is under way, and the sender asks again.
    Wait,
}

impl Quarantine {
    /// Takes note of the quarantine commit `within`.
    ///
    /// # Errors
    /// [`Error::Record`], [`Error::Log`]: the record is damaged; nothing is noted.
    pub fn note(&mut self, within: Seq, record: &Record) -> Result<(), Error> {
        let frames = record.frames()?;
        if self.pending == Some(record.tail) {
            self.pending = None;
        }
        let Some(last) = frames.last().map(|frame| frame.position) else { return Ok(()) };
        for frame in &frames {
            let (region, position) = (record.tail.region, frame.position);
            let key = (region, position.seq, position.hash);
            self.commits.entry(key).or_insert(Quarantined { region, position, within });
        }
        let known = self.upto(&record.tail);
        let kept = match self.tails.iter_mut().find(|kept| kept.tail == record.tail) {
            Some(kept) => kept,
            None => {
                self.tails.push(Kept { tail: record.tail, upto: Vec::new() });
                self.tails.last_mut().expect("one was pushed")
            }
        };
        if record.after == known {
            kept.upto.push((within, last));
        }
        Ok(())
    }

    /// The log was cut back: quarantine commits behind `to` are not in it any more.
    pub fn rewound(&mut self, to: Seq) {
        self.commits.retain(|_, kept| kept.within <= to);
        for kept in &mut self.tails {
            kept.upto.retain(|(within, _)| *within <= to);
        }
        self.tails.retain(|kept| !kept.upto.is_empty());
        self.pending = None;
    }

    /// Up to where a tail is kept; its beginning if nothing is.
    #[must_use]
    pub fn upto(&self, tail: &Tail) -> Position {
        let kept = self.tails.iter().find(|kept| kept.tail == *tail);
        kept.and_then(|kept| kept.upto.last()).map_or(tail.from, |(_, upto)| *upto)
    }

    /// All commits in quarantine, by region and position.
    pub fn commits(&self) -> impl Iterator<Item = &Quarantined> {
        self.commits.values()
    }

    /// Whether a commit of that region is kept.
    #[must_use]
    pub fn holds(&self, region: MemberId, position: &Position) -> bool {
        self.commits.contains_key(&(region, position.seq, position.hash))
    }

    /// At the primary: takes in what a former primary wants kept. `None` for any other parcel,
    /// and for a tail of another region than the sender.
    pub fn keep(&mut self, me: Holder, parcel: &Parcel) -> Option<Keeping> {
        let Body::Keep { tail, after } = parcel.head.body else { return None };
        if tail.region != parcel.head.from.member {
            return None;
        }
        let known = self.upto(&tail);
        if parcel.frames.is_empty() || known == tail.end || after != known.seq {
            return Some(Keeping::Answer(self.kept(me, &parcel.head, tail)));
        }
        if self.pending.is_some() {
            return Some(Keeping::Wait);
        }
        let record = Record { tail, after: known, frames: parcel.frames.clone() };
        let fits = record.frames().is_ok_and(|frames| {
            frames
                .last()
                .is_some_and(|last| last.position.seq < tail.end.seq || last.position == tail.end)
        });
        if !fits {
            return Some(Keeping::Answer(self.kept(me, &parcel.head, tail)));
        }
        self.pending = Some(tail);
        Some(Keeping::Commit(record.encode()))
    }

    /// The commit of a [`Keeping::Commit`] did not come about: the sender will ask again.
    pub fn not_kept(&mut self) {
        self.pending = None;
    }

    /// The answer to a [`Body::Keep`] with this head.
    #[must_use]
    pub fn kept(&self, me: Holder, asked: &Head, tail: Tail) -> Parcel {
        Parcel::bare(Head {
            account: asked.account.clone(),
            from: me,
            reign: asked.reign,
            to_boot: Some(asked.from.boot),
            body: Body::Kept { tail, upto: self.upto(&tail).seq },
        })
    }
}

/// Sends one exported tail to the primary until the own log holds it as quarantine.
pub struct Upload {
    head: Head,
    tail: Tail,
    export: Export,
    frames: Option<(Seq, ExportFrames)>,
    /// How far the primary says it is; `None` until it said so.
    there: Option<Seq>,
    asked: Option<BootTime>,
}

/// What an upload does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Uploading {
    /// Send this to the primary.
    Send(Parcel),
    /// Nothing now: an answer, or the own log, is waited for.
    Wait,
    /// The own log holds all of it durably: remove the export file.
    Done,
}

impl Upload {
    /// For an export that `me` made, into the account of `head`; its body is replaced.
    #[must_use]
    pub fn new(me: Holder, reign: Reign, account: base::AccountName, export: Export) -> Self {
        let exported = export.exported();
        let tail = Tail { region: me.member, from: exported.from(), end: exported.end() };
        let body = Body::Keep { tail, after: tail.from.seq };
        let head = Head { account, from: me, reign, to_boot: None, body };
        Self { head, tail, export, frames: None, there: None, asked: None }
    }

    /// The export file, relative to the data directory.
    #[must_use]
    pub fn file(&self) -> &str {
        self.export.exported().file()
    }

    /// There is another primary, or a new connection: ask anew.
    pub fn restart(&mut self, reign: Reign) {
        self.head.reign = reign;
        self.there = None;
        self.asked = None;
    }

    /// What to do now. `own` is what the own log says, up to its durable end.
    ///
    /// # Errors
    /// [`Error::Log`]: the export cannot be read.
    pub fn poll(&mut self, now: BootTime, own: &Quarantine) -> Result<Uploading, Error> {
        if own.upto(&self.tail) == self.tail.end {
            return Ok(Uploading::Done);
        }
        if self.asked.is_some_and(|asked| now.since(asked) < SILENCE) {
            return Ok(Uploading::Wait);
        }
        let after = self.there.unwrap_or(self.tail.from.seq);
        let mut data = Vec::new();
        if self.there.is_some() && after < self.tail.end.seq {
            let (mut next, mut frames) = match self.frames.take() {
                Some((next, frames)) if next == after.next() => (next, frames),
                _ => (self.tail.from.seq.next(), self.export.frames()),
            };
            while data.len() < CHUNK_BYTES {
                let Some(frame) = frames.next() else { break };
                if next > after {
                    frame?.encode(&mut data);
                }
                next = next.next();
            }
            self.frames = Some((next, frames));
        }
        self.asked = Some(now);
        let body = Body::Keep { tail: self.tail, after };
        let head = Head { body, ..self.head.clone() };
        Ok(Uploading::Send(Parcel { head, frames: data.into() }))
    }

    /// Takes in the primary's answer.
    pub fn receive(&mut self, parcel: &Parcel) {
        let Body::Kept { tail, upto } = parcel.head.body else { return };
        let answers = parcel.head.to_boot == Some(self.head.from.boot) && tail == self.tail;
        if answers && upto >= self.tail.from.seq && upto <= self.tail.end.seq {
            self.there = Some(upto);
            // All is there: what is left is that it comes back in the own log.
            if upto < self.tail.end.seq {
                self.asked = None;
            }
        }
    }

    /// When to poll again at the latest.
    #[must_use]
    pub fn timer(&self) -> BootTime {
        self.asked.map_or(BootTime::ZERO, |asked| asked + SILENCE)
    }
}
