//! The size that a descriptor gives a disk, to be compared with the one that it has.

use crate::objection::{Objection, Point};
use crate::ovf::Descriptor;

/// What a descriptor says of a disk's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    descriptor: String,
    /// The name of the member that has the disk.
    disk: String,
    bytes: u64,
}

impl Capacity {
    /// What the descriptor says of the disk in the member of that name, where it says anything.
    pub(crate) fn of(descriptor: &Descriptor, disk: &str) -> Option<Self> {
        let listed = descriptor.disks.iter().find(|it| it.is(disk, ""));
        let bytes = listed.and_then(|it| it.capacity)?;
        Some(Self { descriptor: descriptor.name.clone(), disk: disk.to_owned(), bytes })
    }

    /// That the disk has another size, in bytes, but for the rest of a grain of 64 KiB: some count that
    /// in, and some do not.
    pub fn object(&self, size: u64) -> Option<Objection> {
        let Self { descriptor, disk, bytes } = self;
        let text =
            || format!("'{descriptor}' has the disk in '{disk}' with {bytes} bytes; it has {size}");
        let differs = bytes.div_ceil(GRAIN) != size.div_ceil(GRAIN);
        differs.then(|| Objection::new(Point::Capacity, None, text()))
    }
}

/// Bytes of a grain of a VMDK, by which some writers count.
const GRAIN: u64 = 64 << 10;
