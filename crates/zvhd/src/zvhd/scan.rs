//! From unit to unit: where all of them are, without unpacking any.

use diskferry_block_stream::{Budget, Bytes, Held, Problem, Result};

use crate::damage::Damage;
use crate::header::Flavour;
use crate::unit::{Unit, ZLIB_HEAD};
use crate::wire::{DEFINED, Defined, PAGE, UNIT_END, UNIT_HEAD, unit_head};

/// What a walk through a file finds.
pub(super) struct Scan {
    /// In the order of their blocks, which is that of the file.
    pub units: Held<Vec<Unit>>,
    /// What is odd about the end of the file.
    pub oddities: Vec<Problem>,
}

/// Walks from the unit after the first page, whose defined bytes are `first`, to the last page of a
/// disk of `size` bytes. Each unit costs one read of at most three pages.
pub(super) fn scan(bytes: &dyn Bytes, first: &Defined, size: u64, budget: &Budget) -> Result<Scan> {
    let mut scan = Scan { units: budget.hold(Vec::new()), oddities: Vec::new() };
    let end = bytes.len();
    // The writers of the reference end an empty disk with its first page.
    if size == 0 && end == PAGE {
        return Ok(scan);
    }
    let mut at = PAGE;
    let mut window = Window::default();
    window.read(bytes, at, UNIT_HEAD)?;
    loop {
        let head = window.bytes();
        if Flavour::Zvhd.begins(head) {
            let left = end - at;
            let mut last = vec![0; left.min(DEFINED as u64) as usize];
            bytes.read_at(at, &mut last)?;
            scan.oddities = oddities(at, &last, left, first);
            return Ok(scan);
        }
        if head.is_empty() {
            return Err(Damage::NoLastPage { at }.into());
        }
        let Some((payload, block)) = unit_head(head) else {
            let cut = head.len() < UNIT_HEAD;
            return Err(
                if cut { Damage::PageCut { at, end } } else { Damage::NoUnit { at } }.into()
            );
        };
        let unit = Unit::new(at, payload, block, Flavour::Zvhd)?;
        unit.check_place(scan.units.last().map(|unit| unit.block), size)?;
        let length = unit.length();
        // Units are shorter than 2^23 bytes, and `at` is within the file.
        if at + length > end {
            return Err(Damage::UnitCut { at, block, length, end }.into());
        }
        if scan.units.is_empty() {
            let mut head = [0; ZLIB_HEAD];
            bytes.read_at(at + UNIT_HEAD as u64, &mut head)?;
            unit.without_header(&head[..ZLIB_HEAD.min(payload as usize)])?;
        }
        if payload < FLUSH {
            return Err(Damage::NoFlush { at, block }.into());
        }
        // From the last bytes of the payload to the head of what follows the unit.
        let from = UNIT_HEAD as u64 + u64::from(payload - FLUSH);
        window.read(bytes, at + from, (length - from) as usize + UNIT_HEAD)?;
        let (unit_end, next) = window.bytes().split_at((length - from) as usize);
        if !unit_end.ends_with(&UNIT_END) {
            return Err(Damage::EndMarker { at, block }.into());
        }
        unit.check_flush(&unit_end[..FLUSH as usize])?;
        let next = unit_end.len()..unit_end.len() + next.len();
        grow(&mut scan.units, end - at)?;
        scan.units.push(unit);
        at += length;
        window.keep(next);
    }
}

/// Bytes of the flush that ends a payload.
const FLUSH: u32 = 4;

/// Makes room for another unit, of a file that goes on for so many bytes.
fn grow(units: &mut Held<Vec<Unit>>, left: u64) -> Result<()> {
    if units.len() < units.capacity() {
        return Ok(());
    }
    let most = (left / PAGE).max(1);
    let more = (units.len() as u64).max(64).min(most);
    units.spend("the list of units", more * size_of::<Unit>() as u64)?;
    units.reserve_exact(more as usize);
    Ok(())
}

/// A piece of the file.
#[derive(Default)]
struct Window {
    buf: Vec<u8>,
}

impl Window {
    /// Reads `len` bytes at `at`, or as many as the file has there.
    fn read(&mut self, bytes: &dyn Bytes, at: u64, len: usize) -> Result<()> {
        let have = bytes.len().saturating_sub(at).min(len as u64);
        self.buf.resize(have as usize, 0);
        if self.buf.is_empty() { Ok(()) } else { bytes.read_at(at, &mut self.buf) }
    }

    fn bytes(&self) -> &[u8] {
        &self.buf
    }

    fn keep(&mut self, part: std::ops::Range<usize>) {
        self.buf.truncate(part.end);
        self.buf.drain(..part.start);
    }
}

/// What the last page, which begins at `at` with the bytes `last`, has other than the first one; and
/// what follows it. From `at` on there are `left` bytes.
pub(super) fn oddities(at: u64, last: &[u8], left: u64, first: &Defined) -> Vec<Problem> {
    let mut oddities = Vec::new();
    if last != &first[..last.len()] {
        oddities.push(Problem::oddity(at, "the last page differs from the first"));
    }
    if left < PAGE {
        oddities.push(Problem::oddity(at, format!("the last page has {left} bytes of {PAGE}")));
    }
    if left > PAGE {
        let text = format!("{} bytes follow the last page; they are ignored", left - PAGE);
        oddities.push(Problem::oddity(at + PAGE, text));
    }
    oddities
}
