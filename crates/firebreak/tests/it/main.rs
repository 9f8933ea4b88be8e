//! Tests of whole processes.

mod demo;
mod durable;
mod pages;
mod serve;
mod server;
mod strace;
