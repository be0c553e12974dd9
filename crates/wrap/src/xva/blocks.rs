//! The members of an XVA in their order: which block of which disk each is, and where it belongs.

use std::collections::HashMap;

use diskferry_block_stream::{Budget, Error, Held, Result};

use super::descriptor::{Machine, Vdi};
use super::proof::{Kind, Listed};
use crate::damage::Damage;
use crate::tar::Entry;

/// What a member is.
#[derive(Clone, Copy)]
pub(crate) enum Member {
    /// A block of a disk.
    Block(Block),
    /// The digest of the block before it.
    Digest(Listed),
    /// Something else.
    Other,
}

impl Member {
    /// Whether there are only as many of its kind as the size of the disk allows: blocks of some bytes, and
    /// their digests.
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::Block(block) => block.stored > 0,
            Self::Digest(digest) => !digest.is_of_nothing,
            Self::Other => false,
        }
    }
}

/// A block of a disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// The disk, by its place in the list.
    pub disk: usize,
    pub number: u64,
    /// Where on the disk it is.
    pub at: u64,
    /// Its bytes on the disk: fewer than are stored where the last one is filled up.
    pub len: u64,
    /// Its bytes in the archive.
    pub stored: u64,
}

/// The disks of an archive, and how far its members have come.
pub(crate) struct Walk {
    disks: Held<Vec<Blocks>>,
    /// How many of them are to be picked from.
    listed: usize,
    by_id: HashMap<String, usize>,
    /// The block that was the last member.
    last: Option<Block>,
}

impl Walk {
    /// # Errors
    /// `Limit` where the list takes too much memory.
    pub fn new(machine: Machine, budget: &Budget) -> Result<Self> {
        let Machine { vdis, disks: listed } = machine;
        let mut disks = budget.hold(Vec::new());
        for vdi in &vdis {
            disks.spend("a machine's disks", vdi.id.len() as u64 * 2 + 256)?;
        }
        let by_id = vdis.iter().enumerate().map(|(index, vdi)| (vdi.id.clone(), index)).collect();
        disks.extend(vdis.into_iter().map(Blocks::new));
        Ok(Self { disks, listed, by_id, last: None })
    }

    /// The disks to pick from.
    pub fn listed(&self) -> impl Iterator<Item = &Blocks> {
        self.disks.iter().take(self.listed)
    }

    /// What the next member is.
    ///
    /// # Errors
    /// `Damaged` where it is a block or a digest, and none that may come here; `Unsupported` for one that is
    /// stored in pieces.
    pub fn member(&mut self, entry: &Entry) -> Result<Member> {
        let last = self.last.take();
        let split = entry.name.rsplit_once('/').filter(|_| entry.is_file);
        let Some((folder, file)) = split else { return Ok(Member::Other) };
        let (stem, end) =
            file.split_once('.').map_or((file, None), |(stem, end)| (stem, Some(end)));
        let number = Some(stem).filter(|stem| stem.bytes().all(|byte| byte.is_ascii_digit()));
        let number: Option<u64> = number.and_then(|stem| stem.parse().ok());
        let damage = |problem| Error::from(Damage::Member { name: entry.name.clone(), problem });
        let (number, disk) = match (number, self.by_id.get(folder)) {
            (Some(number), Some(disk)) => (number, *disk),
            (Some(_), None) if folder.starts_with("Ref:") => {
                return Err(damage("is of a disk that 'ova.xml' does not list".to_owned()));
            }
            _ => return Ok(Member::Other),
        };
        let member = match end.map(Kind::of) {
            None => {
                let block = self.disks[disk].place(disk, number, entry.size).map_err(damage)?;
                self.last = Some(block);
                Member::Block(block)
            }
            Some(Some(kind)) => {
                let block = last.filter(|last| (last.disk, last.number) == (disk, number));
                let block = block.ok_or_else(|| damage("does not follow its block".to_owned()))?;
                let digest = Listed::new(kind, entry.size, block.stored == 0);
                Member::Digest(digest.ok_or_else(|| damage(format!("is no {}", kind.name())))?)
            }
            Some(None) => return Ok(Member::Other),
        };
        let is_plain = matches!(&entry.segments[..], [only] if only.len == entry.size);
        if !is_plain && entry.size > 0 {
            let what =
                format!("'{}', a block of an XVA that is stored as a sparse member", entry.name);
            return Err(Error::unsupported(what));
        }
        Ok(member)
    }

    /// The disk of that place.
    pub fn disk(&self, index: usize) -> &Blocks {
        &self.disks[index]
    }
}

/// How far the blocks of a disk have come.
pub(crate) struct Blocks {
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of a block, which the first one tells.
    block: Option<u64>,
    /// The number that a block without any left out before it has.
    next: u64,
    /// Where on the disk that is.
    at: u64,
}

