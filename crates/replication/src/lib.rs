//! Shipping an account's log between regions, and the gate that the service passes.
//!
//! The cores are synchronous and own no socket. Depends on `dr`, `store` and `control`.

mod gate;

pub use gate::{Acknowledged, Durability, Gate, Refusal, Term};
