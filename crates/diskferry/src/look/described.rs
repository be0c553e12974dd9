//! Says of a source what there is to say: one description, whatever its disk is read from.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Description, Note, NoteKind, Result};
use diskferry_engine::Control;
use diskferry_wrap::{Found, Listing, Objection};

use crate::format::Format;
use crate::look::info::{ChainLink, DataFile, Info, SnapshotInfo, WrappedDisk};
use crate::place::location::Location;
use crate::source::around::Archive;
use crate::source::arrived::Arriving;
use crate::source::image::{DiskImage, Layer, Layers};
use crate::source::opened::{Body, Opened, once_only};
use crate::source::opening::{Opening, Outcome};
use crate::source::options::OpenOptions;
use crate::source::origin::Origin;
use crate::source::unwrap::listed;

impl OpenOptions {
    /// What there is to say about an image. Nothing is unpacked for it: the size of a disk in
    /// a compressed file may be unknown, and whether that is a fixed VHD, with a warning; and whether it is
    /// the only disk of its archive.
    ///
    /// # Errors
    /// As for [`open_image`](Self::open_image).
    pub fn info(&self, location: &Location) -> Result<Info> {
        Ok(self.said(location)?.0)
    }

    /// The same with all disks of the archive, which is unpacked to its end where only that tells them.
    ///
    /// # Errors
    /// As for [`info`](Self::info), and what unpacking fails with.
    pub fn info_with_all_disks(&self, location: &Location) -> Result<Info> {
        let (mut info, file) = self.said(location)?;
        if let Some(file) = file.filter(|_| !info.disks_complete) {
            let Listing { disks, notes } = listed::list(file, &self.limits.budget())?;
            info.set_disks(&disks, true);
            let file = location.to_string();
            let notes = notes.into_iter().map(|text| Note::of(NoteKind::Archive, &file, text));
            info.warnings.extend(notes);
        }
        Ok(info)
    }

    /// What there is to say, and the file that the disk is in where it comes in order.
    fn said(&self, location: &Location) -> Result<(Info, Option<Arc<dyn Bytes>>)> {
        let options = Self { scratch: None, ..self.clone() };
        let opened = match Opening::new(&options, &Control::default()).open(location)? {
            Outcome::Opened(opened) => *opened,
            Outcome::NotInOrder(Some(origin), _) if origin.file.is_some() => {
                return Ok((Info::of_unordered(&origin), origin.file));
            }
            Outcome::NotInOrder(_, error) => return Err(error),
        };
        if opened.is_pipe() {
            return Err(once_only(opened.name()));
        }
        let mut info = opened.info();
        let Body::Forward(disk) = &opened.body else { return Ok((info, None)) };
        if disk.size().is_none() {
            let or_vhd = if info.assumed { ", and whether it is a fixed VHD," } else { "" };
            let text = format!("the disk's size{or_vhd} is known only when all of it was unpacked");
            info.warnings.push(Note::of(NoteKind::Unseen, opened.name(), text));
        }
        Ok((info, opened.origin.file))
    }
}

impl Opened {
    /// What there is to say about it before its disk is read.
    pub fn info(&self) -> Info {
        match &self.body {
            Body::Random(layers) => Info::of_image(&self.origin, layers),
            Body::Forward(disk) => Info::of_arriving(&self.origin, disk),
        }
    }
}

impl DiskImage {
    /// What there is to say about it.
    pub fn info(&self) -> Info {
        Info::of_image(&self.origin, &self.layers)
    }
}

impl Info {
    /// What there is to say about where a disk is from.
    fn of(origin: &Origin) -> Self {
        let Origin { name, format, around, file, piped, .. } = origin;
        let file = file.as_ref();
        let length = piped.or(file.map(|file| file.len())).unwrap_or(0);
        let mut info = Self::new(name, *format, length);
        info.assumed = origin.assumed;
        info.allocated_size = file.filter(|_| piped.is_none()).and_then(|file| file.allocated());
        info.wrapping.clone_from(&around.layers);
        let unpacked = around.scratch.iter().map(|bytes| bytes.len()).sum();
        info.scratch = Some(unpacked).filter(|_| !around.scratch.is_empty());
        info.set_disks(&around.disks, !around.may_have_more);
        info.warnings.clone_from(&origin.warnings);
        info
    }

