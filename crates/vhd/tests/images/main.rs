//! Images by other programs, and images put together by hand for what no program here writes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod checking;
mod damage;
mod fixture;
mod qemu;
mod reading;
