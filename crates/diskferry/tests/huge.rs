//! Honest disks of 64 TiB, or as large as their format has them, open, map and check within the default limits:
//! empty ones of every format, and a full qcow2 and VDI.
//!
//! A test binary of its own: the allocator counts for the whole process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use cap::Cap;
use diskferry::block_stream::{Bytes, Kind, Plan, Result};
use diskferry::source::Limits;
use diskferry::{Control, Job, OpenOptions};
use diskferry_block_stream::Writing as _;
use diskferry_testkit::format::STAMP;
use diskferry_testkit::{Model, format, within};
use diskferry_vmdk as vmdk;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 1 << 30);

const SIZE: u64 = 64 << 40;

#[test]
fn disks_of_64_tib_open_map_and_check() {
    let stream = || {
        let mut options = vmdk::Options::default();
        options.set("subformat", "streamOptimized").unwrap();
        vmdk::plan(Some(SIZE), &options, &STAMP, Some("disk.vmdk"))
    };
    type Make<'a> = &'a dyn Fn() -> Result<Plan>;
    let largest_vhd = 2040 << 30;
    let empty: [(&str, u64, Make<'_>); 6] = [
        ("qcow2", SIZE, &|| diskferry_qcow2::plan(Some(SIZE), &Default::default())),
        ("vmdk", SIZE, &stream),
        ("vdi", SIZE, &|| diskferry_vdi::plan(Some(SIZE), &Default::default(), &STAMP)),
        ("vhd", largest_vhd, &|| {
            diskferry_vhd::plan(Some(largest_vhd), &Default::default(), &STAMP)
        }),
        ("zvhd", SIZE, &|| diskferry_zvhd::zvhd::plan(Some(SIZE), &Default::default(), &STAMP)),
        ("zvhd2", SIZE, &|| diskferry_zvhd::zvhd2::plan(Some(SIZE), &Default::default(), &STAMP)),
    ];
    for (name, size, make) in empty {
        let file = format::write(make().unwrap(), &Model::empty(size, 1 << 20)).unwrap();
        look(name, file, size, |kind| kind.reads_zero());
    }
    look("raw", Arc::new(FullQcow2), FullQcow2.len(), |_| true);
}

#[test]
fn a_full_qcow2_of_64_tib_opens_maps_and_checks() {
    look("qcow2, full", Arc::new(FullQcow2), SIZE, |kind| matches!(kind, Kind::Plain { .. }));
}

#[test]
fn a_full_vdi_of_64_tib_opens_maps_and_checks() {
    look("vdi, full", Arc::new(FullVdi::new()), SIZE, |kind| matches!(kind, Kind::Plain { .. }));
}

/// Opens, maps and checks an image; it must be of this size, without a problem, and all of this kind.
fn look(name: &str, bytes: Arc<dyn Bytes>, size: u64, is: impl Fn(Kind) -> bool) {
    within(Duration::from_secs(60), name, || {
        let limits = Limits::default();
        let format = (name == "raw").then_some(diskferry::Format::RAW);
        let options = OpenOptions::new().limits(limits).format(format);
        let image = options
            .open_bytes(bytes, None, &Control::default())
            .unwrap_or_else(|error| panic!("{error}"));
        let disk = image.disk();
        assert_eq!(disk.size(), size, "{name}");
        let mut cursor = disk.cursor().unwrap();
        let (mut at, mut extents) = (0, 0);
        while at < size {
            let extent = cursor.extent(at, size - at).unwrap();
            assert!(is(extent.kind), "{name}: {extent:?} at {at:#x}");
            (at, extents) = (at + extent.length, extents + 1);
        }
        assert!(extents < 10_000, "{name}: {extents} extents");
        let job = Job::new(1).unwrap();
        image.check(&job, &mut |problem| panic!("{name}: {}", problem.text)).unwrap();
    });
}

/// A VDI image of 64 TiB of which every block, of 1 MiB, is stored, in the disk's order. Its map has 256 MiB,
/// which is all that the limits let through.
struct FullVdi {
    header: Vec<u8>,
    /// Where the map begins, and the data.
    map: u64,
    data: u64,
}

impl FullVdi {
    const BLOCKS: u64 = SIZE >> 20;

    fn new() -> Self {
        let plan = diskferry_vdi::plan(Some(SIZE), &Default::default(), &STAMP).unwrap();
        let empty = format::write(plan, &Model::empty(SIZE, 1 << 20)).unwrap();
        let mut header = vec![0; 0x200];
        empty.read_at(0, &mut header).unwrap();
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap()).into();
        let (map, data) = (word(0x154), word(0x158));
        header[0x184..0x188].copy_from_slice(&(Self::BLOCKS as u32).to_le_bytes());
        Self { header, map, data }
    }

    fn byte(&self, at: u64) -> u8 {
        match at {
            _ if at < self.header.len() as u64 => self.header[at as usize],
            _ if (self.map..self.map + 4 * Self::BLOCKS).contains(&at) => {
                let at = at - self.map;
                (at / 4).to_le_bytes()[at as usize % 4]
            }
            _ => 0,
        }
    }
}

