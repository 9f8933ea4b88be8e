//! Tests of whole processes.

mod cluster;
mod damage;
mod demo;
mod durable;
mod folder;
mod full;
mod gateways;
mod growth;
mod pages;
mod reference;
mod serve;
mod server;
mod strace;
