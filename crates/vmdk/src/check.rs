//! Checking: every table read, every grain looked for, and that no two share their place.

use diskferry_block_stream::{
    Bytes, Cancel, Error, Problem, ProblemKind, Progress, Result, SECTOR,
};

use crate::cursor::{head_of, packed_max, packed_size};
use crate::header::Packing;
use crate::image::{Store, Vmdk, in_file};
use crate::sparse::{Grain, Sparse, Table};
use crate::wire;

/// Reports each problem of the image and its extents.
///
/// Progress is the bytes that the extents have of the disk.
pub(crate) fn check(
    image: &Vmdk,
    cancel: &Cancel,
    progress: &Progress,
    report: &mut dyn FnMut(Problem),
) -> Result<()> {
    progress.expect(image.extents.iter().map(|extent| extent.length).sum());
    let several = image.files.len() > 1;
    for extent in &image.extents {
        cancel.check()?;
        let (file, store) = match &extent.store {
            Store::Zero => {
                progress.pass(extent.length);
                continue;
            }
            Store::Elsewhere => {
                let missing = Error::misuse("the files of the extents are not opened");
                return Err(missing.in_file(image.files[0].name()));
            }
            Store::Flat { file, .. } | Store::Sparse { file, .. } => (*file, &extent.store),
        };
        let bytes = image.files[file].as_ref();
        let mut report = |problem: Problem| {
            report(if several { in_file(bytes, problem) } else { problem });
        };
        match store {
            Store::Flat { offset, .. } => {
                flat(bytes, *offset, extent.length, &mut report);
                progress.pass(extent.length);
            }
            Store::Sparse { sparse, .. } => Check {
                bytes,
                sparse,
                start: extent.start,
                table: Vec::new(),
                spans: Vec::new(),
                cancel,
                progress,
                left: extent.length,
                report: &mut report,
            }
            .run()
            .map_err(|error| error.in_file(bytes.name()))?,
            Store::Zero | Store::Elsewhere => {}
        }
    }
    Ok(())
}

fn flat(bytes: &dyn Bytes, offset: u64, length: u64, report: &mut dyn FnMut(Problem)) {
    let end = bytes.len();
    if offset.saturating_add(length) > end {
        let text = format!(
            "a flat extent of {length:#x} bytes at {offset:#x} runs past the end of the file \
             ({end:#x})"
        );
        report(Problem::corruption(offset, text));
    }
}

struct Check<'a> {
    bytes: &'a dyn Bytes,
    sparse: &'a Sparse,
    /// Where the extent begins on the disk.
    start: u64,
    /// The table that is looked at.
    table: Vec<u8>,
    /// What is used of the file.
    spans: Vec<Span>,
    cancel: &'a Cancel,
    progress: &'a Progress,
    /// Bytes of the disk in tables that were not looked at yet.
    left: u64,
    report: &'a mut dyn FnMut(Problem),
}

/// Bytes of the file that something uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    at: u64,
    end: u64,
}

/// Stretches of a file that are kept in mind: 256 MiB of them. Grains that follow each other are
/// one.
const SPANS_MAX: usize = 16 << 20;

