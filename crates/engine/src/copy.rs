//! The copy: read, find zeros, pack, place, write.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use diskferry_block_stream::{
    Bytes, Cancel, Chunk, Cursor, Disk, Error, Flat, Form, Kind, Layout, MakePacker, Packed,
    Packer, Plan, Preallocation, Result, Sink, Split,
};
use diskferry_codec::digest::{Algorithm, Crc32Part, Digest};
use diskferry_codec::zeros;

use crate::adapt::Slice;
use crate::scout::{Scout, Segment, Source, Span, Ticket, spans};
use crate::sequence::{Buffers, Sequencer, Step};
use crate::{Job, Output};

/// How a copy is made.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// What to do with bytes that are there and are zeros.
    pub zeros: Zeros,
    /// Digests of the virtual disk to compute on the way.
    pub digests: Vec<Algorithm>,
}

/// What to do with bytes of the source that are there and are zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeros {
    /// Look for them, and store nothing for them where the target allows.
    #[default]
    Scan,
    /// Trust the source's map. Whole extents may then be copied, or shared, inside the kernel.
    Trust,
}

/// What a copy did.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// Virtual size of the disk, in bytes.
    pub size: u64,
    /// Bytes of the disk that were stored in the target.
    pub copied: u64,
    /// Bytes of the disk that were not, being zeros.
    pub zeros: u64,
    /// Length of the target, in bytes.
    pub target_size: u64,
    /// The digests asked for, in that order, in hexadecimal.
    pub digests: Vec<(Algorithm, String)>,
}

/// Moves the whole of `source` into `output`, laid out as `plan` says, and makes it durable.
///
/// The same source, plan and options give the same bytes for any number of threads.
///
/// # Errors
/// The first error of any part; the output is then incomplete, and the caller drops it.
pub fn copy(
    source: Source<'_>,
    plan: Plan,
    output: &dyn Output,
    options: &CopyOptions,
    job: &Job,
) -> Result<Copied> {
    if let Some(size) = source.size() {
        job.progress.expect(size);
    }
    let digests = Digests::new(&options.digests);
    let (copied, digests) = copy_file(source, plan, output, digests, options.zeros, job)?;
    Ok(Copied { digests: digests.finish(), ..copied })
}

/// Moves the whole of `source` into several files: each part into its output, and then the
/// descriptor into `output`. The parts' files have the names `names`.
///
/// # Errors
/// As for [`copy`]; `Misuse` when the plan is for another size.
pub fn copy_split(
    source: &Arc<dyn Disk>,
    split: Split,
    parts: &[(&str, &dyn Output)],
    output: &dyn Output,
    options: &CopyOptions,
    job: &Job,
) -> Result<Copied> {
    let planned = split.parts.iter().map(|part| part.length).sum::<u64>();
    if planned != source.size() || split.parts.len() != parts.len() {
        return Err(
            Error::misuse("a plan for another disk, or for other files").in_file(output.name())
        );
    }
    job.progress.expect(source.size());
    let mut digests = Digests::new(&options.digests);
    let mut total = Copied { size: source.size(), ..Copied::default() };
    let mut at = 0;
    for (part, (_, part_output)) in split.parts.into_iter().zip(parts) {
        let slice = Slice::new(Arc::clone(source), at, part.length)?;
        let disk = Source::Disk(&slice);
        let copied;
        (copied, digests) = copy_file(disk, part.plan, *part_output, digests, options.zeros, job)?;
        total.copied += copied.copied;
        total.zeros += copied.zeros;
        total.target_size += copied.target_size;
        at += part.length;
    }
    let names: Vec<String> = parts.iter().map(|(name, _)| (*name).to_owned()).collect();
    let descriptor = (split.descriptor)(&names)?;
    output.write_at(0, &descriptor)?;
    job.cancel.check()?;
    output.finish(descriptor.len() as u64, job)?;
    total.target_size += descriptor.len() as u64;
    Ok(Copied { digests: digests.finish(), ..total })
}

/// Moves a source into one file; `digests` go on from what came before it.
fn copy_file(
    source: Source<'_>,
    plan: Plan,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    match plan {
        Plan::Flat(flat) => copy_flat(source, flat, output, digests, zeros, job),
        Plan::Packed(packed) => copy_packed(source, packed, output, digests, zeros, job),
        Plan::Split(_) => Err(Error::unsupported(
            "this subformat is several files; it cannot be written to a pipe or a device, nor \
             from a pipe",
        )
        .in_file(output.name())),
    }
}

