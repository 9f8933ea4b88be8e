//! Tests of whole processes.

mod durable;
mod pages;
mod server;
mod strace;
