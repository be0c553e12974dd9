//! Cuts a source into tickets: runs of whole chunks that one worker handles at a time.
//!
//! Extents are asked as the copy goes, never all at once. A ticket holds a bounded number of bytes
//! that must be read, and any number of zeros, so that an empty stretch costs one ticket however
//! long it is, and many small extents share one.
//!
//! Of a disk, the scout is one ticket ahead of those that it hands out, and tells the disk's files what that one will
//! read of them: where they are far away, they can fetch it meanwhile.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Cancel, Cursor, Error, Extent, Kind, Piece, Result, Stream};

use crate::source::Source;
use crate::ticket::{Segment, Ticket, ceil, floor};

/// Hands out tickets in the disk's order.
pub(crate) struct Scout<'a> {
    from: From<'a>,
    /// Bytes in a chunk.
    chunk: u64,
    /// Bytes of chunks to be read that a ticket may hold; a multiple of `chunk`.
    run: u64,
    at: u64,
    next: u64,
    /// The source's files; none for those whose storage the output cannot share.
    shared: Vec<Option<Arc<dyn Bytes>>>,
    /// An error ended a ticket somewhere within a chunk: nothing after it can be handed out.
    failed: bool,
    cancel: Cancel,
}

enum From<'a> {
    Disk {
        cursor: Box<dyn Cursor + 'a>,
        size: u64,
        files: &'a [Arc<dyn Bytes>],
        /// What is left of the extent that the last ticket ended in.
        rest: Option<Extent>,
        /// The next ticket, or why there is none.
        ahead: Option<Result<Ticket>>,
    },
    Stream {
        stream: Box<dyn Stream + 'a>,
        /// Zeros announced by the stream and not yet handed out.
        zeros: u64,
        over: bool,
    },
}

/// Bytes in a stream: as many as a file can have. Zeros cost a stream nothing, so it may say anything.
const STREAM_MAX: u64 = 1 << 63;

/// What file systems share: whole blocks, of the usual size.
const BLOCK: u64 = 4096;

/// Shared bytes in a ticket: they cost nothing, unless the kernel copies them after all.
const SHARED_MAX: u64 = 256 << 20;

/// Segments in a ticket. More would only make its list longer; zero runs between them are free.
const SEGMENTS: usize = 512;

impl<'a> Scout<'a> {
    /// Tickets of whole chunks, with at most `run` bytes to read.
    pub fn new(source: Source<'a>, chunk: u64, run: u64, cancel: &Cancel) -> Result<Self> {
        let from = match source {
            Source::Disk(disk) => {
                let (cursor, size, files) = (disk.cursor()?, disk.size(), disk.files());
                From::Disk { cursor, size, files, rest: None, ahead: None }
            }
            Source::Stream(stream) => From::Stream { stream, zeros: 0, over: false },
        };
        let cancel = cancel.clone();
        let shared = Vec::new();
        Ok(Self { from, chunk, run, at: 0, next: 0, shared, failed: false, cancel })
    }

    /// Marks the plain extents that an output can refer to; they do not count as bytes to read.
    /// `can` tells of which files.
    pub fn sharing(self, files: &[Arc<dyn Bytes>], can: &[bool]) -> Self {
        let can = if self.chunk.is_multiple_of(BLOCK) { can } else { &[] };
        let shared = files.iter().zip(can).map(|(file, can)| can.then(|| Arc::clone(file)));
        Self { shared: shared.collect(), ..self }
    }

    /// How far it has looked; at the end, the disk's size.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next ticket; none after an error. A stream's bytes are put into `buf` already, at their
    /// span's place.
    pub fn claim(&mut self, buf: &mut [u8]) -> Result<Option<Ticket>> {
        if self.failed {
            return Ok(None);
        }
        let ticket = match self.take_ahead() {
            Some(ticket) => ticket.map(Some),
            None => self.look(buf),
        };
        self.failed = ticket.is_err();
        if let Ok(Some(_)) = ticket {
            self.look_ahead();
        }
        ticket
    }