/// The digests of a disk's content, in the order of `algorithms`, in hexadecimal; and its size.
///
/// # Errors
/// The first error of reading it, or `Cancelled`.
pub fn digest(
    source: Source<'_>,
    algorithms: &[Algorithm],
    job: &Job,
) -> Result<(u64, Vec<(Algorithm, String)>)> {
    if let Some(size) = source.size() {
        job.progress.expect(size);
    }
    let order = Order { digests: Digests::new(algorithms), place: Place::Nowhere };
    let work = Work {
        source: Shape::of(&source),
        chunk: FLAT_CHUNK,
        pack: Pack::Whole,
        zeros: Zeros::Trust,
        splice: false,
        crc: order.digests.has_crc(),
    };
    let done = run(source, &work, None, Some(order), job)?;
    Ok((done.size, done.order.map_or_else(Vec::new, |order| order.digests.finish())))
}

fn copy_flat(
    source: Source<'_>,
    flat: Flat,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    let known = source.size();
    let target_size = |size: u64| {
        flat.base
            .checked_add(size)
            .and_then(|end| end.checked_add(flat.tail.len() as u64))
            .ok_or_else(|| Error::limit("a file of more than 2^64 bytes").in_file(output.name()))
    };
    if let Some(size) = known {
        let len = target_size(size)?;
        if flat.preallocation == Preallocation::Falloc {
            output.allocate(len)?;
        }
    }
    let head = flat.head.len() as u64;
    output.write_at(0, &flat.head)?;
    zero(output, head, flat.base.saturating_sub(head), &job.cancel)?;
    let work = Work {
        source: Shape::of(&source),
        chunk: FLAT_CHUNK,
        pack: Pack::Whole,
        zeros,
        splice: can_splice(&digests, zeros, output),
        crc: digests.has_crc(),
    };
    let ordered = output.forward_only() || !digests.is_empty();
    let order = ordered.then(|| Order { digests, place: Place::Flat { base: flat.base } });
    let writer = Writer::new(output, flat.base, work.zeros, Count::Written);
    let done = run(source, &work, Some(&writer), order, job)?;
    let len = target_size(done.size)?;
    if !flat.tail.is_empty() {
        output.write_at(flat.base + done.size, &flat.tail)?;
    }
    match flat.preallocation {
        Preallocation::Off => {}
        Preallocation::Falloc if known.is_some() => {}
        Preallocation::Falloc => output.allocate(len)?,
        Preallocation::Full => output.fill(len, job)?,
    }
    job.cancel.check()?;
    output.finish(len, job)?;
    Ok(writer.summary(done, len))
}

fn copy_packed(
    source: Source<'_>,
    packed: Packed,
    output: &dyn Output,
    digests: Digests,
    zeros: Zeros,
    job: &Job,
) -> Result<(Copied, Digests)> {
    if output.forward_only() && !packed.streamable {
        return Err(Error::unsupported(
            "this format cannot be written to a pipe: its tables precede \
             or point back to the data; write it to a file",
        )
        .in_file(output.name()));
    }
    let Packed { chunk, parts, streamable: _, preallocation, packer, layout } = packed;
    let work = Work {
        source: Shape::of(&source),
        chunk: chunk as u64,
        zeros,
        splice: packer.is_none() && can_splice(&digests, zeros, output),
        pack: Pack::Chunks { parts, packer },
        crc: digests.has_crc(),
    };
    let order = Order { digests, place: Place::Layout { layout, chunk: chunk as u64 } };
    let writer = Writer::new(output, 0, work.zeros, Count::Placed);
    let mut done = run(source, &work, Some(&writer), Some(order), job)?;
    let mut len = 0;
    if let Some(Order { place: Place::Layout { layout, .. }, .. }) = &mut done.order {
        len = layout.finish(done.size, &mut OutputSink { output, cancel: &job.cancel })?;
    }
    match preallocation {
        Preallocation::Off => {}
        Preallocation::Falloc => output.allocate(len)?,
        Preallocation::Full => output.fill(len, job)?,
    }
    job.cancel.check()?;
    output.finish(len, job)?;
    Ok(writer.summary(done, len))
}

