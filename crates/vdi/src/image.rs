//! An opened image: its header and its block map.

use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Cursor, Description, Detail, Disk, Held, Image, ParentRef, Problem,
    Progress, Result,
};

use crate::check;
use crate::cursor::Reader;
use crate::header::{self, Header};
use crate::wire::{self, ENTRY};

/// An opened VDI image: one layer.
pub struct Vdi {
    pub(crate) header: Header,
    /// The whole map, of which the disk may need less.
    pub(crate) map: Held<Vec<u32>>,
    parent: Option<ParentRef>,
    /// One file, in the form that [`Disk::files`] gives out.
    files: [Arc<dyn Bytes>; 1],
}

impl Vdi {
    /// Whether a file that starts with these bytes (68 or more) says that it is VDI.
    pub fn probe(head: &[u8]) -> bool {
        header::probe(head)
    }

    /// Opens an image: reads its header and its block map, which takes 4 bytes for each block,
    /// allocated or not.
    ///
    /// # Errors
    /// `Damaged` when these contradict each other or the file's length, `Unsupported` for versions
    /// and image types unknown here, `Limit` for a map or a disk past the bounds, `Io`.
    pub fn open(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let name = bytes.name().to_owned();
        Self::read(bytes, budget).map_err(|error| error.doing("opening").in_file(&name))
    }

    fn read(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let header = Header::read(bytes.as_ref())?;
        budget.limits().check_virtual_size(header.size)?;
        let map = read_map(bytes.as_ref(), &header, budget)?;
        let parent = header.parent.map(|parent| ParentRef {
            names: Vec::new(),
            format: Some("vdi".into()),
            id: Some(parent.to_string()),
        });
        Ok(Self { header, map, parent, files: [bytes] })
    }

    pub(crate) fn file(&self) -> &dyn Bytes {
        self.files[0].as_ref()
    }
}

/// Bytes of the map that are read at a time, so that memory holds it but once.
const MAP_STEP: u64 = 1 << 20;

fn read_map(bytes: &dyn Bytes, header: &Header, budget: &Budget) -> Result<Held<Vec<u32>>> {
    let length = u64::from(header.blocks) * ENTRY;
    let spent = budget.spend("the block map", length)?;
    let mut map = Vec::with_capacity(header.blocks as usize);
    let mut step = vec![0; length.min(MAP_STEP) as usize];
    let mut at = 0;
    while at < length {
        let part = &mut step[..(length - at).min(MAP_STEP) as usize];
        bytes.read_at(header.map_offset + at, part)?;
        wire::entries(part, &mut map);
        at += part.len() as u64;
    }
    Ok(spent.on(map))
}

impl Disk for Vdi {
    fn size(&self) -> u64 {
        self.header.size
    }

    fn grain(&self) -> u64 {
        self.header.block.size()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &self.files
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(Reader::new(self)))
    }
}

impl Image for Vdi {
    fn describe(&self) -> Description {
        let header = &self.header;
        Description {
            subformat: header.subformat.name().into(),
            creator: header.creator.clone(),
            ids: ids(header),
            details: details(header),
            warnings: warnings(header),
            ..Description::default()
        }
    }

    fn parent(&self) -> Option<&ParentRef> {
        self.parent.as_ref()
    }

    fn id(&self) -> Option<String> {
        self.header.creation.map(|uuid| uuid.to_string())
    }

    fn check_tables(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        check::check(self, cancel, progress, report)
    }
}

fn ids(header: &Header) -> Vec<(&'static str, String)> {
    [
        ("uuid", header.creation),
        ("modification_uuid", header.modification),
        ("parent_uuid", header.parent),
        ("parent_modification_uuid", header.parent_modification),
    ]
    .into_iter()
    .filter_map(|(name, uuid)| Some((name, uuid?.to_string())))
    .collect()
}

fn details(header: &Header) -> Vec<(&'static str, Detail)> {
    let version = format!("{}.{}", header.version.major, header.version.minor);
    let mut details = vec![
        ("header_version", Detail::Text(version)),
        ("header_size", Detail::Number(header.header_size.into())),
        ("block_size", Detail::Number(header.block.size())),
        ("block_extra", Detail::Number(header.block_extra.into())),
        ("blocks", Detail::Number(header.blocks.into())),
        ("blocks_allocated", Detail::Number(header.allocated.into())),
        ("map_offset", Detail::Number(header.map_offset)),
        ("data_offset", Detail::Number(header.data_offset)),
    ];
    let geometry = [("geometry", header.geometry), ("logical_geometry", header.logical_geometry)];
    let geometry =
        geometry.into_iter().filter_map(|(name, geometry)| Some((name, geometry.text()?)));
    details.extend(geometry.map(|(name, text)| (name, Detail::Text(text))));
    if !header.comment.is_empty() {
        details.push(("comment", Detail::Text(header.comment.clone())));
    }
    details
}

fn warnings(header: &Header) -> Vec<Problem> {
    let (fields, mut warnings) = (header.fields(), Vec::new());
    if header.stated_size != header.size {
        let text = format!(
            "the size of {} bytes is not a whole number of 512-byte sectors; it reads as {}, the \
             rest zeros, as QEMU has it (VirtualBox leaves out the last part of a sector)",
            header.stated_size, header.size
        );
        warnings.push(Problem::oddity(fields.size, text));
    }
    if header.creation.is_none() {
        let text = "the uuid is null; VirtualBox refuses it";
        warnings.push(Problem::oddity(fields.creation, text));
    }
    if header.modification.is_none() {
        let text = "the modification uuid is null; VirtualBox refuses it";
        warnings.push(Problem::oddity(fields.modification, text));
    }
    warnings
}
