//! Images put together field by field, for what no program here can write.
#![allow(dead_code, reason = "fuzz targets build images with it, too, and use a part")]

use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Result};
use diskferry_vhd::Vhd;

pub const FIXED: u32 = 2;
pub const DYNAMIC: u32 = 3;
pub const DIFFERENCING: u32 = 4;

/// An image. The default is a dynamic disk of no blocks, by Windows.
pub struct Fixture {
    pub creator: [u8; 4],
    pub disk_type: u32,
    /// Virtual size in bytes.
    pub size: u64,
    pub geometry: (u16, u8, u8),
    pub uuid: [u8; 16],
    pub block: u32,
    /// Table entries, where there are more than the disk needs.
    pub entries: Option<u32>,
    /// Index, bitmap without its padding, data.
    pub blocks: Vec<(u32, Vec<u8>, Vec<u8>)>,
    pub parent_uuid: [u8; 16],
    pub parent_name: Vec<u8>,
    /// Platform code and bytes.
    pub locators: Vec<([u8; 4], Vec<u8>)>,
    /// Bytes between the table and what follows it.
    pub gap: Vec<u8>,
}

impl Default for Fixture {
    fn default() -> Self {
        Self {
            creator: *b"win ",
            disk_type: DYNAMIC,
            size: 3 * 4096,
            geometry: (0, 4, 17),
            uuid: *b"the disk itself!",
            block: 4096,
            entries: None,
            blocks: Vec::new(),
            parent_uuid: [0; 16],
            parent_name: Vec::new(),
            locators: Vec::new(),
            gap: Vec::new(),
        }
    }
}

/// Offsets of an image's structures, where [`Fixture::build`] puts them.
pub const HEADER: usize = 512;
pub const TABLE: usize = 1536;

impl Fixture {
    pub fn footer(&self) -> Vec<u8> {
        let mut footer = vec![0; 512];
        let header = if self.disk_type == FIXED { u64::MAX } else { HEADER as u64 };
        put(&mut footer, 0, b"conectix");
        put(&mut footer, 8, &2_u32.to_be_bytes());
        put(&mut footer, 12, &0x10000_u32.to_be_bytes());
        put(&mut footer, 16, &header.to_be_bytes());
        put(&mut footer, 24, &1000_u32.to_be_bytes());
        put(&mut footer, 28, &self.creator);
        put(&mut footer, 32, &0x5_0003_u32.to_be_bytes());
        put(&mut footer, 36, b"Wi2k");
        put(&mut footer, 40, &self.size.to_be_bytes());
        put(&mut footer, 48, &self.size.to_be_bytes());
        put(&mut footer, 56, &self.geometry.0.to_be_bytes());
        put(&mut footer, 58, &[self.geometry.1, self.geometry.2]);
        put(&mut footer, 60, &self.disk_type.to_be_bytes());
        put(&mut footer, 68, &self.uuid);
        seal_footer(&mut footer, 0);
        footer
    }

    /// A fixed disk of these bytes.
    pub fn fixed(&self, disk: &[u8]) -> Vec<u8> {
        [disk, &self.footer()].concat()
    }

    /// A dynamic or differencing disk.
    pub fn build(&self) -> Vec<u8> {
        let needed = self.size.div_ceil(u64::from(self.block)) as u32;
        let entries = self.entries.unwrap_or(needed);
        let mut image = self.footer();
        image.resize(TABLE, 0);
        put(&mut image, HEADER, b"cxsparse");
        put(&mut image, HEADER + 8, &u64::MAX.to_be_bytes());
        put(&mut image, HEADER + 16, &(TABLE as u64).to_be_bytes());
        put(&mut image, HEADER + 24, &0x10000_u32.to_be_bytes());
        put(&mut image, HEADER + 28, &entries.to_be_bytes());
        put(&mut image, HEADER + 32, &self.block.to_be_bytes());
        put(&mut image, HEADER + 40, &self.parent_uuid);
        put(&mut image, HEADER + 64, &self.parent_name);
        image.resize(TABLE + (entries as usize * 4).next_multiple_of(512), 0xff);
        image.extend_from_slice(&self.gap);
        for (index, (platform, name)) in self.locators.iter().enumerate() {
            let at = HEADER + 576 + index * 24;
            let place = image.len().next_multiple_of(512) as u64;
            image.resize(place as usize, 0);
            put(&mut image, at, platform);
            put(&mut image, at + 4, &(name.len().div_ceil(512) as u32).to_be_bytes());
            put(&mut image, at + 8, &(name.len() as u32).to_be_bytes());
            put(&mut image, at + 16, &place.to_be_bytes());
            image.extend_from_slice(name);
        }
        for (index, bitmap, data) in &self.blocks {
            let place = image.len().next_multiple_of(512);
            put(&mut image, TABLE + *index as usize * 4, &((place / 512) as u32).to_be_bytes());
            image.resize(place, 0);
            image.extend_from_slice(bitmap);
            let bitmap = (self.block as usize / 512).div_ceil(8).next_multiple_of(512);
            image.resize(place + bitmap, 0);
            image.extend_from_slice(data);
        }
        image.resize(image.len().next_multiple_of(512), 0);
        seal_header(&mut image);
        image.extend_from_slice(&self.footer());
        image
    }

    /// With a block in which every sector is present and is filled with this byte.
    #[must_use]
    pub fn with_block(mut self, index: u32, byte: u8) -> Self {
        let sectors = self.block as usize / 512;
        self.blocks.push((index, vec![0xff; sectors.div_ceil(8)], vec![byte; self.block as usize]));
        self
    }
}

pub fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Makes the checksum of the footer at `at` right.
pub fn seal_footer(image: &mut [u8], at: usize) {
    seal(&mut image[at..at + 512], 64);
}

/// Makes the header's checksum right.
pub fn seal_header(image: &mut [u8]) {
    seal(&mut image[HEADER..HEADER + 1024], 36);
}

fn seal(bytes: &mut [u8], field: usize) {
    bytes[field..field + 4].fill(0);
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    bytes[field..field + 4].copy_from_slice(&(!sum).to_be_bytes());
}

pub fn open(image: Vec<u8>) -> Result<Vhd> {
    let bytes: Arc<dyn Bytes> = Arc::new(image);
    Vhd::open(bytes, &Budget::default())
}
