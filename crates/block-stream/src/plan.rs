//! How a format would store a disk: a plan without I/O, that the engine carries out.
//!
//! A [`Flat`] plan keeps the disk's bytes in the file as they are. A [`Packed`] plan cuts the disk
//! into chunks; each chunk that is not all zeros is packed by itself, on any thread, and laid out
//! in the disk's order by a [`Layout`], which decides where bytes go and makes the tables.
//! A [`Split`] plan stores the disk in several files, each by a plan of its own, and an [`Enclosed`]
//! one in a file within the file.

use std::iter;
use std::ops::Range;

use crate::Result;

/// How a format would store a disk.
pub enum Plan {
    /// The disk's bytes sit in the file as they are.
    Flat(Flat),
    /// The disk is cut into chunks that are laid out one after the other.
    Packed(Packed),
    /// The disk is stored in several files.
    Split(Split),
    /// The disk is stored in a file within the file.
    Enclosed(Enclosed),
}

impl Plan {
    /// The places of the target's own file that are written last, as [`Layout::owes`] has them: none where
    /// the file is made front to back, so that a pipe takes it.
    ///
    /// The files of a [`Split`]'s parts have plans of their own; the target itself is made at once.
    pub fn owes(&self) -> Vec<Range<u64>> {
        match self {
            Self::Flat(_) | Self::Split(_) => Vec::new(),
            Self::Packed(packed) => packed.layout.owes(),
            Self::Enclosed(enclosed) => iter::once(0..enclosed.base).collect(),
        }
    }
}

/// What a format may write beside the disk itself. The same stamp gives the same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// An id for the image, as RFC 9562 has it.
    pub uuid: [u8; 16],
    /// When the image was made: seconds since 1970.
    pub seconds: u64,
}

/// A file in a file: what is around it can be made only when it is there. So it is begun in its
/// middle, and cannot go to a pipe.
pub struct Enclosed {
    /// Offset of the inner file: the length of what precedes it.
    pub base: u64,
    /// The inner file; one whose layout owes nothing.
    pub inner: Packed,
    /// Makes the rest.
    pub enclosure: Box<dyn Enclosure>,
}

/// Makes what is around the inner file of an [`Enclosed`] plan.
pub trait Enclosure: Send {
    /// Sees the inner file, every byte of it, in order.
    fn pass(&mut self, bytes: &[u8]);

    /// The inner file has `length` bytes. Returns what precedes it, which has
    /// [`base`](Enclosed::base) bytes, and what follows.
    ///
    /// # Errors
    /// `Limit` or `Unsupported` where it cannot be enclosed.
    fn finish(self: Box<Self>, length: u64) -> Result<(Vec<u8>, Vec<u8>)>;
}

/// Several files: parts of the disk one after the other, and the target itself, which names them.
pub struct Split {
    /// The parts, in the disk's order; together they are the whole disk.
    pub parts: Vec<Part>,
    /// The target's own bytes, when the files of the parts have these names, in their order.
    pub descriptor: MakeDescriptor,
}

/// Makes a [`Split`]'s own bytes from the names of its parts' files.
pub type MakeDescriptor = Box<dyn FnOnce(&[String]) -> Result<Vec<u8>> + Send>;

/// A part of the disk in a file of its own, beside the target.
pub struct Part {
    /// What its file's name adds to the target's, before the extension: "-flat" makes
    /// `disk-flat.vmdk` beside `disk.vmdk`.
    pub suffix: String,
    /// Bytes of the disk that it holds.
    pub length: u64,
    /// How; not another [`Split`].
    pub plan: Plan,
}

/// The disk's bytes in the file as they are, from [`base`](Self::base) on.
#[derive(Clone, Debug, Default)]
pub struct Flat {
    /// What precedes the disk, from offset 0; at most `base` bytes.
    pub head: Vec<u8>,
    /// Offset in the file of the disk's first byte.
    pub base: u64,
    /// What follows the disk's last byte.
    pub tail: Vec<u8>,
    /// What to do with the parts that are zeros.
    pub preallocation: Preallocation,
}

