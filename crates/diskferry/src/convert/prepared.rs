//! A source at the size that its target is to have: what of it can be looked at before the copy, what is copied, and
//! what there is to say about it afterwards.

use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use diskferry_block_stream::{Disk, Note, NoteKind, Order, Remedy, Stream};
use diskferry_engine::{Source, Zeros};

use crate::convert::beginning::Beginning;
use crate::convert::foreground::Foreground;
use crate::look::info::Info;
use crate::source::forward::footed::Told;
use crate::source::image::DiskImage;

/// A source at the target's size.
pub(super) enum Prepared {
    Disk {
        image: DiskImage,
        disk: Arc<dyn Disk>,
        /// What is odd about what was made of it.
        odd: Vec<Note>,
    },
    Stream(PreparedStream),
}

pub(super) struct PreparedStream {
    pub name: String,
    pub info: Info,
    pub stream: Box<dyn Stream>,
    /// The virtual size that it has, where it is known beforehand.
    pub own: Option<u64>,
    /// The virtual size that it is given, or that it has.
    pub size: Option<u64>,
    /// What it begins with, where that was looked at.
    pub beginning: Option<Box<Beginning>>,
    /// How many bytes of the disk arrived, where it was given a size.
    pub arrived: Option<Arc<AtomicU64>>,
    /// How many bytes of the pipe were read.
    pub read: Arc<AtomicU64>,
    /// The format that its end told.
    pub told: Told,
    /// Whether it has a GPT, whose backup stays where it is.
    pub stays: bool,
    /// What is odd about what was made of it.
    pub odd: Vec<Note>,
}

impl Prepared {
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Disk { disk, .. } => Some(disk.size()),
            Self::Stream(stream) => stream.size,
        }
    }

    /// The same; where a stream was short enough to be kept whole, its end is known, too.
    pub fn size_ahead(&self) -> Option<u64> {
        match self {
            Self::Stream(PreparedStream { size: None, beginning: Some(beginning), .. }) => {
                beginning.is_all.then_some(beginning.end)
            }
            _ => self.size(),
        }
    }

    /// What of it can be looked at before the copy.
    pub fn foreground(&self) -> Foreground<'_> {
        match self {
            Self::Disk { image, disk, .. } => Foreground::Disk(image, disk),
            Self::Stream(stream) => Foreground::Stream(&stream.name, stream.beginning.as_deref()),
        }
    }

    /// Whether reading it again takes as long as the copy, or cannot be: its fingerprint is taken on
    /// the way, and compared with the target's. But what nobody looks at, the kernel copies sooner.
    pub fn is_dear(&self, zeros: Zeros) -> bool {
        match self {
            Self::Disk { disk, .. } => disk.order() != Order::Any && zeros == Zeros::Scan,
            Self::Stream(_) => true,
        }
    }

    /// What is copied, once.
    pub fn source(&mut self) -> Source<'_> {
        match self {
            Self::Disk { disk, .. } => Source::Disk(&**disk),
            Self::Stream(stream) => Source::Stream(Box::new(stream.stream.as_mut())),
        }
    }

    /// What there is to say about it after the copy of `size` bytes, which the target holds in
    /// `held`.
    pub fn into_info(self, size: u64, held: u64) -> (Info, Vec<Note>) {
        match self {
            Self::Disk { image, odd, .. } => {
                (image.info(), image.warnings().iter().cloned().chain(odd).collect())
            }
            Self::Stream(stream) => stream.into_info(size, held),
        }
    }
}

impl PreparedStream {
    fn into_info(self, size: u64, held: u64) -> (Info, Vec<Note>) {
        let load = |count: &AtomicU64| count.load(atomic::Ordering::Relaxed);
        let arrived = self.arrived.as_deref().map_or(size, load);
        let mut warnings = self.info.warnings.clone();
        for warning in self.stream.warnings().into_iter().chain(self.odd) {
            // What an archive told beforehand, its end tells again.
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        if self.own.is_none() && arrived < size {
            let text =
                format!("the stream ended after {arrived} bytes; the rest of the {size} is zeros");
            warnings.push(Note::of(NoteKind::Size, &self.name, text));
        }
        if self.stays && arrived != held {
            warnings.push(backup_stays(&self.name));
        }
        (self.info.over(arrived, load(&self.read), self.told.get().copied()), warnings)
    }
}

pub(super) fn backup_stays(name: &str) -> Note {
    let text = "the disk's end moves, and the backup of its GPT stays where it is";
    Note::of(NoteKind::PartitionTable, name, text).mended_by(Remedy::MoveGpt)
}
