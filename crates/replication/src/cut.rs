//! Carrying out a [`ReturnPlan`]: export the tail, then cut it; never the other way round (Q3).

use crate::Error;
use base::{AccountName, Position};
use dr::ReturnPlan;
use store::log::{Exported, Log};

/// Exports of an account lie here, relative to the data directory.
#[must_use]
pub fn export_folder(account: &AccountName) -> String {
    format!("exports/{account}")
}

/// The file of an export, named by what it holds.
#[must_use]
pub fn export_file(account: &AccountName, from: &Position, end: &Position) -> String {
    let folder = export_folder(account);
    let hash: String = end.hash.as_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{folder}/{}-{}-{}-{hash}.tail", end.epoch, from.seq, end.seq)
}

/// Something with a log that can be cut.
pub trait TailLog {
    /// The log's end.
    fn end(&self) -> Position;
    /// Whether the log holds a position.
    ///
    /// # Errors
    /// Those of the log.
    fn holds(&self, position: &Position) -> Result<bool, Error>;
    /// Writes what follows `from` to a file, durably.
    ///
    /// # Errors
    /// Those of the log.
    fn export(&mut self, from: &Position, file: &str) -> Result<Exported, Error>;
    /// Cuts what was exported, durably.
    ///
    /// # Errors
    /// Those of the log.
    fn cut(&mut self, to: &Position, exported: &Exported) -> Result<(), Error>;
}

impl TailLog for Log {
    fn end(&self) -> Position {
        Self::end(self)
    }
    fn holds(&self, position: &Position) -> Result<bool, Error> {
        Ok(self.reader().contains(position)?)
    }
    fn export(&mut self, from: &Position, file: &str) -> Result<Exported, Error> {
        Ok(self.export_tail(from, file)?)
    }
    fn cut(&mut self, to: &Position, exported: &Exported) -> Result<(), Error> {
        Ok(self.rewind(to, exported)?)
    }
}

/// Exports and cuts as the plan says; gives the export, if there was anything to cut. Doing it
/// again after a crash at any step does what is left.
///
/// # Errors
/// [`Error::Plan`] when the log is neither as the plan says nor cut already; those of the log.
pub fn carry_out(log: &mut dyn TailLog, plan: &ReturnPlan) -> Result<Option<Exported>, Error> {
    if log.end() == plan.keep {
        return Ok(None);
    }
    if log.end() != plan.end {
        return Err(Error::Plan("its end is another than that of the log"));
    }
    if !log.holds(&plan.keep)? {
        return Err(Error::Plan("what is to be kept is not in the log"));
    }
    let exported = log.export(&plan.keep, &export_file(&plan.account, &plan.keep, &plan.end))?;
    log.cut(&plan.keep, &exported)?;
    Ok(Some(exported))
}
