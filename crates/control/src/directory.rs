//! A member's data directory: who it is, its certificates, the roster, and the lock.
//!
//! ```text
//! lock            held as long as a process works here
//! identity.toml   format, cluster, name, minted id, kind
//! roster.toml     everyone of the cluster
//! tls/            ca.pem member.pem member.key, and authority.key where `init` ran
//! tokens/         open join tokens, where `init` ran
//! operator/       the operator's credentials, where `init` ran
//! register/       durable records of register and lease
//! ```

use crate::journal::sync_folder;
use crate::{Authority, Credentials, Error, Journal, Kind, Roster};
use base::{BootId, MemberId, MemberName, Rng};
use dr::Timing;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const FORMAT: u32 = 1;

/// What only a member's folder holds that was finished.
const AT_WORK: [&str; 3] = ["lock", "roster.toml", "accounts"];
/// What a member's folder may hold before its identity, which comes last; and what a file system
/// puts into a folder of its own.
const UNFINISHED: [&str; 6] =
    ["tls", "operator", "register", "roster.new", "identity.new", "lost+found"];

/// Who a data directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The directory's format.
    pub format: u32,
    /// The cluster's minted number.
    #[serde(with = "crate::roster::minted")]
    pub cluster: MemberId,
    /// The member's name.
    pub name: MemberName,
    /// The member's minted id.
    #[serde(with = "crate::roster::minted")]
    pub id: MemberId,
    /// What it is.
    pub kind: Kind,
}

impl Identity {
    /// Of a member that is made now.
    #[must_use]
    pub fn new(cluster: MemberId, id: MemberId, name: MemberName, kind: Kind) -> Self {
        Self { format: FORMAT, cluster, name, id, kind }
    }
}

/// A data directory in use by this process.
pub struct Directory {
    path: PathBuf,
    /// Who this is.
    pub identity: Identity,
    /// This process lifetime.
    pub boot: BootId,
    _lock: File,
}

impl Directory {
    /// Makes the directory of a new member. Refuses one that holds a member already.
    pub fn create(
        path: &Path,
        identity: &Identity,
        credentials: &Credentials,
        roster: &Roster,
        timing: Timing,
    ) -> Result<(), Error> {
        Self::refuse_used(path)?;
        make_folder(path)?;
        write_credentials(&path.join("tls"), credentials)?;
        if identity.kind.votes() {
            let register = path.join("register");
            if register.is_dir() {
                // Of a member that was never finished: nobody was promised anything.
                std::fs::remove_dir_all(&register).map_err(Error::file("remove", &register))?;
            }
            Journal::create(&register, Journal::SPACE_BYTES)?;
            let mut journal = Journal::open(&register)?;
            journal.put(vec![crate::driver::stored(dr::Member::first_record(timing))])?;
        }
        write_roster(path, roster)?;
        let text = toml::to_string(identity).expect("plain fields always encode");
        write_whole(&path.join("identity.toml"), text.as_bytes())
    }

    /// An error where a new member cannot be made: one lives there already, or did and has lost its
    /// identity, or the folder is for something else. What an interrupted `init` left is no
    /// hindrance.
    pub fn refuse_used(path: &Path) -> Result<(), Error> {
        match read_identity(path) {
            Ok(known) => {
                let name = known.name.as_str().to_owned();
                return Err(Error::AlreadyMember { path: path.to_owned(), name });
            }
            Err(Error::NoIdentity { .. }) => {}
            Err(error) => return Err(error),
        }
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        let mut foreign = false;
        for entry in entries {
            let name = entry.map_err(Error::file("read", path))?.file_name();
            let name = name.to_string_lossy();
            if AT_WORK.contains(&&*name) {
                return Err(Error::Orphaned { path: path.to_owned() });
            }
            foreign |= !UNFINISHED.contains(&&*name);
        }
        if foreign { Err(Error::Foreign { path: path.to_owned() }) } else { Ok(()) }
    }