/// Copies inside the kernel need bytes that nobody has to look at.
fn can_splice(digests: &Digests, zeros: Zeros, output: &dyn Output) -> bool {
    zeros == Zeros::Trust && digests.is_empty() && !output.forward_only()
}

/// What a worker does with a ticket.
struct Work<'a> {
    source: Shape<'a>,
    /// Bytes in a chunk.
    chunk: u64,
    pack: Pack,
    zeros: Zeros,
    /// Plain extents are left to the kernel.
    splice: bool,
    /// Each ticket's CRC-32 is computed.
    crc: bool,
}

/// What becomes of the chunks a worker has read.
enum Pack {
    /// They are kept as they are; a flat file's zeros are found when it is written.
    Whole,
    /// Each is looked at by itself.
    Chunks {
        /// Parts of a chunk whose zeros are told apart.
        parts: u32,
        packer: Option<MakePacker>,
    },
}

/// What workers know of the source.
#[derive(Clone)]
enum Shape<'a> {
    Disk(&'a dyn Disk),
    Stream,
}

impl<'a> Shape<'a> {
    fn of(source: &Source<'a>) -> Self {
        match source {
            Source::Disk(disk) => Self::Disk(*disk),
            Source::Stream(_) => Self::Stream,
        }
    }
}

/// A ticket's outcome.
struct Done {
    at: u64,
    length: u64,
    /// What the ticket holds, tiling it in chunks; the last item may end past the disk.
    items: Vec<Item>,
    crc: Option<Crc32Part>,
    buffers: Buffers,
}

/// A part of a ticket: whole chunks.
#[derive(Clone, Debug)]
enum Item {
    /// Zeros: so many bytes.
    Zeros(u64),
    /// Chunks kept as they are, at this place of the input buffer, with their zero parts.
    Stored { start: usize, length: usize, zero_parts: u64 },
    /// One chunk, packed, at this place of the packed buffer; and its bytes in the input buffer.
    Packed { packed: Range<usize>, start: usize, length: usize },
    /// Bytes that the kernel copies from one of the source's files.
    Splice { file: u32, offset: u64, length: u64 },
}

/// A ticket with places, to be written.
struct Placed {
    length: u64,
    writes: Vec<Write>,
    buffers: Buffers,
}

/// Bytes and their place in the file.
#[derive(Clone, Debug)]
enum Write {
    Input { at: u64, range: Range<usize> },
    Packed { at: u64, range: Range<usize> },
    Splice { at: u64, file: u32, offset: u64, length: u64 },
    Zeros { at: u64, length: u64 },
}

/// Bytes of disk that a ticket reads at most; a whole chunk where that is more.
///
/// Small enough to stay in a core's cache between reading and writing, large enough that a
/// ticket's own cost does not show.
const RUN: u64 = 1 << 20;

/// Chunks of a flat file: the file system's usual block.
const FLAT_CHUNK: u64 = 4096;

/// Runs of zeros inside written bytes that become holes: whole blocks of the usual size.
const HOLE: usize = 4096;

/// Permits for each thread: one being worked on, one waiting for its turn, some to even things out.
const PERMITS_PER_THREAD: u64 = 4;

/// What is known when all tickets are done.
struct Finished {
    size: u64,
    order: Option<Order>,
}

