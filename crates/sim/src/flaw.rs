//! What may be wrong on purpose around the protocol's machine, in the simulator alone.

/// What is wrong on purpose around the protocol's machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// Disks say that they synced, and did not: acknowledged before the fsync.
    AckBeforeSync,
    /// The primary ships what its disk has not synced yet.
    ShipBeforeSync,
    /// A tail is cut though no export of it is kept.
    CutBeforeExport,
}