    /// Opens a member's directory for this process: takes the lock.
    pub fn open(path: &Path, wanted: Kind, rng: &mut dyn Rng) -> Result<Self, Error> {
        let identity = read_identity(path)?;
        if identity.kind != wanted {
            let (found, wanted) = (identity.kind.name(), wanted.name());
            return Err(Error::WrongKind { path: path.to_owned(), found, wanted });
        }
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(Error::file("open", &lock_path))?;
        if let Err(error) =
            rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        {
            return Err(match error {
                rustix::io::Errno::WOULDBLOCK => Error::Locked(path.to_owned()),
                other => Error::file("lock", &lock_path)(other.into()),
            });
        }
        Ok(Self { path: path.to_owned(), identity, boot: BootId::mint(rng), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The durable records.
    pub fn journal(&self) -> Result<Journal, Error> {
        Journal::open(&self.path.join("register"))
    }
}

/// Who lives in a directory.
pub fn read_identity(path: &Path) -> Result<Identity, Error> {
    let file = path.join("identity.toml");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NoIdentity { path: path.to_owned() });
        }
        Err(error) => return Err(Error::file("read", &file)(error)),
    };
    let table: toml::Table = text.parse().map_err(|_| Error::Damaged { path: file.clone() })?;
    let found = table.get("format").and_then(toml::Value::as_integer).unwrap_or(0);
    if found != i64::from(FORMAT) {
        let found = u32::try_from(found).unwrap_or(0);
        return Err(Error::Format { path: file, found, known: FORMAT });
    }
    toml::from_str(&text).map_err(|_| Error::Damaged { path: file })
}

/// Reads a folder of credentials.
pub fn read_credentials(folder: &Path) -> Result<Credentials, Error> {
    let read = |name: &str| {
        let file = folder.join(name);
        std::fs::read_to_string(&file).map_err(Error::file("read", &file))
    };
    let read = Credentials {
        ca_pem: read("ca.pem")?,
        certificate_pem: read("member.pem")?,
        key_pem: read("member.key")?,
    };
    let damaged = |name: &str| Error::Damaged { path: folder.join(name) };
    read.ca().map_err(|_| damaged("ca.pem"))?;
    read.subject().map_err(|_| damaged("member.pem"))?;
    read.key().map_err(|_| damaged("member.key"))?;
    Ok(read)
}

/// Writes a folder of credentials, readable for the owner only.
pub fn write_credentials(folder: &Path, credentials: &Credentials) -> Result<(), Error> {
    make_folder(folder)?;
    write_whole(&folder.join("ca.pem"), credentials.ca_pem.as_bytes())?;
    write_whole(&folder.join("member.pem"), credentials.certificate_pem.as_bytes())?;
    write_whole(&folder.join("member.key"), credentials.key_pem.as_bytes())
}

/// Keeps the authority's key beside the member that made the cluster.
pub fn write_authority(path: &Path, authority: &Authority) -> Result<(), Error> {
    make_folder(&path.join("tls"))?;
    write_whole(&path.join("tls/authority.key"), authority.key_pem().as_bytes())
}

/// The authority, where it is kept; none elsewhere.
pub fn read_authority(path: &Path) -> Result<Option<Authority>, Error> {
    let file = path.join("tls/authority.key");
    match std::fs::read_to_string(&file) {
        Ok(key) => {
            let ca = read_credentials(&path.join("tls"))?.ca_pem;
            Authority::from_pem(&ca, &key).map(Some).map_err(|_| Error::Damaged { path: file })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", &file)(error)),
    }
}

/// The roster that a directory keeps.
pub fn read_roster(path: &Path) -> Result<Roster, Error> {
    let file = path.join("roster.toml");
    let text = std::fs::read_to_string(&file).map_err(Error::file("read", &file))?;
    toml::from_str(&text).map_err(|_| Error::Damaged { path: file })
}

/// Keeps a roster, unless a newer one is kept: several threads keep what they learn.
pub fn write_roster(path: &Path, roster: &Roster) -> Result<(), Error> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if read_roster(path).is_ok_and(|kept| kept.version > roster.version) {
        return Ok(());
    }
    let text = toml::to_string(roster).expect("plain fields always encode");
    write_whole(&path.join("roster.toml"), text.as_bytes())
}

/// Makes a folder that only its owner reads, if it is not there.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(Error::file("make", path))
}