/// Runs all workers until every ticket is done. Without an `order`, tickets are written as they
/// come.
fn run(
    source: Source<'_>,
    work: &Work<'_>,
    writer: Option<&Writer<'_>>,
    order: Option<Order>,
    job: &Job,
) -> Result<Finished> {
    let run = RUN.max(work.chunk);
    let packs = matches!(work.pack, Pack::Chunks { packer: Some(_), .. });
    let permit = run + if packs { packed_room(run) as u64 } else { 0 };
    let permits = (job.memory / permit).clamp(1, job.threads() as u64 * PERMITS_PER_THREAD);
    let sequencer = Sequencer::<Done, Placed>::new(permits as usize);
    let files = source.files().to_vec();
    let scout = Mutex::new(Scout::new(source, work.chunk, run, &job.cancel)?);
    let ordered = order.is_some();
    let order = Mutex::new(order);
    job.on_each_thread(|| {
        let _guard = sequencer.guard();
        let mut worker = Worker::new(work, run as usize, &files);
        loop {
            let step = match sequencer.next(&job.cancel) {
                Step::Leave => break,
                Step::Claim(mut buffers) => {
                    buffers.input.resize(run as usize, 0);
                    buffers.packed.clear();
                    if packs {
                        buffers.packed.reserve_exact(packed_room(run));
                    }
                    let claimed = lock(&scout).claim(&mut buffers.input);
                    match claimed {
                        Ok(None) => {
                            sequencer.exhausted(buffers);
                            Ok(())
                        }
                        Ok(Some(ticket)) => worker.work(&ticket, buffers).and_then(|done| {
                            if ordered {
                                sequencer.ready(ticket.index, done);
                                return Ok(());
                            }
                            let placed = place_flat(done, writer.map_or(0, |writer| writer.base));
                            worker.write(writer, placed, job, &sequencer)
                        }),
                        Err(error) => Err(error),
                    }
                }
                Step::Place(done) => match lock(&order).as_mut() {
                    Some(order) => order.place(done, writer, &job.cancel).and_then(|placed| {
                        // A pipe's bytes must leave in order, so whoever places also writes.
                        if writer.is_none_or(|writer| writer.output.forward_only()) {
                            worker.write(writer, placed, job, &sequencer)?;
                            sequencer.placed(None);
                        } else {
                            sequencer.placed(Some(placed));
                        }
                        Ok(())
                    }),
                    None => Ok(()),
                },
                Step::Write(placed) => worker.write(writer, placed, job, &sequencer),
            };
            if let Err(error) = step {
                sequencer.fail(error);
                break;
            }
        }
    });
    sequencer.outcome()?;
    let size = lock(&scout).position();
    let order = order.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Finished { size, order })
}

/// What packed chunks take of a permit, before the last of them is known to have shrunk: taken at
/// once, so that no vector has to double.
fn packed_room(run: u64) -> usize {
    (run + run / 4 + 64) as usize
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thread's sessions.
struct Worker<'a> {
    work: &'a Work<'a>,
    run: usize,
    files: &'a [Arc<dyn Bytes>],
    cursor: Option<Box<dyn Cursor + 'a>>,
    packer: Option<Box<dyn Packer>>,
}

impl<'a> Worker<'a> {
    fn new(work: &'a Work<'a>, run: usize, files: &'a [Arc<dyn Bytes>]) -> Self {
        Self { work, run, files, cursor: None, packer: None }
    }

    /// Reads a ticket, finds its zeros, packs its chunks.
    fn work(&mut self, ticket: &Ticket, mut buffers: Buffers) -> Result<Done> {
        let chunk = self.work.chunk;
        let (spliced, read): (Vec<Segment>, Vec<Segment>) =
            ticket.segments.iter().partition(|segment| self.splices(segment, ticket));
        let spans = spans(&read, chunk);
        let fill = spans.last().map_or(0, |span| span.start + span.length);
        debug_assert!(fill <= self.run);
        if let Shape::Disk(disk) = self.work.source {
            self.read(disk, &read, &spans, &mut buffers.input[..fill])?;
        } else {
            // The last chunk's padding; a ticket of zeros has no bytes at all.
            let padding = ticket.length.min(fill as u64) as usize;
            buffers.input[padding..fill].fill(0);
        }
        let mut done =
            Done { at: ticket.at, length: ticket.length, items: Vec::new(), crc: None, buffers };
        let mut at = ticket.at;
        let mut spliced = spliced.iter().peekable();
        let mut splice_until = |done: &mut Done, at: &mut u64, until: u64| {
            while let Some(segment) = spliced.next_if(|segment| segment.at < until) {
                push_zeros(&mut done.items, segment.at - *at);
                if let Kind::Plain { file, offset } = segment.kind {
                    let length = segment.length;
                    done.items.push(Item::Splice { file, offset, length });
                }
                *at = segment.end();
            }
            push_zeros(&mut done.items, until - *at);
            *at = until;
        };
        for span in &spans {
            splice_until(&mut done, &mut at, span.at);
            self.pack(span, &mut done)?;
            at = span.end();
        }
        let end = ticket.at + ticket.length;
        if at < end {
            splice_until(&mut done, &mut at, end);
        }
        if self.work.crc {
            done.crc = Some(crc(&done));
        }
        Ok(done)
    }