impl Blocks {
    fn new(vdi: Vdi) -> Self {
        let Vdi { id, size } = vdi;
        Self { id, size, block: None, next: 0, at: 0 }
    }

    /// The next block; else what is wrong with it.
    fn place(&mut self, disk: usize, number: u64, stored: u64) -> Result<Block, String> {
        let size = self.size;
        let Some(skipped) = number.checked_sub(self.next) else {
            let last = self.next - 1;
            return Err(format!(
                "comes behind the block {last} of its disk, in which numbers go up"
            ));
        };
        let block = match self.block {
            Some(block) => block,
            None if number > 0 || stored == 0 => {
                return Err("comes first, and is not the first block of its disk".to_owned());
            }
            None => *self.block.insert(stored),
        };
        let past = || format!("is past the end of its disk, which has {size} bytes");
        let zeros = skipped.checked_mul(block).and_then(|zeros| zeros.checked_add(self.at));
        let at = zeros.filter(|at| *at < size || (*at == size && stored == 0)).ok_or_else(past)?;
        // Whoever fills the last one up has it as long as the others.
        let len = stored.min(size - at);
        if stored != 0 && stored != block && !(stored == len && at + len == size && stored < block)
        {
            return Err(format!("has {stored} bytes, and the blocks of its disk have {block}"));
        }
        self.next = number.checked_add(1).ok_or_else(past)?;
        self.at = at + len;
        Ok(Block { disk, number, at, len, stored })
    }

    /// # Errors
    /// [`Damage::Disk`] where the last block has not come.
    pub fn finish(&self) -> Result<(), Damage> {
        if self.at == self.size {
            return Ok(());
        }
        let problem = match self.block {
            None => "is not in the archive".to_owned(),
            Some(_) => format!(
                "ends at {:#x} in the archive, and has {:#x} bytes, as 'ova.xml' has it",
                self.at, self.size
            ),
        };
        Err(Damage::Disk { id: self.id.clone(), problem })
    }
}

/// Says that the block of that number has no digest beside it.
pub(crate) fn unproven(disk: &str, number: u64) -> String {
    format!("'{}' has no digest beside it, and is not compared", name(disk, number))
}

/// The name of a block's member, as it is mostly written.
pub(crate) fn name(disk: &str, number: u64) -> String {
    format!("{disk}/{number:08}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(size: u64, blocks: &[(u64, u64)]) -> Result<Vec<(u64, u64)>, String> {
        let mut disk = Blocks::new(Vdi { id: "Ref:4".into(), size });
        let mut places = Vec::new();
        for (number, stored) in blocks {
            let block = disk.place(0, *number, *stored)?;
            places.push((block.at, block.len));
        }
        disk.finish().map(|()| places).map_err(|damage| damage.to_string())
    }

    #[test]
    fn blocks_are_where_their_numbers_say_and_signs_of_life_take_no_place() {
        for (size, blocks, places) in [
            (0, &[][..], &[][..]),
            (8, &[(0, 8)], &[(0, 8)]),
            (5, &[(0, 5)], &[(0, 5)]),
            (5, &[(0, 8)], &[(0, 5)]),
            (24, &[(0, 8), (1, 8), (2, 8)], &[(0, 8), (8, 8), (16, 8)]),
            (30, &[(0, 8), (3, 6)], &[(0, 8), (24, 6)]),
            (30, &[(0, 8), (3, 8)], &[(0, 8), (24, 6)]),
            (24, &[(0, 8), (1, 0), (3, 8)], &[(0, 8), (8, 0), (16, 8)]),
            (16, &[(0, 8), (1, 8), (2, 0)], &[(0, 8), (8, 8), (16, 0)]),
        ] {
            assert_eq!(placed(size, blocks).as_deref(), Ok(places), "{size} bytes, {blocks:?}");
        }
    }

    #[test]
    fn what_is_no_next_block_is_damage() {
        for (size, blocks, words) in [
            (24, &[(0, 8), (0, 8)][..], "numbers go up"),
            (24, &[(0, 8), (2, 8), (1, 8)], "numbers go up"),
            (24, &[(1, 8)], "not the first block"),
            (24, &[(0, 0)], "not the first block"),
            (24, &[(0, 8), (3, 8)], "past the end"),
            (24, &[(0, 8), (u64::MAX, 8)], "past the end"),
            (24, &[(0, 8), (u64::MAX, 0)], "past the end"),
            (24, &[(0, 8), (1, 7)], "has 7 bytes"),
            (24, &[(0, 8), (1, 16)], "has 16 bytes"),
            (24, &[(0, 8), (1, 8)], "ends at 0x10"),
            (0, &[(0, 8)], "past the end"),
            (1 << 62, &[(0, 8)], "ends at 0x8"),
            (24, &[], "not in the archive"),
        ] {
            let problem = placed(size, blocks).unwrap_err();
            assert!(problem.contains(words), "{size} bytes, {blocks:?}: {problem}");
        }
    }
}
