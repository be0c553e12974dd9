//! A disk's MBR as OpenStack's inspector judges it, in Glance, Nova and Ironic.
//!
//! Source of the rules: oslo.utils 10.2.0, `imageutils/format_inspector.py`, `GPTInspector` (2026); a
//! test asks that program itself.

use serde::{Serialize, Serializer};
use thiserror::Error as ThisError;

use crate::fields::Fields;
use crate::gpt::PROTECTIVE_CHS;
use crate::mbr::{ENTRIES_AT, ENTRY, SIGNATURE, SIGNATURE_AT};

/// What OpenStack's inspector makes of a disk that is handed to it as raw bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OpenStack {
    /// Whether it looks at all: it takes what ends its first sector with 55 AA for a disk with
    /// partitions, unless that is the boot sector of a FAT file system.
    pub judged: bool,
    /// What it objects to. It says only the first, and refuses the image.
    pub objections: Vec<Objection>,
}

/// A reason to refuse a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[allow(missing_docs, reason = "the sentences beside the variants say what their numbers are")]
pub enum Objection {
    #[error("MBR entry {entry} has the boot flag {flag:#04x}, which is neither 00 nor 80")]
    BootFlag { entry: u32, flag: u8 },
    #[error("the protective entry starts at CHS bytes {chs:02x?}, not 00 02 00")]
    StartChs { entry: u32, chs: [u8; 3] },
    #[error("the protective entry starts at LBA {lba}, not 1")]
    StartLba { entry: u32, lba: u32 },
    #[error("the protective entry is not the first and only one")]
    ExtraPartitions,
    #[error("the MBR has no partition")]
    NoPartitions,
}

impl Objection {
    /// What the inspector itself says, in its log.
    pub fn message(&self) -> String {
        match self {
            Self::BootFlag { entry, .. } => format!("MBR PTE {entry} has invalid boot flag"),
            Self::StartChs { .. } => "GPT MBR has invalid start CHS".to_owned(),
            Self::StartLba { .. } => "GPT MBR has invalid start LBA".to_owned(),
            Self::ExtraPartitions => "GPT MBR defines invalid extra partitions".to_owned(),
            Self::NoPartitions => "GPT MBR has no partitions defined".to_owned(),
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::BootFlag { .. } => "boot_flag",
            Self::StartChs { .. } => "start_chs",
            Self::StartLba { .. } => "start_lba",
            Self::ExtraPartitions => "extra_partitions",
            Self::NoPartitions => "no_partitions",
        }
    }
}

/// `{"kind": "start_lba", "text": …, "message": …}`
impl Serialize for Objection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire {
            kind: &'static str,
            text: String,
            message: String,
        }
        Wire { kind: self.key(), text: self.to_string(), message: self.message() }
            .serialize(serializer)
    }
}

impl OpenStack {
    /// Judges a disk's first sector.
    pub(crate) fn judge(sector: &[u8]) -> Self {
        if !sector.has(SIGNATURE_AT, SIGNATURE) || is_fat(sector) {
            return Self::default();
        }
        let mut objections = Vec::new();
        let mut used = Vec::new();
        let mut is_gpt = false;
        let table = sector.part(ENTRIES_AT, 4 * ENTRY).unwrap_or_default();
        for (entry, bytes) in (0..).zip(table.chunks_exact(ENTRY)) {
            let (flag, chs, kind) = (bytes[0], [bytes[1], bytes[2], bytes[3]], bytes[4]);
            if !matches!(flag, 0 | 0x80) {
                objections.push(Objection::BootFlag { entry, flag });
            }
            if kind != 0 {
                used.push(entry);
            }
            if kind == 0xEE {
                is_gpt = true;
                if chs != PROTECTIVE_CHS {
                    objections.push(Objection::StartChs { entry, chs });
                }
                let lba = bytes.le32(8).unwrap_or_default();
                if lba != 1 {
                    objections.push(Objection::StartLba { entry, lba });
                }
            }
        }
        if is_gpt && used != [0] {
            objections.push(Objection::ExtraPartitions);
        }
        if used.is_empty() {
            objections.push(Objection::NoPartitions);
        }
        Self { judged: true, objections }
    }
}

/// Its test for a FAT: two tables, on a fixed disk.
fn is_fat(sector: &[u8]) -> bool {
    sector.byte(0x10) == Some(2) && sector.byte(0x15) == Some(0xF8)
}
