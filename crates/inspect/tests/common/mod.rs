//! Disks as bytes, the tables to put on them, and other programs to ask.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cancel, Cursor, Disk, Error, Extent, Kind, Result};
use diskferry_engine::FileBytes;
use diskferry_inspect::{Finding, Inspection, Patch, inspect};
use diskferry_raw::Raw;
use diskferry_testkit::child::{Bounded, command};
use uuid::Uuid;

pub const MIB: u64 = 1 << 20;

/// A disk that is zeros but for a few pieces, of any size.
#[derive(Clone, Default)]
pub struct Sparse {
    pub size: u64,
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl Sparse {
    pub fn new(size: u64) -> Self {
        Self { size, pieces: BTreeMap::new() }
    }

    /// Puts bytes there, over those that were; what is past the end is lost.
    pub fn put(&mut self, at: u64, bytes: &[u8]) -> &mut Self {
        for (index, byte) in bytes.iter().enumerate() {
            let at = at + index as u64;
            if at < self.size {
                let block =
                    self.pieces.entry(at / BLOCK).or_insert_with(|| vec![0; BLOCK as usize]);
                block[(at % BLOCK) as usize] = *byte;
            }
        }
        self
    }

    /// The disk after patches, of another size.
    pub fn patched(&self, size: u64, patches: &[Patch]) -> Self {
        let mut disk = Self::new(size);
        for (block, bytes) in &self.pieces {
            disk.put(block * BLOCK, bytes);
        }
        for patch in patches {
            disk.put(patch.offset, &patch.bytes);
        }
        disk
    }

    /// The same, when the patches are in order, apart from one another, and within the size.
    pub fn patched_in_order(&self, size: u64, patches: &[Patch]) -> Self {
        let mut end = 0;
        for patch in patches {
            assert!(patch.offset >= end && !patch.bytes.is_empty(), "sorted, without overlaps");
            end = patch.offset + patch.bytes.len() as u64;
        }
        assert!(end <= size);
        self.patched(size, patches)
    }

    /// All bytes; for small disks.
    pub fn whole(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size as usize];
        self.cursor().unwrap().read(0, &mut bytes).unwrap();
        bytes
    }

    /// A sparse file of it.
    pub fn write(&self, path: &Path) {
        use std::os::unix::fs::FileExt;
        let file = File::create(path).unwrap();
        file.set_len(self.size).unwrap();
        for (block, bytes) in &self.pieces {
            let at = block * BLOCK;
            let len = (self.size - at).min(BLOCK) as usize;
            file.write_all_at(&bytes[..len], at).unwrap();
        }
    }

    pub fn inspected(&self) -> Inspection {
        inspect(self, &Cancel::default()).unwrap()
    }

    pub fn findings(&self) -> Vec<Finding> {
        findings(&self.inspected())
    }
}

const BLOCK: u64 = 512;

impl Disk for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn grain(&self) -> u64 {
        BLOCK
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &[]
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(SparseCursor(self)))
    }
}

struct SparseCursor<'a>(&'a Sparse);

impl Cursor for SparseCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        assert!(limit > 0 && at + limit <= self.0.size, "a question within the disk");
        let mut next = self.0.pieces.range(at / BLOCK..);
        let (length, kind) = match next.next().map(|(block, _)| block * BLOCK) {
            Some(start) if start <= at => (start + BLOCK - at, Kind::Data { compressed: false }),
            Some(start) => (start - at, Kind::Zero),
            None => (limit, Kind::Absent),
        };
        Ok(Extent { length: length.min(limit), kind })
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        let end = at + buf.len() as u64;
        if end > self.0.size {
            return Err(Error::misuse("a read past the end"));
        }
        buf.fill(0);
        for (block, bytes) in self.0.pieces.range(at / BLOCK..end.div_ceil(BLOCK)) {
            for (index, byte) in bytes.iter().enumerate() {
                let place = block * BLOCK + index as u64;
                if (at..end).contains(&place) {
                    buf[(place - at) as usize] = *byte;
                }
            }
        }
        Ok(())
    }
}

pub fn findings(inspection: &Inspection) -> Vec<Finding> {
    inspection.notes.iter().map(|note| note.finding.clone()).collect()
}

/// A file as a raw disk.
pub fn raw(path: &Path) -> Raw {
    Raw::open(Arc::new(FileBytes::new("disk", File::open(path).unwrap()).unwrap()))
}

pub fn inspect_file(path: &Path) -> Inspection {
    inspect(&raw(path), &Cancel::default()).unwrap()
}

// Tables ------------------------------------------------------------------------------------------------

/// An entry of an MBR.
#[derive(Clone, Copy)]
pub struct Entry {
    pub flag: u8,
    pub chs: [u8; 3],
    pub kind: u8,
    pub lba: u32,
    pub sectors: u32,
}

pub fn entry(kind: u8, lba: u32, sectors: u32) -> Entry {
    Entry { flag: 0, chs: [0xFE, 0xFF, 0xFF], kind, lba, sectors }
}

pub fn active(kind: u8, lba: u32, sectors: u32) -> Entry {
    Entry { flag: 0x80, ..entry(kind, lba, sectors) }
}

