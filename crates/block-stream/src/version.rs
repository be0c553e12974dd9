//! Which bytes a file or an object has, until somebody writes to it.
//!
//! A write changes a file's length or its time of writing. That time can be set back, as `cp -p` and `touch -r` do; but
//! then the inode has a new time of change, which nobody can set. Other things give it one, too: a link, a new name or
//! owner, other permissions. Where one of these is seen, it explains the new time: the bytes are what they were.

use std::fs::{self, File, Metadata};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which bytes [`Bytes`](crate::Bytes) have: what is another when somebody has changed them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Version {
    /// Those of a file, by what the system tells of it.
    File(FileVersion),
    /// Those of an object, by the word that its store has for exactly them: an ETag.
    Tag(String),
    /// Those of several, one after another.
    Several(Vec<Version>),
}

/// What the system tells of a file that changes when somebody writes to it, or else explains a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    length: u64,
    /// Seconds and nanoseconds.
    written: (i64, i64),
    /// The same, of the inode.
    changed: (i64, i64),
    inode: Inode,
}

/// What people change about a file without writing to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Inode {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    /// Where it is, as far as the system knows.
    path: Option<PathBuf>,
}

/// What became of bytes since they had another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody has written to them.
    Written,
    /// Somebody has written to them, and set the time of that back.
    TimeSetBack,
    /// They are another object by the same name.
    Replaced,
}

impl Version {
    /// Of a file; `None` where it is none, or where a time would tell nothing: a device has none.
    pub fn of(file: &File) -> Option<Self> {
        let metadata = file.metadata().ok().filter(Metadata::is_file)?;
        Some(Self::File(FileVersion {
            length: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: Inode {
                mode: metadata.mode(),
                owner: (metadata.uid(), metadata.gid()),
                links: metadata.nlink(),
                path: path_of(file),
            },
        }))
    }

    /// What became of the bytes if they have the version `now`; `None` where they are the same.
    pub fn change(&self, now: &Self) -> Option<Change> {
        match (self, now) {
            (Self::File(then), Self::File(now)) => then.change(now),
            (Self::Several(then), Self::Several(now)) if then.len() == now.len() => {
                then.iter().zip(now).find_map(|(then, now)| then.change(now))
            }
            _ => (self != now).then_some(Change::Replaced),
        }
    }
}

impl FileVersion {
    fn change(&self, now: &Self) -> Option<Change> {
        if (self.length, self.written) != (now.length, now.written) {
            Some(Change::Written)
        } else if self.changed != now.changed && self.inode == now.inode {
            Some(Change::TimeSetBack)
        } else {
            None
        }
    }
}

fn path_of(file: &File) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_another_when_its_tag_is() {
        let tag = |text: &str| Version::Tag(text.to_owned());
        assert_eq!(tag("a").change(&tag("a")), None);
        assert_eq!(tag("a").change(&tag("b")), Some(Change::Replaced));
        let several = |second: &str| Version::Several(vec![tag("a"), tag(second)]);
        assert_eq!(several("b").change(&several("b")), None);
        assert_eq!(several("b").change(&several("c")), Some(Change::Replaced));
        assert_eq!(several("b").change(&tag("a")), Some(Change::Replaced));
    }
}
