//! What is done with an input for raw disks.

use diskferry_block_stream::Writing;
use diskferry_raw::{Raw, plan};
use diskferry_testkit::format::options;
use diskferry_testkit::fuzz::{Choices, Chosen, any_disk};

/// The input is a disk, and the way it is written.
pub fn roundtrip(input: &[u8]) {
    any_disk(input, choose, |bytes, _| Ok(Box::new(Raw::open(bytes))));
}

/// Options as an input chooses them.
fn choose(choices: &mut Choices<'_>) -> Chosen {
    let chosen = choices.pick(&["", "preallocation=falloc", "preallocation=full"]);
    let chosen = options(chosen, Writing::set);
    let chunk = 64 << 10;
    Chosen {
        chunk,
        unit: 1,
        // Zeros are read back, too: nothing tells that they are.
        most: chunk << 5,
        most_stored: 16 * chunk,
        plan: Box::new(move |size| plan(size, &chosen)),
    }
}
