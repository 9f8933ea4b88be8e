//! Which engine an account's index has.

use super::{Index, Memory};
use crate::Error;

/// An engine and where it keeps its files.
#[derive(Clone, Debug)]
pub enum Engine {
    /// Answers by scanning; keeps nothing. The oracle for the others.
    Memory,
}

impl Engine {
    pub(crate) fn open(self) -> Result<Box<dyn Index>, Error> {
        match self {
            Self::Memory => Ok(Box::new(Memory::default())),
        }
    }
}