    fn take_ahead(&mut self) -> Option<Result<Ticket>> {
        match &mut self.from {
            From::Disk { ahead, .. } => ahead.take(),
            From::Stream { .. } => None,
        }
    }

    /// Goes on by a ticket of a disk, which is handed out next.
    fn look_ahead(&mut self) {
        if matches!(self.from, From::Stream { .. }) {
            return;
        }
        let next = self.look(&mut []).transpose();
        if let From::Disk { ahead, .. } = &mut self.from {
            *ahead = next;
        }
    }

    /// The next ticket; the files of a disk know then that they are needed for it.
    fn look(&mut self, buf: &mut [u8]) -> Result<Option<Ticket>> {
        let start = self.at;
        let segments = match &mut self.from {
            From::Disk { cursor, size, files, rest, .. } => {
                let bounds = Bounds { chunk: self.chunk, run: self.run, size: *size };
                let at = &mut self.at;
                let segments =
                    claim_extents(cursor.as_mut(), rest, at, bounds, &self.shared, &self.cancel)?;
                tell(files, &segments);
                segments
            }
            From::Stream { stream, zeros, over } => {
                let chunk = self.chunk;
                let buf = &mut buf[..self.run as usize];
                claim_bytes(stream.as_mut(), zeros, over, &mut self.at, chunk, buf)?
            }
        };
        if self.at == start {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(Ticket { index: self.next - 1, at: start, length: self.at - start, segments }))
    }
}

#[derive(Clone, Copy)]
struct Bounds {
    chunk: u64,
    run: u64,
    size: u64,
}

fn claim_extents(
    cursor: &mut dyn Cursor,
    rest: &mut Option<Extent>,
    at: &mut u64,
    Bounds { chunk, run, size }: Bounds,
    shared_files: &[Option<Arc<dyn Bytes>>],
    cancel: &Cancel,
) -> Result<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::new();
    let (mut touched, mut touched_to, mut shared) = (0, *at, 0);
    while *at < size {
        let full = touched >= run || shared >= SHARED_MAX || segments.len() >= SEGMENTS;
        if full && at.is_multiple_of(chunk) {
            break;
        }
        cancel.check()?;
        let extent = match rest.take() {
            Some(extent) => extent,
            None => cursor.extent(*at, size - *at)?,
        };
        debug_assert!((1..=size - *at).contains(&extent.length), "{extent:?} at {at:#x} of {size}");
        let mut length = extent.length;
        if full {
            length = length.min(ceil(*at, chunk) - *at);
        }
        if is_shared(shared_files, &extent, *at, size) {
            length =
                length.min(ceil(*at + (SHARED_MAX - shared.min(SHARED_MAX)).max(1), chunk) - *at);
            shared += length;
            segments.push(Segment { at: *at, length, kind: extent.kind, shared: true });
        } else if !extent.kind.reads_zero() {
            let from = floor(*at, chunk).max(touched_to);
            length = length.min((from + (run.max(touched) - touched)).max(touched_to) - *at);
            let to = ceil(*at + length, chunk);
            touched += to.saturating_sub(from);
            touched_to = touched_to.max(to);
            segments.push(Segment { at: *at, length, kind: extent.kind, shared: false });
        }
        *at += length;
        if length < extent.length {
            let kind = match extent.kind {
                Kind::Plain { file, offset } => Kind::Plain { file, offset: offset + length },
                other => other,
            };
            *rest = Some(Extent { length: extent.length - length, kind });
        }
    }
    Ok(segments)
}

/// Tells the files what will be read of them. What is shared hardly ever is; of what is stored in another form, only
/// its format knows where that is.
fn tell(files: &[Arc<dyn Bytes>], segments: &[Segment]) {
    for segment in segments.iter().filter(|segment| !segment.shared) {
        if let Kind::Plain { file, offset } = segment.kind
            && let Some(file) = files.get(file as usize)
        {
            file.will_need(offset, segment.length);
        }
    }
}

