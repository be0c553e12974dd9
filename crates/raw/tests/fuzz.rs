//! What fuzzing kept, replayed: inputs that reach every corner, and inputs that once found a bug.

use diskferry_testkit::fuzz::{kept, random};

#[path = "../../../fuzz/src/raw.rs"]
mod bodies;

#[test]
fn any_disk_reads_back_as_it_was_written() {
    kept("raw_roundtrip", bodies::roundtrip);
    random(0..40, bodies::roundtrip);
}