    /// Whether the kernel copies this segment: plain, whole chunks, nobody looks at it.
    fn splices(&self, segment: &Segment, ticket: &Ticket) -> bool {
        let chunk = self.work.chunk;
        self.work.splice
            && matches!(segment.kind, Kind::Plain { .. })
            && segment.at.is_multiple_of(chunk)
            && segment.length.is_multiple_of(chunk)
            && segment.end() <= ticket.at + ticket.length
    }

    /// Fills the spans: the segments' bytes, and zeros around them.
    fn read(
        &mut self,
        disk: &'a dyn Disk,
        segments: &[Segment],
        spans: &[Span],
        buf: &mut [u8],
    ) -> Result<()> {
        let mut segments = segments.iter().peekable();
        for span in spans {
            let bytes = &mut buf[span.start..][..span.length];
            let mut at = span.at;
            while let Some(segment) = segments.next_if(|segment| segment.at < span.end()) {
                let (gap, rest) =
                    bytes[(at - span.at) as usize..].split_at_mut((segment.at - at) as usize);
                gap.fill(0);
                let part = &mut rest[..segment.length as usize];
                match segment.kind {
                    Kind::Plain { file, offset } => {
                        self.files[file as usize].read_at(offset, part)?;
                    }
                    _ => self.cursor(disk)?.read(segment.at, part)?,
                }
                at = segment.end();
            }
            bytes[(at - span.at) as usize..].fill(0);
        }
        Ok(())
    }

    fn cursor(&mut self, disk: &'a dyn Disk) -> Result<&mut (dyn Cursor + 'a)> {
        match self.cursor {
            Some(ref mut cursor) => Ok(cursor.as_mut()),
            None => Ok(self.cursor.insert(disk.cursor()?).as_mut()),
        }
    }

    /// Turns a span's chunks into items.
    fn pack(&mut self, span: &Span, done: &mut Done) -> Result<()> {
        let (parts, make) = match &self.work.pack {
            Pack::Whole => {
                let Span { start, length, .. } = *span;
                done.items.push(Item::Stored { start, length, zero_parts: 0 });
                return Ok(());
            }
            Pack::Chunks { parts, packer } => (*parts, packer),
        };
        let chunk = self.work.chunk as usize;
        if self.packer.is_none()
            && let Some(make) = make
        {
            self.packer = Some(make()?);
        }
        for start in (span.start..span.start + span.length).step_by(chunk) {
            let bytes = &done.buffers.input[start..][..chunk];
            if self.work.zeros == Zeros::Scan && zeros::is_zero(bytes) {
                push_zeros(&mut done.items, chunk as u64);
                continue;
            }
            let from = done.buffers.packed.len();
            let form = match &mut self.packer {
                Some(packer) => {
                    let at = span.at + (start - span.start) as u64;
                    packer.pack(at, bytes, &mut done.buffers.packed)?
                }
                None => Form::Stored,
            };
            match form {
                Form::Packed => {
                    let packed = from..done.buffers.packed.len();
                    done.items.push(Item::Packed { packed, start, length: chunk });
                }
                Form::Stored => {
                    let zero_parts = zero_parts(bytes, parts);
                    done.items.push(Item::Stored { start, length: chunk, zero_parts });
                }
            }
        }
        Ok(())
    }

    /// Writes what is placed, and gives the permit back.
    fn write(
        &self,
        writer: Option<&Writer<'_>>,
        placed: Placed,
        job: &Job,
        sequencer: &Sequencer<Done, Placed>,
    ) -> Result<()> {
        if let Some(writer) = writer {
            for write in &placed.writes {
                writer.write(write, &placed.buffers, self.files, &job.cancel)?;
            }
        }
        job.progress.pass(placed.length);
        sequencer.written(placed.buffers);
        Ok(())
    }
}

fn push_zeros(items: &mut Vec<Item>, length: u64) {
    match items.last_mut() {
        Some(Item::Zeros(zeros)) => *zeros += length,
        _ if length > 0 => items.push(Item::Zeros(length)),
        _ => {}
    }
}

