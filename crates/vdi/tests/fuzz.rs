//! What fuzzing kept, replayed: inputs that reach every corner, and inputs that once found a bug; and
//! a few thousand inputs from seeds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use diskferry_testkit::fuzz::{kept, random};

#[path = "../../../fuzz/src/vdi.rs"]
mod bodies;

#[test]
fn any_bytes_are_an_image_or_refused() {
    kept("vdi_read", bodies::read);
}

#[test]
fn an_image_with_any_tables_is_an_image_or_refused() {
    kept("vdi_tables", bodies::tables);
    random(0..3000, bodies::tables);
}

#[test]
fn any_disk_reads_back_as_it_was_written() {
    kept("vdi_roundtrip", bodies::roundtrip);
    random(0..40, bodies::roundtrip);
}
