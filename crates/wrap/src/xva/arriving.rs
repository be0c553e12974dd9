//! A disk of an XVA that comes in order: its blocks as they pass, and the zeros between them.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use diskferry_block_stream::{Budget, Error, Result};

use super::blocks::{self, Block, Member, Walk};
use super::descriptor::Machine;
use super::proof::{Kind, Sum};
use crate::archive::Archive;
use crate::choose::choice::{Choice, Found};
use crate::damage::Damage;
use crate::ending::Ending;
use crate::peek::{Ahead, Forward, Peek};
use crate::picked::{Arriving, Picked};
use crate::tar::Headers;

/// Begins with the disk that is meant; the archive is behind its descriptor.
///
/// # Errors
/// As for [`Choice::pick`]; `Limit` for a disk that is too large.
pub(crate) fn begin(
    archive: Peek,
    headers: Headers,
    machine: Machine,
    choice: Choice,
    budget: &Budget,
) -> Result<Picked<Arriving>> {
    let walk = Walk::new(machine, budget)?;
    let disks: Vec<Found> = walk.listed().map(blocks::Blocks::found).collect();
    let wanted = choice.pick(&disks)?;
    let disk = walk.disk(wanted);
    budget.limits().check_virtual_size(disk.size)?;
    let (member, size) = (disk.id.clone(), disk.size);
    let ending = Arc::<OnceLock<Ending>>::default();
    let content = Content {
        archive,
        headers,
        walk,
        wanted,
        at: 0,
        state: State::Between,
        kinds: vec![Kind::Sha1, Kind::Xxh64],
        note: None,
        ending: Arc::clone(&ending),
    };
    let body = Arriving { size, content: Peek::new(content), ending };
    Ok(Picked { member, disks, may_have_more: false, archive: Archive::Xva, body })
}

struct Content {
    archive: Peek,
    headers: Headers,
    walk: Walk,
    /// The disk that is meant.
    wanted: usize,
    /// Bytes of it that were handed out.
    at: u64,
    state: State,
    /// The digests that are made of the next block: which one is beside it is known only behind it. It is
    /// the one of the block before.
    kinds: Vec<Kind>,
    /// Why a block was not compared, where one was not.
    note: Option<String>,
    ending: Arc<OnceLock<Ending>>,
}

enum State {
    /// The next header comes next.
    Between,
    /// A block of the disk comes next, or the zeros before it, or its rest.
    Block(Open),
    /// A block has passed, and its digest may come next.
    Passed(Passed),
    /// All was read.
    End,
}

/// A block that is being read.
struct Open {
    block: Block,
    /// Its bytes in the archive that were read.
    read: u64,
    /// Where the header after it is.
    next_header: u64,
    sums: Vec<Sum>,
}

struct Passed {
    number: u64,
    sums: Vec<Sum>,
}

impl Content {
    /// Goes on to the next byte of the disk: how many zeros are before it, and how many are stored from it on.
    /// Neither at the end.
    fn stretch(&mut self) -> Result<(u64, u64)> {
        loop {
            match &self.state {
                State::End => return Ok((0, 0)),
                State::Block(Open { block, read, .. }) if *read < block.len => {
                    let zeros = block.at + read - self.at;
                    return Ok((zeros, block.len - read));
                }
                State::Block(_) => self.close()?,
                State::Between | State::Passed(_) => self.next_member()?,
            }
        }
    }

    /// Passes over what is stored of a block behind the end of the disk, and over the padding.
    fn close(&mut self) -> Result<()> {
        let State::Block(mut open) = std::mem::replace(&mut self.state, State::Between) else {
            return Ok(());
        };
        let mut buf = [0; 4096];
        let mut left = open.block.stored - open.read;
        while left > 0 {
            let part = &mut buf[..left.min(4096) as usize];
            self.archive.fill(part)?;
            open.sums.iter_mut().for_each(|sum| sum.update(part));
            left -= part.len() as u64;
        }
        self.archive.skip(open.next_header - self.archive.at())?;
        self.state = State::Passed(Passed { number: open.block.number, sums: open.sums });
        Ok(())
    }

    fn next_member(&mut self) -> Result<()> {
        let passed = match std::mem::replace(&mut self.state, State::Between) {
            State::Passed(passed) => Some(passed),
            State::Between | State::Block(_) | State::End => None,
        };
        let entry = self.headers.next(&mut self.archive)?;
        let member = match &entry {
            Some(entry) => self.walk.member(entry)?,
            None => Member::Other,
        };
        match (member, &passed) {
            (Member::Digest(_), _) | (_, None) => {}
            (_, Some(Passed { number, .. })) => self.say_unproven(*number),
        }
        let Some(entry) = entry else {
            self.walk.disk(self.wanted).finish()?;
            self.state = State::End;
            self.archive.drain()?;
            let notes = self.note.take().into_iter().collect();
            self.ending.get_or_init(|| Ending { notes, capacity: None });
            return Ok(());
        };
        if member.is_bounded() {
            self.headers.uncount();
        }
        match (member, passed) {
            (Member::Block(block), _) if block.disk == self.wanted => {
                let next_header = self.archive.at().saturating_add(entry.rest);
                let sums = self.kinds.iter().copied().map(Sum::new).collect();
                self.state = State::Block(Open { block, read: 0, next_header, sums });
                Ok(())
            }
            (Member::Digest(digest), Some(passed)) => {
                let mut stated = vec![0; digest.len as usize];
                self.archive.fill(&mut stated)?;
                self.archive.skip(entry.rest - digest.len)?;
                self.compare(passed, digest.kind, &stated)
            }
            _ => self.archive.skip(entry.rest),
        }
    }

    fn compare(&mut self, passed: Passed, kind: Kind, stated: &[u8]) -> Result<()> {
        let Passed { number, mut sums } = passed;
        match sums.iter().position(|sum| sum.kind() == kind) {
            Some(index) => {
                let name = blocks::name(&self.walk.disk(self.wanted).id, number);
                sums.swap_remove(index).compare(&name, stated)?;
            }
            None => self.say_unproven(number),
        }
        self.kinds = vec![kind];
        Ok(())
    }

    fn say_unproven(&mut self, number: u64) {
        let disk = &self.walk.disk(self.wanted).id;
        self.note.get_or_insert_with(|| blocks::unproven(disk, number));
    }

    fn some(&mut self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let (zeros, stored) = self.stretch()?;
        if zeros > 0 {
            let count = zeros.min(buf.len() as u64);
            buf[..count as usize].fill(0);
            self.at += count;
            return Ok(count as usize);
        }
        let State::Block(open) = &mut self.state else { return Ok(0) };
        let room = stored.min(buf.len() as u64) as usize;
        let part = &mut buf[..room];
        let count = self.archive.some(part)?;
        if count == 0 {
            return Err(Error::from(Damage::Short { at: self.archive.at() }));
        }
        open.sums.iter_mut().for_each(|sum| sum.update(&part[..count]));
        open.read += count as u64;
        self.at += count as u64;
        Ok(count)
    }
}

impl Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.some(buf)?)
    }
}

impl Forward for Content {
    fn hole(&mut self) -> Result<u64> {
        let (zeros, _) = self.stretch()?;
        self.at += zeros;
        Ok(zeros)
    }
}
