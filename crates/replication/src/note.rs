//! Finds what a log holds in quarantine, without reading all of it at each start.
//!
//! ```text
//! log    ├──────────── read once ────────────┤ upto ├── read at the next start ──┤ durable end
//! note   upto, and which of the commits up to there are of kind quarantine
//! ```
//! The note follows from the commits up to its position and from nothing else. It counts for a log
//! that holds this very position, same place and same hash, and for no other: after a rewind or in
//! another history it says nothing. One that is missing or damaged costs a whole reading, never an
//! entry. It is written now and then, with no haste: what it does not say yet is read again.

use crate::{Error, Quarantine, Record};
use base::{Hash, Position, Seq};
use std::io;
use std::sync::Arc;
use store::disk::{Disk, read_file, replace_file};
use store::log::Reader;
use store::{Commit, CommitKind};

/// The format of the note.
const MAGIC: &[u8; 8] = b"FBQNOTE\x01";
/// The longest note: a few bytes for each quarantine commit, which holds up to 1 MiB of frames.
const NOTE_BYTES: usize = 16 << 20;

/// A search of one log, which goes on as the log grows.
pub struct QuarantineSearch {
    disk: Arc<dyn Disk>,
    file: String,
    reader: Reader,
    found: Found,
    /// Up to where the note on disk says.
    noted: Seq,
}

/// What a search knows, and what the note says.
#[derive(Default)]
struct Found {
    upto: Position,
    commits: Vec<Seq>,
}

impl Found {
    fn encode(&self) -> Vec<u8> {
        let body = postcard::to_stdvec(&(self.upto, &self.commits));
        let body = body.expect("plain data always encodes");
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(Hash::of(&body).as_bytes());
        out.extend_from_slice(&body);
        out
    }

    /// Reads [`Found::encode`]; `None` for anything else.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (hash, body) = rest.split_at_checked(Hash::BYTES)?;
        if Hash::of(body).as_bytes() != hash {
            return None;
        }
        let (upto, commits) = postcard::from_bytes(body).ok()?;
        Some(Self { upto, commits })
    }
}

impl QuarantineSearch {
    /// Begins where the note in `file` ends, if there is one and the log goes through there.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, file: &str, reader: Reader) -> Self {
        let file = file.to_owned();
        let mut search = Self { disk, file, reader, found: Found::default(), noted: Seq::ZERO };
        search.begin();
        search
    }

    fn begin(&mut self) {
        let bytes = read_file(&*self.disk, &self.file, NOTE_BYTES).ok().flatten();
        let note = bytes.and_then(|bytes| Found::decode(&bytes));
        let holds = |note: &Found| self.reader.contains(&note.upto).unwrap_or(false);
        self.found = note.filter(holds).unwrap_or_default();
        self.noted = self.found.upto.seq;
    }

    /// Up to where the log was read.
    #[must_use]
    pub const fn upto(&self) -> Position {
        self.found.upto
    }

    /// Durable commits that were not read yet.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.reader.durable().seq.get().saturating_sub(self.found.upto.seq.get())
    }

    /// Commits that were read and that the note on disk does not speak of.
    #[must_use]
    pub const fn unnoted(&self) -> u64 {
        self.found.upto.seq.get().saturating_sub(self.noted.get())
    }

    /// Reads on to the log's durable end.
    ///
    /// # Errors
    /// [`Error::Log`]; what was read until then stays.
    pub fn go_on(&mut self) -> Result<(), Error> {
        let end = self.reader.durable().seq;
        if !self.reader.contains(&self.found.upto)? {
            // It was cut back meanwhile.
            self.begin();
        }
        for frame in self.reader.frames(self.found.upto.seq.next()) {
            let frame = frame?;
            if frame.position.seq > end {
                break;
            }
            if frame.before != self.found.upto.hash {
                return Err(Error::Record("the log was cut while it was searched"));
            }
            let kind = frame.payload.bytes().and_then(|payload| CommitKind::of_payload(payload));
            if kind == Some(CommitKind::Quarantine) {
                self.found.commits.push(frame.position.seq);
            }
            self.found.upto = frame.position;
        }
        Ok(())
    }

    /// What the log holds in quarantine, up to where it was read.
    ///
    /// # Errors
    /// [`Error::Log`]; [`Error::Record`] for a damaged one.
    pub fn quarantine(&self) -> Result<Quarantine, Error> {
        let mut quarantine = Quarantine::default();
        for &seq in &self.found.commits {
            let gone = || Error::Record("the log was cut while it was searched");
            let frame = self.reader.read(seq)?.ok_or_else(gone)?;
            let Some(payload) = frame.payload.bytes() else { continue };
            let undecodable = |_| Error::Record("its commit does not decode");
            let commit = Commit::decode(payload).map_err(undecodable)?;
            quarantine.note(seq, &Record::decode(&commit.record)?)?;
        }
        Ok(quarantine)
    }

    /// Writes the note, for the next start.
    ///
    /// # Errors
    /// When it could not be written: then the next start reads more.
    pub fn note(&mut self) -> io::Result<()> {
        replace_file(&*self.disk, &self.file, &self.found.encode())?;
        self.noted = self.found.upto.seq;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_has_a_version_and_nothing_else_is_one() {
        let upto = Position { seq: Seq::new(300), hash: Hash::of(b"x"), ..Position::ZERO };
        let bytes = Found { upto, commits: vec![Seq::new(7), Seq::new(299)] }.encode();
        let read = Found::decode(&bytes).expect("as encoded");
        assert_eq!((read.upto, read.commits), (upto, vec![Seq::new(7), Seq::new(299)]));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        insta::assert_snapshot!(hex);
        for at in 0..bytes.len() {
            assert!(Found::decode(&bytes[..at]).is_none());
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Found::decode(&flipped).is_none());
        }
    }
}
