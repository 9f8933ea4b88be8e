//! Sockets, files and threads around the register and the leases: who a member is, how members
//! know and reach each other, and where their promises are kept.
//!
//! All decisions are in `dr`; nothing here decides who is primary. Depends on `base` and `dr`.

mod authority;
mod clock;
mod directory;
mod driver;
mod error;
mod frame;
mod join;
mod journal;
mod peers;
mod roster;
mod tls;

pub use authority::{Authority, Credentials, Subject};
pub use clock::{OsRng, SystemClock};
pub use directory::{
    Directory, Identity, make_folder, read_authority, read_credentials, read_identity, read_roster,
    write_authority, write_credentials, write_roster, write_whole,
};
pub use driver::{Driver, DriverSetup, Hands, Views};
pub use error::Error;
pub use frame::{PREFIX_BYTES, encode as encode_frame, read as read_frame};
pub use join::{Admission, Joined, Newcomer, TOKEN_LIFE, Token, invite, join};
pub use journal::Journal;
pub use peers::{Hello, Incoming, MESSAGE_BYTES, Peers, QUEUE, Setup, connect_to, tune};
pub use roster::{Kind, Member, Roster};
pub use tls::{Purpose, client, peer, server, server_name};