    /// The same of an image that can be read anywhere.
    fn of_image(origin: &Origin, layers: &Layers) -> Self {
        let top = layers.top();
        let Description { subformat, creator, ids, compression, snapshots, details, .. } =
            top.image().describe();
        let mut info = Self::of(origin).with_size(Some(layers.disk.size()));
        info.subformat = Some(subformat).filter(|subformat| !subformat.is_empty());
        info.data_files = top.data_files().map(|bytes| DataFile::of(bytes.as_ref())).collect();
        info.grain = top.image().grain();
        (info.creator, info.ids, info.compression) = (creator, ids, compression);
        info.snapshot.clone_from(&layers.snapshot);
        info.snapshots = snapshots.into_iter().map(SnapshotInfo::from).collect();
        info.details = details;
        info.chain = chain(layers);
        if top.format() == Format::RAW && origin.around.told_format().is_none() {
            info.warnings.push(raw_cannot_tell(top));
        }
        for Archive { package, .. } in &origin.around.archives {
            let file = origin.file.as_ref().map_or(origin.name(), |file| file.name());
            let mut note = |it: Objection| {
                info.warnings.push(Note::of(NoteKind::Archive, file, it.text));
            };
            package.object_to_files(&mut note);
        }
        info
    }

    /// The same of a disk that comes in order, before it is read.
    pub(crate) fn of_arriving(origin: &Origin, disk: &Arriving) -> Self {
        let mut info = Self::of(origin).with_size(disk.size());
        info.warnings.splice(..0, disk.stream.warnings());
        info
    }

    /// The same of a disk in a compressed file that has to be unpacked before more is known of it.
    fn of_unordered(origin: &Origin) -> Self {
        let mut info = Self::of(origin).with_size(None);
        let text = format!(
            "a {} image cannot be read front to back; its size and what else it has to say are known only when it \
             was unpacked",
            origin.format
        );
        info.warnings.push(Note::of(NoteKind::Unseen, &origin.name, text));
        info
    }

    /// What there is to say about a target that went through a pipe: a disk of `size` bytes in `length` bytes, by
    /// units of `grain`.
    pub(crate) fn of_piped(name: &str, format: Format, size: u64, length: u64, grain: u64) -> Self {
        Self { grain, ..Self::new(name, format, length).with_size(Some(size)) }
    }

    /// The size of a disk that is no chain.
    fn with_size(mut self, size: Option<u64>) -> Self {
        self.virtual_size = size;
        self.chain = vec![ChainLink {
            file: self.file.clone(),
            format: Some(self.format.to_owned()),
            virtual_size: size,
            error: None,
        }];
        self
    }

    /// The same of a disk that came in order and is over: its size, and what was read of its file, in bytes; and the
    /// format, where its end told another.
    pub(crate) fn over(mut self, size: u64, read: u64, told: Option<Format>) -> Self {
        self.file_size = read;
        if let Some(format) = told {
            (self.format, self.assumed) = (format.name(), false);
        }
        self.with_size(Some(size))
    }

    /// Says which disks the archive has; the only one is the disk itself.
    fn set_disks(&mut self, disks: &[Found], are_all: bool) {
        let listed = disks.iter().filter(|_| disks.len() > 1 || !are_all);
        let disk = |disk: &Found| WrappedDisk {
            name: disk.name.clone(),
            size: disk.size,
            format: disk.format,
        };
        (self.disks, self.disks_complete) = (listed.map(disk).collect(), are_all);
    }

    /// Nothing but what every file has.
    pub(super) fn new(file: &str, format: Format, file_size: u64) -> Self {
        Self {
            file: file.to_owned(),
            format: format.name(),
            assumed: false,
            subformat: None,
            virtual_size: None,
            file_size,
            allocated_size: None,
            data_files: Vec::new(),
            grain: 1,
            creator: None,
            ids: Vec::new(),
            compression: None,
            snapshot: None,
            chain: Vec::new(),
            snapshots: Vec::new(),
            wrapping: Vec::new(),
            scratch: None,
            disks: Vec::new(),
            disks_complete: true,
            warnings: Vec::new(),
            details: Vec::new(),
        }
    }
}

fn chain(layers: &Layers) -> Vec<ChainLink> {
    let opened = layers.layers.iter().map(|layer| ChainLink {
        file: layer.name().to_owned(),
        format: Some(layer.format().name().to_owned()),
        virtual_size: Some(layer.image().size()),
        error: None,
    });
    let missing = layers.missing.as_ref().map(|missing| ChainLink {
        file: missing.parent.name().into_owned(),
        format: missing.parent.format.clone(),
        virtual_size: None,
        error: Some(missing.error.clone()),
    });
    opened.chain(missing).collect()
}

fn raw_cannot_tell(layer: &Layer) -> Note {
    let assumed = if layer.is_assumed() {
        "taken for raw, since it bears no other format's signature; "
    } else {
        ""
    };
    let text = format!("{assumed}a raw image that was cut short cannot be told from a whole one");
    Note::of(NoteKind::Format, layer.name(), text)
}
