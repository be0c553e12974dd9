//! Writing: where an image's blocks and its map go.
//!
//! ```text
//! 0       header
//! 1 MiB   map: one entry for each MiB of the disk
//! 2 MiB   data (later, where a disk above 256 GiB has a longer map): blocks of 1 MiB; of a dynamic
//!         image those that hold something, in the disk's order; of a static one all
//! ```
//!
//! Map and data begin at whole MiB, as in VirtualBox's own images (`VDI_DATA_ALIGN`), so that
//! whatever the storage below counts in, blocks of the disk are whole blocks of it.
//!
//! A dynamic image's map goes out in pages as it fills, and its header last: memory holds a page,
//! and an image that is not finished is no image.

use std::ops::Range;

use diskferry_block_stream::{
    Chunk, Error, Flat, Foretold, Layout, Naming, Packed, Plan, Preallocation, Result, SECTOR,
    Sink, Stamp, Writing,
};

use crate::header::Subformat;
use crate::options::Options;
use crate::wire::{
    self, ENTRY, FREE, HEADER_1_PLUS, RawGeometry, RawHeader, RawUuid, TYPE_DYNAMIC, TYPE_STATIC,
    VERSION_1_1,
};

impl Writing for Options {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.set(key, value)
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        plan(size, self, &naming.stamp)
    }

    fn unit(&self) -> u64 {
        SECTOR
    }

    fn foretell(&self) -> Foretold {
        Foretold::of(self.subformat.name())
    }
}

/// How a disk of `size` bytes is stored.
///
/// A size that is no multiple of 512 is rounded up to one, with zeros. The image's uuid is the
/// stamp's; the uuid of its last modification is made from that.
///
/// # Errors
/// `Misuse` for options that do not go together and for a null uuid, which VirtualBox refuses;
/// `Unsupported` where the size is not known (the map, in front, has room for one size only) or
/// larger than QEMU reads.
pub fn plan(size: Option<u64>, options: &Options, stamp: &Stamp) -> Result<Plan> {
    options.check()?;
    if stamp.uuid == RawUuid::default() {
        return Err(Error::misuse("a VDI image needs a uuid that is not null"));
    }
    let size = size.ok_or_else(|| {
        Error::unsupported("VDI for a disk whose size is known only at its end; state its size")
    })?;
    let shape = Shape::new(size, stamp.uuid)?;
    Ok(if options.subformat == Subformat::Static {
        Plan::Flat(flat(&shape, options.preallocation))
    } else {
        Plan::Packed(Packed {
            chunk: BLOCK as usize,
            parts: 1,
            preallocation: Preallocation::Off,
            packer: None,
            layout: Box::new(VdiLayout::new(shape)),
        })
    })
}

/// Bytes of the disk in a block. VirtualBox makes no other; QEMU reads no other.
const BLOCK: u64 = 1 << 20;

/// What map and data are aligned to.
const ALIGN: u64 = 1 << 20;

/// QEMU's bound: with this many entries a map and a sector stay below 2 GiB.
const BLOCKS_MAX: u64 = ((1 << 31) - SECTOR) / ENTRY;

/// The text in front. VirtualBox and QEMU do not look at it, and both write their own name there;
/// "VirtualBox Disk Image" is in all of VirtualBox's, from innotek's to Oracle's.
const TEXT: &[u8] = b"<<< diskferry VirtualBox Disk Image >>>\n";

/// An image's measures.
struct Shape {
    /// Bytes of the disk to come.
    size: u64,
    blocks: u32,
    data_offset: u64,
    uuid: RawUuid,
}

impl Shape {
    fn new(size: u64, uuid: RawUuid) -> Result<Self> {
        let blocks = size.div_ceil(BLOCK);
        if blocks > BLOCKS_MAX {
            let most = BLOCKS_MAX * BLOCK;
            return Err(Error::unsupported(format!(
                "{size} bytes in VDI, which holds {most} at most"
            )));
        }
        let data_offset = (ALIGN + blocks * ENTRY).next_multiple_of(ALIGN);
        Ok(Self { size, blocks: blocks as u32, data_offset, uuid })
    }

    fn header(&self, image_type: u32, allocated: u32) -> Vec<u8> {
        let mut text = [0; 64];
        text[..TEXT.len()].copy_from_slice(TEXT);
        // Cylinders and the rest are left for VirtualBox to compute, as in its own new images; QEMU
        // insists on the size of a sector.
        let geometry = RawGeometry { sector_size: SECTOR as u32, ..RawGeometry::default() };
        let raw = RawHeader {
            text,
            version: VERSION_1_1,
            header_size: HEADER_1_PLUS,
            image_type,
            flags: 0,
            comment: [0; 256],
            map_offset: ALIGN,
            data_offset: self.data_offset,
            geometry,
            size: self.size.next_multiple_of(SECTOR),
            block_size: BLOCK as u32,
            block_extra: 0,
            blocks: self.blocks,
            allocated,
            creation: self.uuid,
            modification: modification(self.uuid),
            parent: RawUuid::default(),
            parent_modification: RawUuid::default(),
            logical_geometry: Some(geometry),
        };
        raw.to_bytes_1().to_vec()
    }
}