/// Which of `parts` equal parts are all zeros, the first in bit 0.
fn zero_parts(bytes: &[u8], parts: u32) -> u64 {
    if parts <= 1 {
        return 0;
    }
    bytes
        .chunks_exact(bytes.len() / parts as usize)
        .enumerate()
        .filter(|(_, part)| zeros::is_zero(part))
        .fold(0, |map, (n, _)| map | 1 << n)
}

impl Done {
    /// The ticket's content in order, as bytes or as a length of zeros, without the padding of a
    /// last chunk.
    fn for_each_piece(&self, mut see: impl FnMut(Content<'_>) -> Result<()>) -> Result<()> {
        let mut left = self.length;
        for item in &self.items {
            let (length, start) = match item {
                Item::Zeros(length) => (*length, None),
                Item::Stored { start, length, .. } => (*length as u64, Some(*start)),
                Item::Packed { start, length, .. } => (*length as u64, Some(*start)),
                Item::Splice { .. } => unreachable!("nothing is spliced while bytes are looked at"),
            };
            let length = length.min(left);
            left -= length;
            see(match start {
                Some(start) => Content::Bytes(&self.buffers.input[start..][..length as usize]),
                None => Content::Zeros(length),
            })?;
        }
        Ok(())
    }
}

enum Content<'a> {
    Bytes(&'a [u8]),
    Zeros(u64),
}

/// The CRC-32 of a ticket's content.
fn crc(done: &Done) -> Crc32Part {
    let mut crc = Crc32Part::default();
    done.for_each_piece(|content| {
        crc = match content {
            Content::Bytes(bytes) => crc.extend(bytes),
            Content::Zeros(length) => crc.combine(Crc32Part::zeros(length)),
        };
        Ok(())
    })
    .expect("the closure never fails");
    crc
}

/// What happens to results in the disk's order.
struct Order {
    digests: Digests,
    place: Place,
}

/// Where results go.
enum Place {
    /// Nothing is written.
    Nowhere,
    /// At the disk's own offsets, after `base` bytes.
    Flat { base: u64 },
    /// Where the layout says.
    Layout { layout: Box<dyn Layout>, chunk: u64 },
}

impl Order {
    fn place(
        &mut self,
        done: Done,
        writer: Option<&Writer<'_>>,
        cancel: &Cancel,
    ) -> Result<Placed> {
        self.digests.feed(&done, cancel)?;
        match (&mut self.place, writer) {
            (Place::Layout { layout, chunk }, Some(writer)) => {
                place_chunks(done, layout.as_mut(), *chunk, writer, cancel)
            }
            (Place::Flat { base }, _) => Ok(place_flat(done, *base)),
            _ => Ok(Placed { length: done.length, writes: Vec::new(), buffers: done.buffers }),
        }
    }
}

/// A flat file's places.
fn place_flat(done: Done, base: u64) -> Placed {
    let end = base + done.at + done.length;
    let mut at = base + done.at;
    let mut writes = Vec::with_capacity(done.items.len());
    for item in &done.items {
        let left = end - at;
        let length = match *item {
            Item::Zeros(length) => {
                writes.push(Write::Zeros { at, length: length.min(left) });
                length
            }
            Item::Stored { start, length, .. } => {
                let length = left.min(length as u64);
                writes.push(Write::Input { at, range: start..start + length as usize });
                length
            }
            Item::Splice { file, offset, length } => {
                writes.push(Write::Splice { at, file, offset, length });
                length
            }
            Item::Packed { .. } => unreachable!("a flat file packs nothing"),
        };
        at += length;
    }
    Placed { length: done.length, writes, buffers: done.buffers }
}

/// Asks the layout for each chunk's place; neighbours that stay neighbours become one write.
fn place_chunks(
    done: Done,
    layout: &mut dyn Layout,
    chunk: u64,
    writer: &Writer<'_>,
    cancel: &Cancel,
) -> Result<Placed> {
    let mut sink = OutputSink { output: writer.output, cancel };
    let mut writes: Vec<Write> = Vec::with_capacity(done.items.len());
    let mut left = done.length;
    let mut push = |write: Write| -> Result<()> {
        // What the layout puts next must come after these bytes.
        if writer.output.forward_only() {
            return writer.write(&write, &done.buffers, &[], cancel);
        }
        if !writes.last_mut().is_some_and(|last| last.join(&write)) {
            writes.push(write);
        }
        Ok(())
    };
    for item in &done.items {
        match *item {
            Item::Zeros(length) => {
                layout.zeros(length.div_ceil(chunk), &mut sink)?;
                left = left.saturating_sub(length);
            }
            Item::Stored { start, length, zero_parts } => {
                debug_assert_eq!(length as u64, chunk);
                let at =
                    layout.chunk(Chunk { form: Form::Stored, length, zero_parts }, &mut sink)?;
                push(Write::Input { at, range: start..start + length })?;
                writer.count(chunk.min(left));
                left = left.saturating_sub(chunk);
            }
            Item::Packed { ref packed, .. } => {
                let range = packed.clone();
                let form = Form::Packed;
                let at =
                    layout.chunk(Chunk { form, length: range.len(), zero_parts: 0 }, &mut sink)?;
                push(Write::Packed { at, range })?;
                writer.count(chunk.min(left));
                left = left.saturating_sub(chunk);
            }
            Item::Splice { file, offset, length } => {
                for step in (0..length).step_by(chunk as usize) {
                    let stored =
                        Chunk { form: Form::Stored, length: chunk as usize, zero_parts: 0 };
                    let at = layout.chunk(stored, &mut sink)?;
                    push(Write::Splice { at, file, offset: offset + step, length: chunk })?;
                }
                writer.count(length);
                left = left.saturating_sub(length);
            }
        }
    }
    Ok(Placed { length: done.length, writes, buffers: done.buffers })
}

impl Write {
    /// Takes the next write in, where both its bytes and its place follow this one's.
    fn join(&mut self, next: &Write) -> bool {
        match (self, next) {
            (Self::Input { at, range }, Self::Input { at: next_at, range: next })
            | (Self::Packed { at, range }, Self::Packed { at: next_at, range: next })
                if range.end == next.start && *at + range.len() as u64 == *next_at =>
            {
                range.end = next.end;
                true
            }
            (
                Self::Splice { at, file, offset, length },
                Self::Splice { at: next_at, file: next_file, offset: next_offset, length: next },
            ) if file == next_file
                && *at + *length == *next_at
                && *offset + *length == *next_offset =>
            {
                *length += next;
                true
            }
            _ => false,
        }
    }
}

/// Carries out writes, and counts what they carry.
struct Writer<'a> {
    output: &'a dyn Output,
    base: u64,
    zeros: Zeros,
    count: Count,
    copied: AtomicU64,
    /// The kernel has refused to copy between these files.
    refused: AtomicBool,
}

