//! Whether somebody has a file open for writing, as QEMU tells whoever opens it, too.
//!
//! A process of QEMU holds a read lock on one byte of the file for each thing that it does with it, and on
//! another for each that it does not want others to do. Nothing is locked here: the locks of others are asked
//! for. Where a file system knows no locks, nobody can have told anything.
//!
//! Source: QEMU, `block/file-posix.c` and `include/block/block-common.h`.

use std::fs::File;
use std::os::fd::AsFd;

use diskferry_block_stream::{Error, ErrorKind, Note, NoteKind, Remedy, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use serde::{Deserialize, Serialize};

/// What to do about files that somebody, such as a running machine, has locked to write to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Locks {
    /// They are refused: what is read may be torn.
    #[default]
    Respect,
    /// They are read, with a warning.
    Ignore,
}

impl Locks {
    /// The warning for a file that somebody may be writing to, where it is read all the same.
    ///
    /// # Errors
    /// `Io` for such a file, where it is not to be read.
    pub(crate) fn judge(self, name: &str, file: &File) -> Result<Option<Note>> {
        let Some(held) = SIGNS.iter().find(|sign| is_locked(file, sign.byte)) else {
            return Ok(None);
        };
        match self {
            Self::Ignore => {
                let text = format!(
                    "{}, such as a running machine; what is read of it may be torn",
                    held.text
                );
                Ok(Some(Note::of(NoteKind::Locked, name, text)))
            }
            Self::Respect => Err(Error::new(
                ErrorKind::Io,
                format!(
                    "{}, such as a running machine, so that what is read may be torn",
                    held.text
                ),
            )
            .passing()
            .mended_by(Remedy::IgnoreLocks)
            .in_file(name)),
        }
    }
}

/// A byte whose lock says that the file is not to be read now.
struct Sign {
    byte: i64,
    text: &'static str,
}

/// Permissions that are held are at 100 and following, those that are not shared at 200 and following, each by
/// its number: 0 to read what is consistent, 1 to write, 3 to change the length.
const SIGNS: [Sign; 3] = [
    Sign { byte: 101, text: "somebody has it open for writing" },
    Sign { byte: 103, text: "somebody has it open to change its length" },
    Sign { byte: 200, text: "somebody has it open and lets nobody read it" },
];

/// Whether another has locked that byte in any way.
fn is_locked(file: &File, byte: i64) -> bool {
    // Only a lock for writing conflicts with all others.
    let asked = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    let ask = |command: fn(&mut libc::flock) -> FcntlArg<'_>| {
        let mut lock = asked;
        fcntl(file.as_fd(), command(&mut lock)).map(|_| lock.l_type != libc::F_UNLCK as i16)
    };
    match ask(|lock| FcntlArg::F_OFD_GETLK(lock)) {
        // A kernel before 3.15, whose locks are the process's.
        Err(Errno::EINVAL) => ask(|lock| FcntlArg::F_GETLK(lock)).unwrap_or(false),
        other => other.unwrap_or(false),
    }
}
