//! What is odd or wrong about a disk, with the numbers.

use serde::{Serialize, Serializer};
use thiserror::Error as ThisError;

use crate::fat::FatDamage;
use crate::gpt::GptDamage;
use crate::{Architecture, ContentKind};

/// A finding, and the partition that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The partition's number; `None` for the disk or its table.
    pub partition: Option<u32>,
    /// What was found.
    pub finding: Finding,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(partition) = self.partition {
            write!(f, "partition {partition}: ")?;
        }
        self.finding.fmt(f)
    }
}

/// `{"partition": 1, "kind": "past_end", "end": …, "disk": …, "text": "partition 1: ends at …"}`
impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            partition: Option<u32>,
            #[serde(flatten)]
            finding: &'a Finding,
            text: String,
        }
        Wire { partition: self.partition, finding: &self.finding, text: self.to_string() }
            .serialize(serializer)
    }
}

/// What is odd or wrong. Offsets and ends are bytes of the disk; ends are exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ThisError)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the sentences beside the variants say what their numbers are")]
pub enum Finding {
    // The disk.
    #[error("the disk's size of {size} bytes is no whole number of {sector}-byte sectors")]
    PartialSector { size: u64, sector: u32 },

    // The MBR.
    #[error("MBR entry {entry} has the boot flag {flag:#04x}, which is neither 00 nor 80")]
    BootFlag { entry: u32, flag: u8 },
    #[error("{count} partitions are marked active")]
    SeveralActive { count: usize },
    #[error("the chain of logical partitions comes back to {at:#x}")]
    ChainLoops { at: u64 },
    #[error("the chain of logical partitions goes on after {most}")]
    ChainTooLong { most: usize },
    #[error(
        "the chain of logical partitions goes to {at:#x}, past the extended partition ({end:#x})"
    )]
    ChainLeaves { at: u64, end: u64 },
    #[error("the chain of logical partitions goes to {at:#x}, where there is no boot record")]
    ChainBroken { at: u64 },

    // The protective MBR.
    #[error("there is a GPT, but no protective MBR")]
    NoProtectiveMbr,
    #[error("the protective MBR entry is entry {entry}, not 0")]
    ProtectiveNotFirst { entry: u32 },
    #[error("the protective MBR entry has the boot flag {flag:#04x}, not 00")]
    ProtectiveFlag { flag: u8 },
    #[error("the protective MBR entry starts at LBA {lba}, not 1")]
    ProtectiveStart { lba: u32 },
    #[error("the protective MBR entry starts at CHS bytes {chs:02x?}, not 00 02 00")]
    ProtectiveChs { chs: [u8; 3] },
    #[error("the protective MBR entry covers {sectors} sectors, not {want}")]
    ProtectiveLength { sectors: u32, want: u32 },
    #[error("{count} MBR partitions stand beside the protective entry (hybrid MBR)")]
    HybridMbr { count: usize },
    #[error("the MBR says that there is a GPT, but there is none")]
    GptMissing,
    #[error("a GPT header stands at {at:#x}, but the MBR does not say that there is a GPT")]
    StaleGpt { at: u64 },

    // The GPT.
    #[error("the primary GPT at {at:#x} is damaged: {damage}")]
    PrimaryDamaged { at: u64, damage: GptDamage },
    #[error("there is no primary GPT at {at:#x}")]
    PrimaryMissing { at: u64 },
    #[error("the backup GPT at {at:#x} is damaged: {damage}")]
    BackupDamaged { at: u64, damage: GptDamage },
    #[error("there is no backup GPT at {at:#x}")]
    BackupMissing { at: u64 },
    #[error("the backup GPT is at {at:#x}, not at the disk's end ({want:#x}): the disk has grown")]
    BackupNotAtEnd { at: u64, want: u64 },
    #[error(
        "the backup GPT should be at {at:#x}, past the disk's end ({disk:#x}): the disk was cut"
    )]
    BackupPastEnd { at: u64, disk: u64 },
    #[error("the backup GPT differs from the primary one in its {field}")]
    CopiesDiffer { field: &'static str },
    #[error("the GPT's usable range ends at {end:#x}, past the disk's end ({disk:#x})")]
    UsablePastEnd { end: u64, disk: u64 },
    #[error("both copies of the GPT are damaged: no partition is known")]
    GptUnusable,

    // A partition.
    #[error("it ends at {end:#x}, past the disk's end ({disk:#x})")]
    PastEnd { end: u64, disk: u64 },
    #[error("it begins at LBA {first} and ends at LBA {last}, before that")]
    Reversed { first: u64, last: u64 },
    #[error("it has no sectors")]
    Empty,
    #[error("it overlaps partition {other}")]
    Overlaps { other: u32 },
    #[error("it begins on the partition table")]
    OnTable,
    #[error(
        "it is {start:#x} to {end:#x}, not within the GPT's usable range, {first:#x} to {last:#x}"
    )]
    OutsideUsable { start: u64, end: u64, first: u64, last: u64 },
    #[error("only the first {most} partitions were looked into")]
    ManyPartitions { most: usize },

    // What is in it.
    #[error("its {content} is {size} bytes, of which {room} have room: something was cut")]
    ContentCut { content: ContentKind, size: u64, room: u64 },
    #[error("its {content} also has the signature of {other}")]
    SeveralSignatures { content: ContentKind, other: ContentKind },
    #[error("its FAT: {damage}")]
    FatDamaged { damage: FatDamage },
    #[error("{path} is a program for {machine}")]
    LoaderMachine { path: String, machine: Architecture },
    #[error("{path} is no EFI program")]
    LoaderNotPe { path: String },
}

/// Notes as they come.
#[derive(Debug, Default)]
pub(crate) struct Notes(pub(crate) Vec<Note>);

impl Notes {
    /// About the disk or its table.
    pub(crate) fn add(&mut self, finding: Finding) {
        self.0.push(Note { partition: None, finding });
    }

    /// About a partition, or what is on the whole disk.
    pub(crate) fn about(&mut self, partition: Option<u32>, finding: Finding) {
        self.0.push(Note { partition, finding });
    }
}
