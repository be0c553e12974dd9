//! What fuzzing kept, replayed: inputs that reach every corner, and inputs that once found a bug.

use std::path::Path;

use diskferry_testkit::fuzz::replay;

#[path = "../../../fuzz/src/unwrap.rs"]
mod bodies;

#[test]
fn any_bytes_are_unwrapped_or_refused() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let inputs = replay(&fuzz.join("corpus/unwrap"), bodies::unwrap);
    assert!(inputs > 0, "nothing is kept");
    let crashes = fuzz.join("crashes/unwrap");
    if crashes.is_dir() {
        replay(&crashes, bodies::unwrap);
    }
}