/// Whether storage is taken for parts of the file that hold zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preallocation {
    /// They become holes.
    #[default]
    Off,
    /// The system reserves storage for them (`fallocate`).
    Falloc,
    /// Zeros are written.
    Full,
}

impl Preallocation {
    /// What the `preallocation` of a format can be.
    pub const CHOICES: &[(&str, Self)] =
        &[("off", Self::Off), ("falloc", Self::Falloc), ("full", Self::Full)];
}

/// A disk in chunks.
pub struct Packed {
    /// Bytes of the disk in a chunk, a power of two. The last chunk is padded with zeros.
    pub chunk: usize,
    /// Into how many equal parts the zero scan divides a chunk for [`Chunk::zero_parts`]; 1 to 64.
    pub parts: u32,
    /// What to do with the parts of the file that hold zeros.
    pub preallocation: Preallocation,
    /// Makes a packer for a thread; `None` where chunks are always stored as they are.
    pub packer: Option<MakePacker>,
    /// Decides where everything goes.
    pub layout: Box<dyn Layout>,
}

/// Makes a session for a thread.
pub type MakePacker = Box<dyn Fn() -> Result<Box<dyn Packer>> + Send + Sync>;

/// One thread's session for packing chunks.
pub trait Packer: Send {
    /// Packs the chunk that starts at `at` of the disk, appending to `out`.
    ///
    /// `data` is one whole chunk, and not all zeros. With [`Form::Stored`], `out` is unchanged.
    /// The result depends on `at` and `data` alone, never on what was packed before.
    ///
    /// # Errors
    /// Whatever the codec reports.
    fn pack(&mut self, at: u64, data: &[u8], out: &mut Vec<u8>) -> Result<Form>;

    /// What the layout is to know of the chunk that was packed last, such as a checksum.
    fn note(&self) -> u64 {
        0
    }
}

/// How a chunk is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is on the disk.
    Stored,
    /// As the packer made it.
    Packed,
}

/// A chunk that wants a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How it is kept.
    pub form: Form,
    /// Bytes it takes.
    pub length: usize,
    /// Which of the plan's [`parts`](Packed::parts) are all zeros, the first in bit 0.
    pub zero_parts: u64,
    /// What the packer [notes](Packer::note) of it.
    pub note: u64,
}

/// The order of a file: a state machine that is told each chunk once, in the disk's order.
///
/// It does no I/O; its own bytes (headers, tables) go to the [`Sink`].
pub trait Layout: Send {
    /// The places of the file that it comes back to, such as a header that is written last: between
    /// one call of the others and the next, all that it and its chunks still write is in these, or lies
    /// behind all that has a place so far. So a target that cannot go back, or not everywhere, knows
    /// what it has to hold: a pipe takes only what owes nothing; an upload sends a part of the file once
    /// that is passed and nothing in it is owed.
    ///
    /// A layout that owes nothing at first never does; its bytes come in order.
    fn owes(&self) -> Vec<Range<u64>> {
        Vec::new()
    }

    /// The next `chunks` chunks are all zeros.
    ///
    /// # Errors
    /// `Limit` or `Unsupported` where the format ends; whatever the sink reports.
    fn zeros(&mut self, chunks: u64, sink: &mut dyn Sink) -> Result<()>;

    /// The next chunk; returns the offset in the file at which its bytes go.
    ///
    /// # Errors
    /// As for [`zeros`](Self::zeros).
    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64>;

    /// There are no more: the disk has `size` bytes. Returns the length of the file.
    ///
    /// # Errors
    /// As for [`zeros`](Self::zeros).
    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64>;
}

/// Takes a layout's own bytes.
pub trait Sink {
    /// Puts `bytes` at `at` of the file. No two puts overlap, nor a put and a chunk.
    ///
    /// # Errors
    /// `Io` when they cannot be written, `Cancelled` when the job is.
    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()>;

    /// Says that `len` bytes at `at` must read as zeros: a part of the disk that has a place in the
    /// file though it holds nothing. Does nothing where a new file reads as zeros anyway.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    fn zeros(&mut self, at: u64, len: u64) -> Result<()>;
}
