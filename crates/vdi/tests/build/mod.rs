//! Builds VDI images by hand, of the kinds that neither we nor qemu-img write.
//!
//! The layout here is a second reading of VirtualBox's `VDICore.h`, so that a mistake in the
//! crate's own is not made twice.
#![allow(dead_code, reason = "each test file uses its part")]

use diskferry_block_stream::Disk;
use diskferry_testkit::Model;

/// An image to be.
#[derive(Clone)]
pub struct Build {
    /// The version's number, major << 16 | minor.
    pub version: u32,
    /// What a version 1 header says its length is: 0x180, or 0x190 with the logical geometry.
    pub header_size: u32,
    pub image_type: u32,
    pub size: u64,
    pub block_size: u32,
    pub block_extra: u32,
    /// Where version 1 has its map, and how many bytes are between it and the data.
    pub map_offset: u32,
    pub gap: u32,
    pub parent: [u8; 16],
    pub parent_modification: [u8; 16],
    /// For each block of the disk: what it holds, stored in an order of its own.
    pub blocks: Vec<Block>,
}

/// A block of the disk.
#[derive(Clone)]
pub enum Block {
    Free,
    Zero,
    Stored(Vec<u8>),
}

pub const CREATION: [u8; 16] = *b"\x11\x22\x33\x44\x55\x66\x47\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x01";
pub const CREATION_TEXT: &str = "11223344-5566-4788-99aa-bbccddeeff01";
pub const MODIFICATION_TEXT: &str = "11223344-5566-4788-99aa-bbccddeeff02";
pub const PARENT: [u8; 16] = *b"\x01\x02\x03\x04\x05\x06\x47\x08\x89\x0a\x0b\x0c\x0d\x0e\x0f\x10";
pub const PARENT_TEXT: &str = "01020304-0506-4708-890a-0b0c0d0e0f10";

impl Build {
    /// A dynamic image of the model, as VirtualBox 2 to 7 would lay it out but for the alignment.
    pub fn of(model: &Model, block_size: u32) -> Self {
        let grain = u64::from(block_size);
        let blocks = (0..model.size().div_ceil(grain)).map(|block| {
            let at = block * grain;
            let length = grain.min(model.size() - at);
            if model.first_non_zero(at, length).is_none() {
                return if block % 2 == 0 { Block::Free } else { Block::Zero };
            }
            let mut bytes = model.bytes(at, length as usize);
            bytes.resize(block_size as usize, 0);
            Block::Stored(bytes)
        });
        Self {
            version: 0x0001_0001,
            header_size: 0x190,
            image_type: 1,
            size: model.size(),
            block_size,
            block_extra: 0,
            map_offset: 0x200,
            gap: 0,
            parent: [0; 16],
            parent_modification: [0; 16],
            blocks: blocks.collect(),
        }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = self.head();
        let stored: Vec<_> = (0..self.blocks.len())
            .filter(|block| matches!(self.blocks[*block], Block::Stored(_)))
            .collect();
        // Odd blocks first, each kind from the last to the first.
        let mut order = stored.clone();
        order.sort_by_key(|block| (block % 2 == 0, usize::MAX - block));
        for (block, content) in self.blocks.iter().enumerate() {
            let entry = match content {
                Block::Free => u32::MAX,
                Block::Zero => u32::MAX - 1,
                Block::Stored(_) => order.iter().position(|other| *other == block).unwrap() as u32,
            };
            file.extend(entry.to_le_bytes());
        }
        if self.version >> 16 > 0 {
            file.extend(vec![0x55; self.gap as usize]);
        }
        for block in order {
            let Block::Stored(bytes) = &self.blocks[block] else { unreachable!() };
            file.extend(vec![0xee; self.block_extra as usize]);
            file.extend(bytes);
        }
        file
    }

    fn head(&self) -> Vec<u8> {
        let mut head = b"<<< Sun VirtualBox Disk Image >>>\n".to_vec();
        head.resize(64, 0);
        head.extend(0xbeda_107f_u32.to_le_bytes());
        head.extend(self.version.to_le_bytes());
        let current = self.version >> 16 > 0;
        let mut modification = CREATION;
        modification[15] += 1;
        let put = |head: &mut Vec<u8>, fields: &[u32]| {
            fields.iter().for_each(|field| head.extend(field.to_le_bytes()));
        };
        if current {
            put(&mut head, &[self.header_size]);
        }
        put(&mut head, &[self.image_type, 0]);
        let comment_end = head.len() + 256;
        head.extend("a comment, ü".as_bytes());
        head.resize(comment_end, 0);
        let blocks = self.blocks.len() as u32;
        if current {
            put(&mut head, &[self.map_offset, self.map_offset + 4 * blocks + self.gap]);
        }
        put(&mut head, &[20, 16, 63, 512]);
        if current {
            put(&mut head, &[0]);
        }
        head.extend(self.size.to_le_bytes());
        put(&mut head, &[self.block_size]);
        if current {
            put(&mut head, &[self.block_extra]);
        }
        let stored = self.blocks.iter().filter(|block| matches!(block, Block::Stored(_))).count();
        put(&mut head, &[blocks, stored as u32]);
        for uuid in [CREATION, modification, self.parent] {
            head.extend(mixed_endian(uuid));
        }
        if current {
            head.extend(mixed_endian(self.parent_modification));
            assert_eq!(head.len(), 456);
            if self.header_size >= 0x190 {
                put(&mut head, &[5, 64, 63, 512]);
            }
            head.resize(self.map_offset as usize, 0x33);
        } else {
            assert_eq!(head.len(), 420);
        }
        head
    }
}

/// A uuid as Microsoft and VirtualBox store it.
pub fn mixed_endian(uuid: [u8; 16]) -> [u8; 16] {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    order.map(|index| uuid[index])
}

/// Puts a 32-bit field into a file.
pub fn patch(file: &mut [u8], at: usize, value: u32) {
    file[at..][..4].copy_from_slice(&value.to_le_bytes());
}
