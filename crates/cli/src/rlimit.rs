//! How many files may be open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes as many open files as the system lets us have: an image split into files of 2 GiB has one
/// for each, all open at once, and the usual limit is 1024.
pub fn allow_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where that is refused, the usual limit is enough for all but such images.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