impl Check<'_> {
    fn run(mut self) -> Result<()> {
        let sparse = self.sparse;
        self.use_bytes(0, sparse.lowest)?;
        let directory = (sparse.tables() * sparse.width().bytes()).next_multiple_of(SECTOR);
        self.use_bytes(sparse.directory_at, directory)?;
        if let Some(at) = sparse.redundant_at {
            self.use_bytes(at, directory)?;
        }
        for index in 0..sparse.tables() {
            self.cancel.check()?;
            self.table(index)?;
            self.pass(sparse.span());
        }
        self.sharing()?;
        // Where the descriptor gives the disk more than the tables map.
        self.pass(u64::MAX);
        Ok(())
    }

    fn pass(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.progress.pass(bytes);
    }

    fn say(&mut self, kind: ProblemKind, at: u64, text: String) {
        (self.report)(Problem { kind, at: Some(at), text });
    }

    fn use_bytes(&mut self, at: u64, length: u64) -> Result<()> {
        let end = at.saturating_add(length);
        let full = self.spans.len() == SPANS_MAX;
        match self.spans.last_mut() {
            _ if length == 0 => {}
            Some(last) if last.end == at => last.end = end,
            _ if full => {
                return Err(Error::limit(format!("grains in more than {SPANS_MAX} pieces")));
            }
            _ => self.spans.push(Span { at, end }),
        }
        Ok(())
    }

    /// Looks at table `index`, and at its redundant copy.
    fn table(&mut self, index: u64) -> Result<()> {
        let sparse = self.sparse;
        let field = sparse.directory_at + index * sparse.width().bytes();
        let entry = sparse.directory_entry(self.bytes, sparse.directory_at, index)?;
        let used = sparse.directory[index as usize];
        match sparse.table_place(self.bytes, index, entry) {
            Err(problem) => self.say(
                ProblemKind::Corruption,
                field,
                format!("grain directory entry {index:#x} is {entry:#x}, {problem}"),
            ),
            Ok(_) if entry != used => self.say(
                ProblemKind::Corruption,
                field,
                format!("grain directory entry {index:#x} is {entry:#x}, the redundant {used:#x}"),
            ),
            Ok(_) => {}
        }
        let Ok(Table::At(at)) = sparse.table_place(self.bytes, index, used) else {
            return self.without_table(index, used);
        };
        self.read_table(index, at)?;
        self.redundant(index, at)?;
        for grain in 0..sparse.entries_in(index) {
            let entry = sparse.width().entry(&self.table, grain as usize);
            let from = index * sparse.span() + grain * sparse.grain;
            self.grain(at + grain * sparse.width().bytes(), from, entry)?;
        }
        Ok(())
    }

    /// Where the directory has no table, neither has the redundant one.
    fn without_table(&mut self, index: u64, used: u64) -> Result<()> {
        let sparse = self.sparse;
        let Some(directory) = sparse.redundant_at else { return Ok(()) };
        let entry = sparse.directory_entry(self.bytes, directory, index)?;
        if entry != used {
            let field = directory + index * sparse.width().bytes();
            let text = format!(
                "redundant grain directory entry {index:#x} is {entry:#x}, the first {used:#x}"
            );
            self.say(ProblemKind::Corruption, field, text);
        }
        Ok(())
    }

    fn read_table(&mut self, index: u64, at: u64) -> Result<()> {
        let sparse = self.sparse;
        let length = sparse.entries_in(index) * sparse.width().bytes();
        self.use_bytes(at, length.next_multiple_of(SECTOR))?;
        self.table.resize(length as usize, 0);
        self.bytes.read_at(at, &mut self.table)
    }

    /// Compares the table in memory, which is at `at`, with its redundant copy.
    fn redundant(&mut self, index: u64, at: u64) -> Result<()> {
        let sparse = self.sparse;
        let Some(directory) = sparse.redundant_at else { return Ok(()) };
        let entry = sparse.directory_entry(self.bytes, directory, index)?;
        let field = directory + index * sparse.width().bytes();
        match sparse.table_place(self.bytes, index, entry) {
            Ok(Table::At(copy)) if copy != at => {
                let first = std::mem::take(&mut self.table);
                self.read_table(index, copy)?;
                if first != self.table {
                    let text = format!(
                        "the redundant grain table {index:#x} at {copy:#x} differs from the one at \
                         {at:#x}"
                    );
                    self.say(ProblemKind::Oddity, copy, text);
                }
                self.table = first;
            }
            // It is what is used, because the first one is damaged.
            Ok(Table::At(_)) => {}
            Ok(Table::Absent | Table::Zero) => {
                let text = format!("there is no redundant grain table {index:#x}");
                self.say(ProblemKind::Oddity, field, text);
            }
            Err(problem) => {
                let text =
                    format!("redundant grain directory entry {index:#x} is {entry:#x}, {problem}");
                self.say(ProblemKind::Oddity, field, text);
            }
        }
        Ok(())
    }

    /// Looks at the grain for `from` of the extent, whose entry is at `field` of the file.
    fn grain(&mut self, field: u64, from: u64, entry: u64) -> Result<()> {
        let (sparse, guest) = (self.sparse, self.start + from);
        let at = match sparse.grain(entry) {
            Ok(Grain::Absent | Grain::Zero) => return Ok(()),
            Ok(Grain::At(at)) => at,
            Err(problem) => {
                let text = format!("grain table entry for {guest:#x} is {entry:#x}, {problem}");
                self.say(ProblemKind::Corruption, field, text);
                return Ok(());
            }
        };
        let end = self.bytes.len();
        let head = head_of(sparse.packing());
        let length = match sparse.packing() {
            Packing::Plain => sparse.grain.min(sparse.capacity - from),
            Packing::Deflate { .. } if at.saturating_add(head as u64) > end => head as u64,
            packing @ Packing::Deflate { .. } => {
                let mut bytes = [0; 16];
                self.bytes.read_at(at, &mut bytes[..head])?;
                match packed_size(&bytes, packing, guest, at, from) {
                    Ok(size) if u64::from(size) + head as u64 <= packed_max(sparse.grain) => {
                        head as u64 + u64::from(size)
                    }
                    Ok(size) => {
                        let text = format!("the grain {guest:#x} has {size:#x} compressed bytes");
                        self.say(ProblemKind::Corruption, at, text);
                        return Ok(());
                    }
                    Err(damage) => {
                        self.say(ProblemKind::Corruption, at, damage.to_string());
                        return Ok(());
                    }
                }
            }
        };
        if at.saturating_add(length) > end {
            let text = format!(
                "the grain {guest:#x}, {length:#x} bytes at {at:#x}, runs past the end of the file \
                 ({end:#x})"
            );
            self.say(ProblemKind::Corruption, field, text);
            return Ok(());
        }
        let taken = if sparse.packing() == Packing::Plain { sparse.grain } else { length };
        self.use_bytes(at, taken.next_multiple_of(SECTOR))
    }

    /// What is used twice, and what not at all.
    fn sharing(&mut self) -> Result<()> {
        let mut spans = std::mem::take(&mut self.spans);
        spans.sort_unstable();
        let sparse = self.sparse;
        // In a streamOptimized file there are markers between the grains.
        let leaks = sparse.packing() == Packing::Plain && sparse.data != 0;
        let (mut end, mut unused, mut first) = (sparse.data, 0, None);
        let mut gap = |from: u64, to: u64| {
            let grains = to.saturating_sub(from) / sparse.grain;
            if grains > 0 {
                unused += grains;
                first.get_or_insert(from);
            }
        };
        let marked = sparse.packing() == Packing::Deflate { marked: true };
        let mut used_to = 0;
        for Span { at, end: span_end } in spans {
            self.cancel.check()?;
            if at < used_to {
                let shared = span_end.min(used_to);
                let text = format!("{at:#x} to {shared:#x} of the file is used more than once");
                self.say(ProblemKind::Corruption, at, text);
            }
            if marked && at > used_to {
                self.between(used_to, at)?;
            }
            used_to = used_to.max(span_end);
            gap(end, at);
            end = end.max(span_end);
        }
        gap(end, self.bytes.len());
        if marked {
            self.between(used_to, self.bytes.len())?;
        }
        if let Some(at) = first.filter(|_| leaks) {
            self.say(
                ProblemKind::Leak,
                at,
                format!("{unused} grains of the file are used by nothing"),
            );
        }
        Ok(())
    }

    /// Looks at what is between the tables and grains of a streamOptimized file: markers of tables, and at the
    /// start the header's padding. A grain there is one that a table has lost.
    fn between(&mut self, from: u64, to: u64) -> Result<()> {
        let from = from.max(self.sparse.data);
        if to.saturating_sub(from) < SECTOR || from.saturating_add(SECTOR) > self.bytes.len() {
            return Ok(());
        }
        let mut head = [0; wire::GRAIN_MARKER];
        self.bytes.read_at(from, &mut head)?;
        let (lba, size) = wire::grain_place(&head);
        if size != 0 {
            let text = format!("the grain for sector {lba:#x} at {from:#x} is used by nothing");
            self.say(ProblemKind::Corruption, from, text);
        }
        Ok(())
    }
}
