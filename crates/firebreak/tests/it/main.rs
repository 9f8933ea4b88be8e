//! Tests of whole processes.

mod damage;
mod demo;
mod durable;
mod pages;
mod serve;
mod server;
mod strace;