/// The uuid of the last modification: always the same for the same image, another for any other.
/// Version and variant stay what they are.
fn modification(mut uuid: RawUuid) -> RawUuid {
    for (byte, change) in uuid[10..].iter_mut().zip(b"modify") {
        *byte ^= change;
    }
    uuid
}

/// A static image: the disk as it is after header and map, and what makes its last block whole.
fn flat(shape: &Shape, preallocation: Preallocation) -> Flat {
    let entries: Vec<u32> = (0..shape.blocks).collect();
    let mut head = shape.header(TYPE_STATIC, shape.blocks);
    head.resize(ALIGN as usize, 0);
    head.extend(wire::entries_to_bytes(&entries));
    let rest = u64::from(shape.blocks) * BLOCK - shape.size;
    Flat { head, base: shape.data_offset, tail: vec![0; rest as usize], preallocation }
}

/// A dynamic image under construction.
struct VdiLayout {
    shape: Shape,
    /// Entries of the map that are out.
    put: u64,
    /// The entries that follow them.
    page: Vec<u32>,
    /// Blocks in the data so far.
    allocated: u32,
}

/// Entries that go out together: those of 64 GiB, in 256 KiB.
const PAGE: usize = 64 << 10;

impl VdiLayout {
    fn new(shape: Shape) -> Self {
        Self { shape, put: 0, page: Vec::new(), allocated: 0 }
    }

    /// Blocks of the disk that have passed.
    fn passed(&self) -> u64 {
        self.put + self.page.len() as u64
    }

    /// # Errors
    /// `Misuse` when `blocks` more are more than were planned for.
    fn check_room(&self, blocks: u64) -> Result<()> {
        if blocks > u64::from(self.shape.blocks) - self.passed() {
            return Err(other_size(self.shape.size));
        }
        Ok(())
    }

    fn put_page(&mut self, sink: &mut dyn Sink) -> Result<()> {
        sink.put(ALIGN + self.put * ENTRY, &wire::entries_to_bytes(&self.page))?;
        self.put += self.page.len() as u64;
        self.page.clear();
        Ok(())
    }
}

fn other_size(planned: u64) -> Error {
    Error::misuse(format!("a disk of another size than the {planned} bytes that were planned for"))
}

impl Layout for VdiLayout {
    /// The map goes out page by page, the header after it.
    fn owes(&self) -> Vec<Range<u64>> {
        Vec::from([0..ALIGN, ALIGN + self.put * ENTRY..self.shape.data_offset])
    }

    fn zeros(&mut self, mut chunks: u64, sink: &mut dyn Sink) -> Result<()> {
        self.check_room(chunks)?;
        while chunks > 0 {
            let step = chunks.min((PAGE - self.page.len()) as u64);
            self.page.resize(self.page.len() + step as usize, FREE);
            chunks -= step;
            if self.page.len() == PAGE {
                self.put_page(sink)?;
            }
        }
        Ok(())
    }

    fn chunk(&mut self, _chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        self.check_room(1)?;
        let at = self.shape.data_offset + u64::from(self.allocated) * BLOCK;
        self.page.push(self.allocated);
        self.allocated += 1;
        if self.page.len() == PAGE {
            self.put_page(sink)?;
        }
        Ok(at)
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        if size != self.shape.size || self.passed() != u64::from(self.shape.blocks) {
            return Err(other_size(self.shape.size));
        }
        if !self.page.is_empty() {
            self.put_page(sink)?;
        }
        sink.put(0, &self.shape.header(TYPE_DYNAMIC, self.allocated))?;
        Ok(self.shape.data_offset + u64::from(self.allocated) * BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modification_has_a_uuid_of_its_own() {
        let uuid = *b"\x01\x23\x45\x67\x89\xab\x4d\xef\x80\x11\x22\x33\x44\x55\x66\x77";
        let derived = modification(uuid);
        assert_ne!(derived, uuid);
        assert_eq!(derived[..10], uuid[..10]);
        assert_ne!(modification([1; 16]), modification([2; 16]));
    }

    #[test]
    fn data_begins_where_virtualbox_would_begin_it() {
        for (size, blocks, data_offset) in [
            (0, 0, 1 << 20),
            (1, 1, 2 << 20),
            (1 << 20, 1, 2 << 20),
            ((1 << 20) + 1, 2, 2 << 20),
            (256 << 30, 256 << 10, 2 << 20),
            ((256 << 30) + 1, (256 << 10) + 1, 3 << 20),
            (4 << 40, 4 << 20, 17 << 20),
            (BLOCKS_MAX << 20, 0x1fff_ff80, (1 << 31) + (1 << 20)),
        ] {
            let shape = Shape::new(size, [1; 16]).unwrap();
            assert_eq!((shape.blocks, shape.data_offset), (blocks, data_offset), "{size}");
        }
        assert!(Shape::new((BLOCKS_MAX << 20) + 1, [1; 16]).is_err());
    }
}
