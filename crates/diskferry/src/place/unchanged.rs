//! Whether somebody has written to a file while it was read.

use std::io;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Change, Error, Identity, Result, Version};

/// The files that a source is read from, as they were when the work began.
pub(crate) struct Unchanged(Vec<(Arc<dyn Bytes>, Version)>);

impl Unchanged {
    pub fn of<'a>(files: impl IntoIterator<Item = &'a Arc<dyn Bytes>>) -> Self {
        let versions = files.into_iter().filter_map(|it| Some((Arc::clone(it), it.version()?)));
        let mut versions: Vec<_> = versions.collect();
        // What is told is the file, and not what is a part of it or made of several.
        versions.sort_by_key(|(bytes, version)| {
            matches!(bytes.identity(), Identity::Part { .. })
                || matches!(version, Version::Several(_))
        });
        Self(versions)
    }

    /// # Errors
    /// `Io` when somebody has written to one of them since: what was read may be partly from before
    /// and partly from after that.
    pub fn check(&self) -> Result<()> {
        let judge = |(bytes, before): &(Arc<dyn Bytes>, Version)| {
            let why = match before.change(&bytes.version()?)? {
                Change::Written => "somebody wrote to it while it was read",
                Change::TimeSetBack => {
                    "somebody wrote to it while it was read, and set its time back: its inode was changed"
                }
                Change::Replaced => "somebody replaced it while it was read",
            };
            Some(Error::from(io::Error::other(why)).passing().in_file(bytes.name()))
        };
        self.0.iter().find_map(judge).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions, Permissions};
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
    use std::path::Path;
    use std::thread;
    use std::time::{Duration, Instant};

    use diskferry_engine::FileBytes;

    use super::*;

    /// Writes, and makes the file look as if it were as old as it was.
    fn rewrite(path: &Path) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(b"x", 0).unwrap();
        file.set_modified(before).unwrap();
    }

    #[test]
    fn a_write_is_noticed_and_what_leaves_the_bytes_alone_is_not() {
        type Act = fn(&Path);
        let acts: [(&str, Act, Option<&str>); 8] = [
            ("nothing", |_| (), None),
            ("a read", |path| _ = fs::read(path).unwrap(), None),
            ("a write", |path| fs::write(path, b"0123456789").unwrap(), Some("somebody wrote")),
            ("a cut", |path| fs::write(path, b"").unwrap(), Some("somebody wrote")),
            ("a write with the time set back", rewrite, Some("set its time back")),
            ("a link", |path| fs::hard_link(path, path.with_extension("beside")).unwrap(), None),
            ("a new name", |path| fs::rename(path, path.with_extension("beside")).unwrap(), None),
            (
                "permissions",
                |path| fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap(),
                None,
            ),
        ];
        for (what, act, expected) in acts {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("disk");
            fs::write(&path, b"0123456789").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            let file = FileBytes::new("disk", File::open(&path).unwrap()).unwrap();
            let bytes: Arc<dyn Bytes> = Arc::new(file);
            let unchanged = Unchanged::of([&bytes]);
            wait_for_the_clock(folder.path());
            act(&path);
            let told = unchanged.check().map_err(|error| {
                assert!(error.is_worth_retrying(), "{what}");
                error.to_string()
            });
            match expected {
                None => assert_eq!(told, Ok(()), "{what}"),
                Some(text) => assert!(told.unwrap_err().contains(text), "{what}"),
            }
        }
    }

    /// The times of files go in steps of some milliseconds.
    fn wait_for_the_clock(folder: &Path) {
        let time = || {
            fs::write(folder.join("clock"), b"").unwrap();
            let metadata = folder.join("clock").metadata().unwrap();
            (metadata.ctime(), metadata.ctime_nsec())
        };
        let (begun, patience) = (time(), Instant::now() + Duration::from_secs(20));
        while time() == begun {
            assert!(Instant::now() < patience, "the clock stands still");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
