//! Tests of whole processes.

mod durable;
mod pages;
mod serve;
mod server;
mod strace;
