//! One account as the service sees it: its store and its gate.

use base::AccountName;
use replication::Gate;
use std::sync::Arc;
use store::AccountStore;

/// An account that is served here.
#[derive(Clone)]
pub struct Account {
    /// Its name, the first segment of every path.
    pub name: AccountName,
    /// Where its resources are.
    pub store: Arc<dyn AccountStore>,
    /// Whether this region may act for it.
    pub gate: Arc<dyn Gate>,
}