/// Replaces a small file as a whole: write beside, sync, rename, sync the folder.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside).map_err(Error::file("write", &beside))?;
    file.write_all(bytes).map_err(Error::file("write", &beside))?;
    file.sync_all().map_err(Error::file("sync", &beside))?;
    std::fs::rename(&beside, path).map_err(Error::file("rename", path))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OsRng, Subject};

    fn member(path: &Path) -> Identity {
        let id = MemberId::new(3);
        let name: MemberName = "east".parse().expect("a name");
        let identity = Identity::new(MemberId::new(1), id, name.clone(), Kind::Witness);
        let authority = Authority::create(identity.cluster).expect("makes");
        let subject = Subject { id, kind: Kind::Witness };
        let credentials = authority.issue(subject, &name).expect("issues");
        let roster = Roster { cluster: identity.cluster, version: 1, members: Vec::new() };
        Directory::create(path, &identity, &credentials, &roster, Timing::Fast).expect("makes");
        identity
    }

    #[test]
    fn one_process_at_a_time_and_each_has_its_own_boot_id() {
        let folder = tempfile::tempdir().expect("a folder");
        let identity = member(folder.path());
        let first = Directory::open(folder.path(), Kind::Witness, &mut OsRng).expect("opens");
        assert_eq!(first.identity, identity);
        let second = Directory::open(folder.path(), Kind::Witness, &mut OsRng);
        assert!(matches!(second, Err(Error::Locked(_))));
        let boot = first.boot;
        drop(first);
        let third = Directory::open(folder.path(), Kind::Witness, &mut OsRng).expect("opens");
        assert_ne!(third.boot, boot);
        drop(third);
        let wrong = Directory::open(folder.path(), Kind::Region, &mut OsRng);
        assert!(matches!(wrong, Err(Error::WrongKind { .. })));
    }

    #[test]
    fn only_an_empty_folder_or_an_unfinished_members_becomes_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        for leftover in ["tls", "operator", "register", "lost+found"] {
            std::fs::create_dir(path.join(leftover)).expect("makes");
        }
        std::fs::write(path.join("register/records-a"), "torn").expect("writes");
        std::fs::write(path.join("letters.txt"), "not ours").expect("writes");
        assert!(matches!(Directory::refuse_used(path), Err(Error::Foreign { .. })));
        std::fs::remove_file(path.join("letters.txt")).expect("removes");
        member(path);
        drop(Directory::open(path, Kind::Witness, &mut OsRng).expect("it is whole"));
        std::fs::remove_file(path.join("identity.toml")).expect("removes");
        assert!(matches!(Directory::refuse_used(path), Err(Error::Orphaned { .. })));
    }

    #[test]
    fn a_missing_or_damaged_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        member(folder.path());
        let tls = folder.path().join("tls");
        for name in ["ca.pem", "member.pem", "member.key"] {
            let file = tls.join(name);
            let text = std::fs::read(&file).expect("reads");
            std::fs::write(&file, "nothing").expect("writes");
            let damaged = read_credentials(&tls);
            assert!(matches!(damaged, Err(Error::Damaged { path }) if path == file), "{name}");
            std::fs::remove_file(&file).expect("removes");
            let missing = read_credentials(&tls);
            assert!(matches!(missing, Err(Error::Missing { path }) if path == file), "{name}");
            std::fs::write(&file, text).expect("writes");
        }
        assert!(read_credentials(&tls).is_ok());
    }

    #[test]
    fn a_directory_is_given_to_one_member_only() {
        let folder = tempfile::tempdir().expect("a folder");
        member(folder.path());
        let again = Directory::refuse_used(folder.path());
        assert!(matches!(again, Err(Error::AlreadyMember { .. })));
        let file = folder.path().join("identity.toml");
        let text = std::fs::read_to_string(&file).expect("reads").replace("= 1", "= 2");
        std::fs::write(&file, text).expect("writes");
        let other = Directory::open(folder.path(), Kind::Witness, &mut OsRng);
        assert!(matches!(other, Err(Error::Format { found: 2, known: 1, .. })));
    }
}