/// Whether an output that can share storage with `files` may refer to this extent: whole blocks of
/// the file that is really there. Even single blocks are shared quicker than they are written.
fn is_shared(files: &[Option<Arc<dyn Bytes>>], extent: &Extent, at: u64, size: u64) -> bool {
    let Kind::Plain { file, offset } = extent.kind else { return false };
    let Some(Some(bytes)) = files.get(file as usize) else { return false };
    let (mut bytes, mut offset): (&dyn Bytes, u64) = (bytes.as_ref(), offset);
    while let Some((whole, there)) = bytes.origin(offset, extent.length) {
        (bytes, offset) = (whole, there);
    }
    let end = at + extent.length;
    offset.is_multiple_of(BLOCK)
        && at.is_multiple_of(BLOCK)
        && (end == size || end.is_multiple_of(BLOCK))
}

/// Takes zeros that the stream announced, else fills the buffer until it, the stream, or the run
/// of data ends. Data and zeros do not share a chunk's ticket unless the chunk holds both.
fn claim_bytes(
    stream: &mut dyn Stream,
    zeros: &mut u64,
    over: &mut bool,
    at: &mut u64,
    chunk: u64,
    buf: &mut [u8],
) -> Result<Vec<Segment>> {
    let start = *at;
    let mut filled = 0;
    while filled < buf.len() {
        if *zeros > 0 {
            let gap = if filled % chunk as usize == 0 {
                if filled > 0 {
                    break;
                }
                // Whole chunks of zeros make a ticket of their own.
                let whole = floor(*zeros, chunk);
                if whole > 0 {
                    *zeros -= whole;
                    *at += whole;
                    return Ok(Vec::new());
                }
                *zeros
            } else {
                (*zeros).min(chunk - filled as u64 % chunk)
            };
            buf[filled..][..gap as usize].fill(0);
            filled += gap as usize;
            *zeros -= gap;
            continue;
        }
        if *over {
            break;
        }
        match stream.next(&mut buf[filled..])? {
            Piece::Data(count) => filled += count,
            Piece::Zero(count) => {
                let passed = *at + filled as u64 + *zeros;
                if passed.checked_add(count).is_none_or(|end| end > STREAM_MAX) {
                    return Err(Error::limit("a stream of more than 2^63 bytes"));
                }
                *zeros += count;
            }
            Piece::End => *over = true,
        }
    }
    *at += filled as u64;
    if filled == 0 {
        return Ok(Vec::new());
    }
    let kind = Kind::Data { compressed: false };
    Ok(vec![Segment { at: start, length: filled as u64, kind, shared: false }])
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::Disk;
    use diskferry_testkit::{Hinted, Model, StreamSize, Texture, Told};
    use proptest::prelude::*;

    use super::*;
    use crate::ticket::spans;

    fn tickets(source: Source<'_>, chunk: u64, run: u64) -> Vec<(Ticket, Vec<u8>)> {
        let mut scout = Scout::new(source, chunk, run, &Cancel::default()).unwrap();
        let mut tickets = Vec::new();
        let mut buf = vec![0xee; run as usize];
        while let Some(ticket) = scout.claim(&mut buf).unwrap() {
            tickets.push((ticket, buf.clone()));
        }
        assert!(scout.claim(&mut buf).unwrap().is_none());
        tickets
    }

    /// Tickets tile the disk in whole chunks, hold all that is not zero, and need no more memory
    /// than they may.
    fn check(model: &Model, tickets: &[(Ticket, Vec<u8>)], chunk: u64, run: u64, stream: bool) {
        let mut at = 0;
        for (index, (ticket, buf)) in tickets.iter().enumerate() {
            let name = format!("{model}: ticket {index} at {at:#x}, chunk {chunk}, run {run}");
            assert_eq!((ticket.index, ticket.at), (index as u64, at), "{name}");
            assert!(ticket.length > 0, "{name}");
            let end = ticket.at + ticket.length;
            assert!(end % chunk == 0 || end == model.size(), "{name}");
            let mut gap_from = ticket.at;
            for segment in &ticket.segments {
                assert!(segment.length > 0 && gap_from <= segment.at, "{name}: {segment:?}");
                let gap = segment.at - gap_from;
                assert_eq!(model.first_non_zero(gap_from, gap), None, "{name}: {segment:?}");
                gap_from = segment.end();
            }
            assert!(gap_from <= end, "{name}");
            assert_eq!(model.first_non_zero(gap_from, end - gap_from), None, "{name}");
            check_spans(&name, ticket, chunk, run);
            if stream && let Some(segment) = ticket.segments.first() {
                let bytes = model.bytes(segment.at, segment.length as usize);
                assert!(buf[..bytes.len()] == bytes, "{name}: other bytes");
            }
            at = end;
        }
        assert_eq!(at, model.size(), "{model}");
    }

    fn check_spans(name: &str, ticket: &Ticket, chunk: u64, run: u64) {
        let spans = spans(&ticket.segments, chunk);
        let mut start = 0;
        let mut from = ticket.at;
        for span in &spans {
            assert_eq!(span.start, start, "{name}: {span:?}");
            assert!(span.at >= from && span.at % chunk == 0, "{name}: {span:?}");
            assert!(
                span.length > 0 && (span.length as u64).is_multiple_of(chunk),
                "{name}: {span:?}"
            );
            start += span.length;
            from = span.end();
        }
        assert!(start as u64 <= run, "{name}: {start} bytes of memory");
        assert!(from <= (ticket.at + ticket.length).next_multiple_of(chunk), "{name}");
        for segment in &ticket.segments {
            let held = spans.iter().any(|s| s.at <= segment.at && segment.end() <= s.end());
            assert!(held, "{name}: {segment:?}");
        }
    }

    fn plain_offsets_follow(model: &Model, tickets: &[(Ticket, Vec<u8>)]) {
        let file = &model.files()[0];
        for segment in tickets.iter().flat_map(|(ticket, _)| &ticket.segments) {
            let Kind::Plain { file: 0, offset } = segment.kind else { panic!("{segment:?}") };
            let mut bytes = vec![0; segment.length as usize];
            file.read_at(offset, &mut bytes).unwrap();
            assert!(bytes == model.bytes(segment.at, bytes.len()), "{model}: {segment:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn tickets_tile_every_disk_in_whole_chunks(
            lengths in prop::collection::vec((0usize..7, 1u64..200, 0u32..10), 0..60),
            cut in 0u64..4096,
            grain_bits in 0u32..13,
            chunk_bits in 9u32..17,
            run_chunks in 1u64..9,
            longest in prop_oneof![Just(u64::MAX), 1u64..100_000],
        ) {
            let grain = 1 << grain_bits;
            let mut parts: Vec<_> = lengths
                .into_iter()
                .map(|(texture, grains, scale)| {
                    (Texture::ALL[texture], ((grains << scale) * grain).min(3 << 20) / grain * grain)
                })
                .collect();
            if let Some((_, length)) = parts.last_mut() {
                *length -= cut % grain;
            }
            let model = Model::of(3, grain, &parts).with_longest(longest.max(512));
            let (chunk, run) = (1 << chunk_bits, run_chunks << chunk_bits);
            check(&model, &tickets(Source::Disk(&model), chunk, run), chunk, run, false);
            let plain = model.plain();
            plain_offsets_follow(&plain, &tickets(Source::Disk(&plain), chunk, run));
            let stream = Source::Stream(Box::new(model.stream(cut, StreamSize::Unknown)));
            check(&model, &tickets(stream, chunk, run), chunk, run, true);
        }
    }

    #[test]
    fn many_small_extents_share_a_ticket_up_to_its_bound() {
        let parts: Vec<_> = (0..5000)
            .map(|n| (if n % 2 == 0 { Texture::Noise } else { Texture::Zero }, 512))
            .collect();
        let model = Model::of(1, 512, &parts);
        let tickets = tickets(Source::Disk(&model), 512, 1 << 20);
        check(&model, &tickets, 512, 1 << 20, false);
        assert_eq!(tickets[0].0.segments.len(), SEGMENTS);
        assert_eq!(tickets.len(), 2500_usize.div_ceil(SEGMENTS));
    }

    #[test]
    fn an_empty_stretch_costs_one_ticket() {
        let model = Model::of(1, 512, &[(Texture::Zero, 1 << 50), (Texture::Noise, 512)]);
        let tickets = tickets(Source::Disk(&model), 65536, 1 << 20);
        assert_eq!(tickets.len(), 1);
        assert_eq!(model.extents_asked(), 2);
    }

    /// Bytes of these stretches: what several of them have counts once for each.
    fn total(stretches: &[(u64, u64)]) -> u64 {
        stretches.iter().map(|(_, length)| length).sum()
    }

    #[test]
    fn files_are_told_what_the_next_ticket_reads_and_no_more() {
        for seed in 0..20 {
            let model = Model::fragmented(seed, 6 << 20, 4096);
            let file = Arc::new(Hinted::new(Arc::new(model.stored()), 1));
            let disk = model.plain_in(Arc::clone(&file) as Arc<dyn Bytes>);
            let (chunk, run) = (4096, 256 << 10);
            let mut scout =
                Scout::new(Source::Disk(&disk), chunk, run, &Cancel::default()).unwrap();
            let (mut needed, mut ahead) = (Vec::new(), 0);
            while let Some(ticket) = scout.claim(&mut []).unwrap() {
                let told: Vec<_> = file.told().into_iter().filter_map(Told::hint).collect();
                for segment in &ticket.segments {
                    let Kind::Plain { offset, .. } = segment.kind else { panic!("{segment:?}") };
                    needed.push((offset, segment.length));
                }
                // In the order of the disk, each stretch once, and no further than a ticket beyond this one.
                assert_eq!(told[..needed.len()], needed, "{model} at {:#x}", ticket.at);
                let beyond = total(&told[needed.len()..]);
                assert!(beyond <= run, "{model}: {beyond} bytes ahead");
                ahead += u64::from(beyond > 0);
                let end = ticket.at + ticket.length;
                let last = model.first_non_zero(end, model.size() - end).is_none();
                assert!(last || beyond > 0, "{model}: nothing is told of what follows {end:#x}");
            }
            assert!(ahead > 3, "{model}: it is ahead {ahead} times");
        }
    }

    #[test]
    fn tickets_are_as_large_as_what_a_file_has_in_one_request() {
        let model = Model::full(1, 16 << 20, 4096, Texture::Noise);
        for (batch, expected) in [(1, 1), (3 << 20, 3 << 20), (1 << 40, 4 << 20)] {
            let file = Hinted::new(Arc::new(model.stored()), batch);
            let disk = model.plain_in(Arc::new(file));
            assert_eq!(Source::Disk(&disk).batch(), expected);
        }
    }

    #[test]
    fn nothing_is_claimed_after_an_error() {
        use diskferry_testkit::fault::{Fault, FaultyDisk};
        let model = Model::fragmented(2, 10 << 20, 512);
        let fault = Fault::error(7, std::io::ErrorKind::Other);
        let disk = FaultyDisk::new(&model, &fault);
        let mut scout =
            Scout::new(Source::Disk(&disk), 65536, 1 << 20, &Cancel::default()).unwrap();
        // What comes before it is handed out.
        let failed = (0..).find_map(|_| scout.claim(&mut []).err());
        assert!(failed.is_some());
        assert!(scout.claim(&mut []).unwrap().is_none());
    }
}
