//! What fuzzing kept, replayed: inputs that reach every corner, and inputs that once found a bug; and
//! some inputs from seeds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use diskferry_testkit::fuzz::{kept, random};

#[path = "../../../fuzz/src/chain.rs"]
mod chain;
#[path = "../../../fuzz/src/facade.rs"]
mod facade;

#[test]
fn any_file_is_a_disk_or_refused() {
    kept("open", facade::open);
    random(0..300, facade::open);
}

#[test]
fn any_file_is_converted_or_refused() {
    kept("convert", facade::convert);
    random(0..100, facade::convert);
}

#[test]
fn any_folder_of_images_is_a_chain_or_refused() {
    kept("chain", chain::chain);
    random(0..500, chain::chain);
}