/// When bytes of the disk count as copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Count {
    /// When they are written, holes left out.
    Written,
    /// When their chunk is placed.
    Placed,
}

impl<'a> Writer<'a> {
    fn new(output: &'a dyn Output, base: u64, zeros: Zeros, count: Count) -> Self {
        Self {
            output,
            base,
            zeros,
            count,
            copied: AtomicU64::new(0),
            refused: AtomicBool::new(false),
        }
    }

    fn count(&self, bytes: u64) {
        self.copied.fetch_add(bytes, Ordering::Relaxed);
    }

    fn count_written(&self, bytes: u64) {
        if self.count == Count::Written {
            self.count(bytes);
        }
    }

    fn write(
        &self,
        write: &Write,
        buffers: &Buffers,
        files: &[Arc<dyn Bytes>],
        cancel: &Cancel,
    ) -> Result<()> {
        match *write {
            Write::Input { at, ref range } => self.sparse(at, &buffers.input[range.clone()]),
            Write::Packed { at, ref range } => {
                self.output.write_at(at, &buffers.packed[range.clone()])
            }
            Write::Zeros { at, length } => zero(self.output, at, length, cancel),
            Write::Splice { at, file, offset, length } => {
                self.count_written(length);
                self.splice(at, files[file as usize].as_ref(), offset, length)
            }
        }
    }

    /// Writes bytes, leaving holes for whole blocks of zeros where those read as zeros anyway.
    fn sparse(&self, at: u64, bytes: &[u8]) -> Result<()> {
        if self.zeros == Zeros::Trust || !self.output.starts_zero() || self.output.forward_only() {
            self.count_written(bytes.len() as u64);
            return self.output.write_at(at, bytes);
        }
        for (range, zero) in zeros::runs(bytes, HOLE) {
            if !zero {
                self.count_written(range.len() as u64);
                self.output.write_at(at + range.start as u64, &bytes[range])?;
            }
        }
        Ok(())
    }

