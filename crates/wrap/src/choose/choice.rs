//! Which disk of an archive is meant, of those that there are.

use diskferry_block_stream::{Error, Remedy, Result};
use serde::{Deserialize, Serialize};

/// Which disk of an archive is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The only one: several are an error.
    #[default]
    Only,
    /// The first one, however many there are.
    First,
    /// The one of that number, from 1 on.
    Number(u32),
}

/// A disk in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The member's name.
    pub name: String,
    /// Its length in bytes, where that is known.
    pub size: Option<u64>,
    /// What its first bytes say that it is.
    pub format: Option<&'static str>,
}

impl Choice {
    /// The index of the disk that is meant.
    ///
    /// # Errors
    /// `Misuse` where that is not clear, with the list of what there is; `Unsupported` where there
    /// is none.
    pub fn pick(self, disks: &[Found]) -> Result<usize> {
        let index = match (self, disks.len()) {
            (_, 0) => return Err(Error::unsupported("an archive without a disk in it")),
            (Self::Only, 1) | (Self::First, _) => 0,
            (Self::Only, _) => {
                return Err(Error::misuse(format!("it holds several disks: {}", list(disks)))
                    .mended_by(Remedy::ChooseDisk));
            }
            (Self::Number(number), _) => (number as usize).wrapping_sub(1),
        };
        if index >= disks.len() {
            return Err(Error::misuse(format!("it has no such disk; it has: {}", list(disks))));
        }
        Ok(index)
    }
}

fn list(disks: &[Found]) -> String {
    let shown = disks.iter().take(LISTED).enumerate().map(|(index, disk)| {
        let size = disk.size.map_or_else(String::new, |size| format!(" ({size} bytes)"));
        format!("{} {}{size}", index + 1, disk.name)
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if disks.len() > LISTED {
        text.push_str(&format!(" and {} more", disks.len() - LISTED));
    }
    text
}

/// Disks that a message lists.
const LISTED: usize = 16;

#[cfg(test)]
mod tests {
    use diskferry_block_stream::ErrorKind;

    use super::*;

    fn disks(count: usize) -> Vec<Found> {
        let disk = |index| Found { name: format!("d{index}"), size: Some(5), format: None };
        (1..=count).map(disk).collect()
    }

    #[test]
    fn one_disk_is_meant_or_nothing_is_done() {
        for (choice, count, picked) in [
            (Choice::Only, 1, Ok(0)),
            (Choice::First, 3, Ok(0)),
            (Choice::Number(1), 1, Ok(0)),
            (Choice::Number(3), 3, Ok(2)),
            (Choice::Number(0), 3, Err(ErrorKind::Misuse)),
            (Choice::Number(4), 3, Err(ErrorKind::Misuse)),
            (Choice::Only, 2, Err(ErrorKind::Misuse)),
            (Choice::Only, 0, Err(ErrorKind::Unsupported)),
        ] {
            let found = choice.pick(&disks(count)).map_err(|error| error.kind());
            assert_eq!(found, picked, "{choice:?} of {count}");
        }
        let error = Choice::Only.pick(&disks(2)).unwrap_err().to_string();
        assert!(error.contains("several disks: 1 d1 (5 bytes), 2 d2 (5 bytes)"), "{error}");
        assert!(Choice::Only.pick(&disks(1000)).unwrap_err().to_string().len() < 500);
    }
}