/// The entry that covers a disk of so many bytes.
pub fn protective(size: u64) -> Entry {
    let sectors = u32::try_from(size / 512 - 1).unwrap_or(u32::MAX);
    Entry { chs: [0, 2, 0], ..entry(0xEE, 1, sectors) }
}

/// A first sector, or a link of a chain.
pub fn mbr(entries: &[Entry]) -> Vec<u8> {
    let mut sector = vec![0; 446];
    for entry in entries {
        sector.push(entry.flag);
        sector.extend(entry.chs);
        sector.push(entry.kind);
        sector.extend([0xFE, 0xFF, 0xFF]);
        sector.extend(entry.lba.to_le_bytes());
        sector.extend(entry.sectors.to_le_bytes());
    }
    sector.resize(510, 0);
    sector.extend([0x55, 0xAA]);
    sector
}

pub const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
pub const LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
pub const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";
pub const BASIC: &str = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7";
pub const RESERVED: &str = "e3c9e316-0b5c-4db8-817d-f92df00215ae";

/// A GPT to be made, with everything that a test wants to get wrong.
#[derive(Clone)]
pub struct Table {
    pub sector: u64,
    pub size: u64,
    pub count: u32,
    pub entry_size: u32,
    /// Type, first and last LBA, attributes, name.
    pub parts: Vec<(&'static str, u64, u64, u64, &'static str)>,
    pub backup_at: u64,
    pub last_usable: u64,
}

impl Table {
    /// A table of 128 entries, as it should be.
    pub fn new(size: u64, parts: &[(&'static str, u64, u64, u64, &'static str)]) -> Self {
        Self::with_sector(512, size, parts)
    }

    pub fn with_sector(
        sector: u64,
        size: u64,
        parts: &[(&'static str, u64, u64, u64, &'static str)],
    ) -> Self {
        let last = size / sector - 1;
        Self {
            sector,
            size,
            count: 128,
            entry_size: 128,
            parts: parts.to_vec(),
            backup_at: last,
            last_usable: last - 128 * 128 / sector - 1,
        }
    }

    pub fn entries(&self) -> Vec<u8> {
        let mut table = Vec::new();
        for (index, (kind, first, last, attributes, name)) in self.parts.iter().enumerate() {
            let mut entry = Vec::new();
            entry.extend(Uuid::parse_str(kind).unwrap().to_bytes_le());
            entry.extend(Uuid::from_u128(0xD15C_FE44_0000_0001 + index as u128).to_bytes_le());
            entry.extend(first.to_le_bytes());
            entry.extend(last.to_le_bytes());
            entry.extend(attributes.to_le_bytes());
            entry.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
            entry.resize(self.entry_size as usize, 0);
            table.extend(entry);
        }
        table.resize(self.count as usize * self.entry_size as usize, 0);
        table
    }

    pub fn header(&self, own: u64, other: u64, entries: u64) -> Vec<u8> {
        let table = self.entries();
        let sectors = (table.len() as u64).div_ceil(self.sector);
        let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        for number in [own, other, 2 + sectors, self.last_usable] {
            header.extend(number.to_le_bytes());
        }
        header.extend(Uuid::from_u128(0xD15C_FE44).to_bytes_le());
        header.extend(entries.to_le_bytes());
        for number in [self.count, self.entry_size, crc32fast::hash(&table)] {
            header.extend(number.to_le_bytes());
        }
        seal(&mut header);
        header
    }

    /// The disk, with both copies.
    pub fn disk(&self) -> Sparse {
        let mut disk = Sparse::new(self.size);
        let table = self.entries();
        let sectors = (table.len() as u64).div_ceil(self.sector);
        let backup = self.backup_at;
        let mut guard = protective(self.size);
        guard.sectors = u32::try_from(self.size / self.sector - 1).unwrap_or(u32::MAX);
        disk.put(0, &mbr(&[guard]));
        disk.put(self.sector, &self.header(1, backup, 2));
        disk.put(2 * self.sector, &table);
        disk.put(backup * self.sector, &self.header(backup, 1, backup - sectors));
        disk.put((backup - sectors) * self.sector, &table);
        disk
    }
}

/// Makes the checksum of a header of 92 bytes right.
pub fn seal(header: &mut [u8]) {
    header[16..20].fill(0);
    let crc = crc32fast::hash(&header[..92]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
}

// Other programs ----------------------------------------------------------------------------------------

/// Runs a program of the system's administration, which must be there, and must be content.
pub fn tool(program: &str, args: &[&str]) -> String {
    let output = try_tool(program, args);
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program} {}: {}: {}{}",
        args.join(" "),
        output.status,
        said(&output.stderr),
        said(&output.stdout)
    );
    said(&output.stdout)
}

/// Runs a program, which must be there.
pub fn try_tool(program: &str, args: &[&str]) -> Output {
    // Many of them are not on everybody's path.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = command("env")
        .args(["-i", &format!("PATH={path}"), "LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=1", program])
        .args(args)
        .run()
        .unwrap();
    assert_ne!(
        output.status.code(),
        Some(127),
        "{program} is missing; .ci/setup installs what these tests need"
    );
    output
}

/// An empty file of this size.
pub fn empty(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
