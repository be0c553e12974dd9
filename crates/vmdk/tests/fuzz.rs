//! What fuzzing kept, replayed: inputs that reach every corner, and inputs that once found a bug; and
//! some inputs from seeds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use diskferry_testkit::fuzz::{kept, random};

#[path = "../../../fuzz/src/vmdk.rs"]
mod bodies;

#[test]
fn any_bytes_are_an_image_or_refused() {
    kept("vmdk_read", bodies::read);
}

#[test]
fn an_image_with_any_tables_is_an_image_or_refused() {
    kept("vmdk_tables", bodies::tables);
    random(0..1500, bodies::tables);
}

#[test]
fn any_text_is_a_descriptor_or_refused() {
    kept("vmdk_descriptor", bodies::descriptor);
}

#[test]
fn any_bytes_are_a_stream_or_refused() {
    kept("vmdk_stream", bodies::stream);
}

#[test]
fn any_disk_reads_back_as_it_was_written() {
    kept("vmdk_roundtrip", bodies::roundtrip);
}
