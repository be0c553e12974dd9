//! What fuzzing kept, replayed: inputs that reach every corner, and inputs that once found a bug; and
//! some inputs from seeds.

use diskferry_testkit::fuzz::{kept, random};

#[path = "../../../fuzz/src/unwrap.rs"]
mod bodies;

#[test]
fn any_bytes_are_unwrapped_or_refused() {
    kept("unwrap", bodies::unwrap);
}

#[test]
fn any_wrappers_are_taken_off_or_refused() {
    kept("packages", bodies::packages);
    random(0..300, bodies::packages);
}

#[test]
fn any_disk_reads_back_as_it_was_written() {
    kept("ova_roundtrip", bodies::roundtrip);
}