    /// Lets the kernel copy; does it by hand from where the kernel refuses.
    fn splice(&self, at: u64, file: &dyn Bytes, offset: u64, length: u64) -> Result<()> {
        let mut done = 0;
        if !self.refused.load(Ordering::Relaxed) {
            done = self.output.copy_from(file, offset, at, length)?;
            if done < length {
                self.refused.store(true, Ordering::Relaxed);
            }
        }
        let mut buf = vec![0; RUN.min(length - done) as usize];
        while done < length {
            let part = &mut buf[..RUN.min(length - done) as usize];
            file.read_at(offset + done, part)?;
            self.output.write_at(at + done, part)?;
            done += part.len() as u64;
        }
        Ok(())
    }

    /// What was done, and the digests so far.
    fn summary(&self, done: Finished, target_size: u64) -> (Copied, Digests) {
        let copied = self.copied.load(Ordering::Relaxed);
        let zeros = done.size.saturating_sub(copied);
        let copied = Copied { size: done.size, copied, zeros, target_size, ..Copied::default() };
        (copied, done.order.map_or_else(|| Digests::new(&[]), |order| order.digests))
    }
}

/// Gives a layout's own bytes to the output.
struct OutputSink<'a> {
    output: &'a dyn Output,
    cancel: &'a Cancel,
}

impl Sink for OutputSink<'_> {
    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.cancel.check()?;
        self.output.write_at(at, bytes)
    }

    fn zeros(&mut self, at: u64, len: u64) -> Result<()> {
        self.cancel.check()?;
        zero(self.output, at, len, self.cancel)
    }
}

/// Makes a part of the output read as zeros, where it does not already.
///
/// A pipe gets them now rather than with what follows: there may be terabytes, and only here can
/// somebody stop them.
fn zero(output: &dyn Output, mut at: u64, mut len: u64, cancel: &Cancel) -> Result<()> {
    if output.starts_zero() && !output.forward_only() {
        return Ok(());
    }
    while len > 0 {
        cancel.check()?;
        let step = len.min(ZERO_STEP);
        output.zero(at, step)?;
        at += step;
        len -= step;
    }
    Ok(())
}

/// The digests of a job. The CRC-32 arrives in parts; the others see every byte in order.
struct Digests {
    algorithms: Vec<Algorithm>,
    crc: Crc32Part,
    serial: Vec<Digest>,
}

/// Zeros that are written, or fed to a serial digest, between two looks at the cancel flag.
const ZERO_STEP: u64 = 16 << 20;

impl Digests {
    fn new(algorithms: &[Algorithm]) -> Self {
        let serial = algorithms
            .iter()
            .filter(|algorithm| **algorithm != Algorithm::Crc32)
            .map(|algorithm| Digest::new(*algorithm))
            .collect();
        Self { algorithms: algorithms.to_vec(), crc: Crc32Part::default(), serial }
    }

    fn is_empty(&self) -> bool {
        self.algorithms.is_empty()
    }

    fn has_crc(&self) -> bool {
        self.algorithms.contains(&Algorithm::Crc32)
    }

    fn feed(&mut self, done: &Done, cancel: &Cancel) -> Result<()> {
        if let Some(crc) = done.crc {
            self.crc = self.crc.combine(crc);
        }
        if self.serial.is_empty() {
            return Ok(());
        }
        done.for_each_piece(|content| {
            match content {
                Content::Bytes(bytes) => {
                    self.serial.iter_mut().for_each(|digest| digest.update(bytes));
                }
                Content::Zeros(mut length) => {
                    while length > 0 {
                        cancel.check()?;
                        let step = length.min(ZERO_STEP);
                        self.serial.iter_mut().for_each(|digest| digest.zeros(step));
                        length -= step;
                    }
                }
            }
            Ok(())
        })
    }

    fn finish(self) -> Vec<(Algorithm, String)> {
        let mut serial = self.serial.into_iter();
        self.algorithms
            .into_iter()
            .map(|algorithm| {
                let hex = match algorithm {
                    Algorithm::Crc32 => Some(self.crc.to_string()),
                    _ => serial.next().map(Digest::finish),
                };
                (algorithm, hex.unwrap_or_default())
            })
            .collect()
    }
}
