//! What is read: versions, pages of them, and cursors between pages.

use crate::{Effect, Error};
use base::{ResourceId, Seq, Stamp, VersionId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use fhir::TypeId;
use serde::{Deserialize, Serialize};

/// One version of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The resource's type.
    pub type_id: TypeId,
    /// Its logical id.
    pub id: ResourceId,
    /// Which version.
    pub version: VersionId,
    /// Its `lastUpdated`.
    pub stamp: Stamp,
    /// The commit that made it: it may be shown once that is acknowledgeable.
    pub seq: Seq,
    /// What made it: never [`Effect::Unchanged`].
    pub effect: Effect,
    /// The exact bytes to be served; `None` for a deletion, or when only counting was asked for.
    pub body: Option<Bytes>,
}

/// Whose history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryScope {
    /// Of one resource.
    Instance(TypeId, ResourceId),
    /// Of one type.
    Type(TypeId),
    /// Of the account.
    System,
}

/// A page of history, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Whose.
    pub scope: HistoryScope,
    /// Only versions stamped at or after this.
    pub since: Option<Stamp>,
    /// At most so many versions; 0 asks for the number of all, whatever the cursor.
    pub count: usize,
    /// Bytes of resources: one alone may have more.
    pub bytes: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

/// Some versions, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The versions.
    pub entries: Vec<Version>,
    /// How many there are on all pages, when asked for and known.
    pub total: Option<u64>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<Cursor>,
    /// The page may be shown once this is acknowledgeable.
    pub seen: Seq,
}

/// What a condition matches now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// At most two: more than one is refused all the same.
    pub ids: Vec<ResourceId>,
    /// The commits up to here were looked at; goes into [`crate::Condition::seen`].
    pub seen: Seq,
}

/// A commit's number and a change's place in it: orders all versions of an account by the moment
/// they were written, the same in both regions and after a rebuild.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Doc(u64);

impl Doc {
    /// How many changes fit one commit.
    pub const CHANGES_MAX: usize = 1 << 14;
    /// Before all.
    pub const FIRST: Self = Self(0);
    /// After all.
    pub const LAST: Self = Self((1 << 56) - 1);
    /// Bytes of its key form.
    pub const BYTES: usize = 7;

    /// The `entry`-th change of commit `seq`; `None` above [`Doc::CHANGES_MAX`] changes or 2^42
    /// commits.
    #[must_use]
    pub fn new(seq: Seq, entry: usize) -> Option<Self> {
        let fits = entry < Self::CHANGES_MAX && seq.get() < 1 << 42;
        fits.then_some(Self(seq.get() << 14 | entry as u64))
    }
    /// The last of commit `seq`, as a bound.
    #[must_use]
    pub const fn last_of(seq: Seq) -> Self {
        Self(seq.get() << 14 | (Self::CHANGES_MAX as u64 - 1))
    }
    /// The commit.
    #[must_use]
    pub const fn seq(self) -> Seq {
        Seq::new(self.0 >> 14)
    }
    /// The change's place in its commit.
    #[must_use]
    pub const fn entry(self) -> usize {
        (self.0 & ((1 << 14) - 1)) as usize
    }
    /// As a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
    /// The one that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
    /// Wraps [`Doc::get`].
    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }
    /// Key form: big-endian, so that bytes sort as numbers.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out.copy_from_slice(&self.0.to_be_bytes()[1..]);
        out
    }
    /// Reads [`Doc::to_bytes`] from the end of a key.
    #[must_use]
    pub fn from_suffix(key: &[u8]) -> Option<Self> {
        let tail = key.len().checked_sub(Self::BYTES)?;
        let mut wide = [0; 8];
        wide[1..].copy_from_slice(&key[tail..]);
        Some(Self(u64::from_be_bytes(wide)))
    }
}

/// The place after the last entry of a page. It holds that entry's sort key and nothing of a
/// server's state: any node goes on from it, also after a restart or a failover, and a resource
/// that did not change between two pages is on exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// In the order of writing.
    Doc(Doc),
    /// In the order of ids, and of types among equal ids.
    Id(ResourceId, TypeId),
}

impl Cursor {
    /// Base64url, for a link.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = vec![1];
        match self {
            Self::Doc(doc) => {
                bytes.push(b'd');
                bytes.extend_from_slice(&doc.to_bytes());
            }
            Self::Id(id, type_id) => {
                bytes.extend_from_slice(&[b'i', type_id.get()]);
                bytes.extend_from_slice(id.as_str().as_bytes());
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads [`Cursor::to_text`].
    ///
    /// # Errors
    /// [`Error::Cursor`] when it is not that.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Cursor)?;
        match bytes.as_slice() {
            [1, b'd', doc @ ..] if doc.len() == Doc::BYTES => {
                Doc::from_suffix(doc).map(Self::Doc).ok_or(Error::Cursor)
            }
            [1, b'i', type_id, id @ ..] => {
                let type_id = TypeId::new(*type_id).ok_or(Error::Cursor)?;
                let id = std::str::from_utf8(id).map_err(|_| Error::Cursor)?;
                id.parse().map(|id| Self::Id(id, type_id)).map_err(|_| Error::Cursor)
            }
            _ => Err(Error::Cursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_anything_else_is_refused() {
        let doc = Cursor::Doc(Doc::new(Seq::new(77), 3).expect("small"));
        let patient = TypeId::from_name("Patient").expect("a type of R4");
        let id = Cursor::Id("a.b-C".parse().expect("an id"), patient);
        for cursor in [doc, id] {
            assert_eq!(Cursor::from_text(&cursor.to_text()).ok(), Some(cursor));
        }
        for bad in ["", "AQ", "!", "AWQB", &URL_SAFE_NO_PAD.encode(b"\x01i\x00/")] {
            assert!(Cursor::from_text(bad).is_err(), "{bad}");
        }
    }
}
