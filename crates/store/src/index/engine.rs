//! Which engine an account's index has.

use super::{Embedded, Index, Memory};
use crate::Error;
use std::path::PathBuf;

/// An engine and where it keeps its files.
#[derive(Clone, Debug)]
pub enum Engine {
    /// Answers by scanning; keeps nothing. The oracle for the others.
    Memory,
    /// Sorted keys in files of a folder of its own.
    Embedded(PathBuf),
}

impl Engine {
    pub(crate) fn open(self) -> Result<Box<dyn Index>, Error> {
        match self {
            Self::Memory => Ok(Box::new(Memory::default())),
            Self::Embedded(dir) => Ok(Box::new(Embedded::open(&dir)?)),
        }
    }
}
