//! The table of internal snapshots: each has an L1 table of its own.
//!
//! Source: QEMU, `docs/interop/qcow2.rst`, "Snapshots".

use diskferry_block_stream::{Budget, Bytes, Held, Result, Snapshot};

use crate::damage::Damage;
use crate::header::{Header, TablePlace};
use crate::image::check_place;
use crate::wire::{self, RawSnapshot};

/// A snapshot with what is needed to read it.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotEntry {
    pub listed: Snapshot,
    pub l1: TablePlace,
    /// The bytes of the snapshot table that describe it.
    pub length: u64,
}

/// QEMU's own bounds on the number of snapshots and on one's extra data.
const SNAPSHOTS_MAX: u32 = 65536;
const EXTRA_MAX: u32 = 1024;

/// Reads the whole table.
pub(crate) fn read(
    bytes: &dyn Bytes,
    header: &Header,
    budget: &Budget,
) -> Result<Held<Vec<SnapshotEntry>>> {
    let mut entries = budget.hold(Vec::new());
    if header.snapshots == 0 {
        return Ok(entries);
    }
    if header.snapshots > SNAPSHOTS_MAX {
        return Err(Damage::TooManySnapshots(header.snapshots).into());
    }
    check_place(bytes, header, "snapshot table", header.snapshots_offset, 0)?;
    let mut at = header.snapshots_offset;
    for index in 0..header.snapshots {
        let entry = read_entry(bytes, &mut entries, index, at)?;
        at += entry.length;
        entries.push(entry);
    }
    Ok(entries)
}

/// Reads the entry at `at`; its memory is spent on the list that it will be in.
fn read_entry(
    bytes: &dyn Bytes,
    list: &mut Held<Vec<SnapshotEntry>>,
    index: u32,
    at: u64,
) -> Result<SnapshotEntry> {
    let mut fixed = [0; wire::SNAPSHOT];
    let past_end = |length: u64| at.checked_add(length).is_none_or(|end| end > bytes.len());
    if past_end(wire::SNAPSHOT as u64) {
        return Err(Damage::Snapshot { index, at, extra: 0 }.into());
    }
    bytes.read_at(at, &mut fixed)?;
    let raw = RawSnapshot::parse(&fixed);
    let (id, name) = (usize::from(raw.id_length), usize::from(raw.name_length));
    let variable = raw.extra_length as usize + id + name;
    let length = (wire::SNAPSHOT + variable) as u64;
    if raw.extra_length > EXTRA_MAX || past_end(length) {
        return Err(Damage::Snapshot { index, at, extra: raw.extra_length }.into());
    }
    list.spend("the list of snapshots", variable as u64)?;
    let mut rest = vec![0; variable];
    bytes.read_at(at + wire::SNAPSHOT as u64, &mut rest)?;
    let (extra, strings) = rest.split_at(raw.extra_length as usize);
    let (state_size, size) = wire::snapshot_extra(extra);
    let listed = Snapshot {
        id: String::from_utf8_lossy(&strings[..id]).into_owned(),
        name: String::from_utf8_lossy(&strings[id..]).into_owned(),
        seconds: u64::from(raw.seconds),
        size,
        state_size: state_size.unwrap_or(u64::from(raw.state_size)),
    };
    let l1 = TablePlace { offset: raw.l1_offset, entries: raw.l1_entries };
    Ok(SnapshotEntry { listed, l1, length: length.next_multiple_of(8) })
}
