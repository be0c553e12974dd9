//! What importers object to in an OVF package, though its disks can be read.

use diskferry_block_stream::{Problem, ProblemKind};

/// Something about an OVF package that an importer may refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// What it is about.
    pub point: Point,
    /// Where in the archive, in bytes, where one place can be named.
    pub at: Option<u64>,
    /// What is wrong, with names and numbers.
    pub text: String,
}

/// What an objection is about. Sources: DSP0243 1.1.1 (DMTF), and what importers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// The descriptor is not the archive's first member.
    First,
    /// Files are not in the order in which the descriptor lists them.
    Order,
    /// A file that the descriptor lists is not in the archive.
    Missing,
    /// A file is not as long as the descriptor says.
    Size,
    /// The format of a disk is not given by the address that VMware has for it.
    Format,
    /// A file is not beside the descriptor.
    Folder,
    /// A disk that no controller of the machine has.
    Controller,
    /// Devices in the words of OVF 2, which readers of OVF 1 do not know.
    Devices,
    /// A line of the manifest that some readers do not understand.
    Manifest,
    /// A digest in the manifest that is not the file's.
    Digest,
    /// A file that the manifest has no digest of.
    Unlisted,
    /// A digest of a kind that not all readers know.
    Kind,
    /// A further descriptor or manifest.
    Second,
    /// A disk of another size than the descriptor gives it.
    Capacity,
    /// A device that leads to a disk or a file that the descriptor does not list.
    Resource,
    /// The format of a disk is given as drafts of the specification had it.
    Draft,
    /// The archive has no end mark, and no descriptor that tells whether all of it is there.
    End,
}

/// Objections of a kind that are remembered: nobody reads more.
pub(crate) const OBJECTIONS: usize = 100;

impl Point {
    /// What `check` has to say of it: nothing where only some importers mind.
    fn problem(self) -> Option<ProblemKind> {
        match self {
            Self::Missing | Self::Size | Self::Digest => Some(ProblemKind::Corruption),
            Self::First
            | Self::Manifest
            | Self::Format
            | Self::Unlisted
            | Self::Second
            | Self::Capacity
            | Self::Resource
            | Self::End => Some(ProblemKind::Oddity),
            Self::Order
            | Self::Folder
            | Self::Controller
            | Self::Devices
            | Self::Kind
            | Self::Draft => None,
        }
    }
}

impl Objection {
    pub(crate) fn new(point: Point, at: Option<u64>, text: String) -> Self {
        Self { point, at, text }
    }

    /// An archive without a descriptor that ends without an end mark.
    pub(crate) fn no_end(at: u64) -> Self {
        let text = format!(
            "the archive ends at {at:#x} without an end mark: nothing tells whether members are missing"
        );
        Self::new(Point::End, Some(at), text)
    }

    /// Whether it is told wherever the disk is read: it may not be the one that was packed.
    pub fn is_contradiction(&self) -> bool {
        matches!(self.point, Point::Missing | Point::Size | Point::Capacity | Point::End)
    }

    /// As a problem of the package, where it contradicts itself or its specification.
    pub fn into_problem(self) -> Option<Problem> {
        let Self { point, at, text } = self;
        point.problem().map(|kind| Problem { kind, at, text })
    }
}
