//! Tests of whole processes.

mod strace;
