//! What fuzzing kept, replayed: inputs that reach every corner, and inputs that once found a bug.

use diskferry_testkit::fuzz::kept;

#[path = "../../../fuzz/src/zvhd.rs"]
mod bodies;

#[test]
fn any_bytes_are_an_image_or_refused() {
    kept("zvhd_read", bodies::read);
}

#[test]
fn an_image_with_any_tables_is_an_image_or_refused() {
    kept("zvhd_tables", bodies::tables);
}

#[test]
fn any_disk_reads_back_as_it_was_written() {
    kept("zvhd_roundtrip", bodies::roundtrip);
}
