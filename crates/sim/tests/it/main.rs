//! Stories, random runs, and the power of the checkers.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod planted;
mod random;
mod stories;
