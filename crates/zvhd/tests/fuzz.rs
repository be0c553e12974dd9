//! What fuzzing kept, replayed: inputs that reach every corner, and inputs that once found a bug.

use std::path::Path;

use diskferry_testkit::fuzz::replay;

#[path = "../../../fuzz/src/zvhd.rs"]
mod bodies;

/// Replays what is kept for a target; there must be something.
fn kept(target: &str, body: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let inputs = replay(&fuzz.join("corpus").join(target), body);
    assert!(inputs > 0, "nothing is kept for {target}");
    let crashes = fuzz.join("crashes").join(target);
    if crashes.is_dir() {
        replay(&crashes, body);
    }
}

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