impl Bytes for FullVdi {
    fn name(&self) -> &str {
        "full.vdi"
    }

    fn len(&self) -> u64 {
        self.data + SIZE
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        (at..).zip(buf).for_each(|(at, byte)| *byte = self.byte(at));
        Ok(())
    }
}

/// A qcow2 image of 64 TiB of which every cluster, of 2 MiB, is stored; its tables are worked out as they are read.
///
/// ```text
/// cluster 0    header
///         1    L1 table
///         2    L2 tables
///              refcount table, refcount blocks
///              the disk
/// ```
struct FullQcow2;

impl FullQcow2 {
    const BITS: u32 = 21;
    const CLUSTER: u64 = 1 << Self::BITS;
    const CLUSTERS: u64 = SIZE / Self::CLUSTER;
    const L2: u64 = 2;
    const L2_TABLES: u64 = Self::CLUSTERS / (Self::CLUSTER / 8);
    const TABLE: u64 = Self::L2 + Self::L2_TABLES;
    const BLOCKS: u64 = Self::TABLE + 1;
    /// Counts of 16 bits.
    const PER_BLOCK: u64 = Self::CLUSTER / 2;
    const BLOCK_COUNT: u64 = Self::CLUSTERS / Self::PER_BLOCK + 1;
    const DATA: u64 = Self::BLOCKS + Self::BLOCK_COUNT;
    const COPIED: u64 = 1 << 63;

    /// The eight bytes at this place, which is a multiple of eight.
    fn word(at: u64) -> u64 {
        let (cluster, index) = (at / Self::CLUSTER, at % Self::CLUSTER / 8);
        let pointer = |cluster: u64| cluster * Self::CLUSTER;
        match cluster {
            0 => match index {
                0 => u64::from(u32::from_be_bytes(*b"QFI\xfb")) << 32 | 3,
                2 => u64::from(Self::BITS),
                3 => SIZE,
                4 => Self::L2_TABLES,
                5 => pointer(1),
                6 => pointer(Self::TABLE),
                7 => 1 << 32,
                12 => 4 << 32 | 104,
                _ => 0,
            },
            1 if index < Self::L2_TABLES => pointer(Self::L2 + index) | Self::COPIED,
            Self::L2..Self::TABLE => {
                let disk = (cluster - Self::L2) * (Self::CLUSTER / 8) + index;
                pointer(Self::DATA + disk) | Self::COPIED
            }
            Self::TABLE if index < Self::BLOCK_COUNT => pointer(Self::BLOCKS + index),
            Self::BLOCKS..Self::DATA => {
                let first = (cluster - Self::BLOCKS) * Self::PER_BLOCK + index * 4;
                let used = |nth: u64| u64::from(first + nth < Self::DATA + Self::CLUSTERS);
                (0..4).fold(0, |word, nth| word << 16 | used(nth))
            }
            _ => 0,
        }
    }
}

impl Bytes for FullQcow2 {
    fn name(&self) -> &str {
        "full.qcow2"
    }

    fn len(&self) -> u64 {
        (Self::DATA + Self::CLUSTERS) * Self::CLUSTER
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buf.len() {
            let place = at + done as u64;
            let word = Self::word(place / 8 * 8).to_be_bytes();
            let part = &word[(place % 8) as usize..];
            let count = part.len().min(buf.len() - done);
            buf[done..done + count].copy_from_slice(&part[..count]);
            done += count;
        }
        Ok(())
    }
}
