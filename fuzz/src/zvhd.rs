//! What is done with an input for ZVHD and ZVHD2.

use std::cell::Cell;
use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Disk, ErrorKind, Image, Limits, Piece, Plan, Problem, Progress, Result,
    Stamp, Stream, Writing as _,
};
use diskferry_engine::{CopyOptions, Job, Source, copy};
use diskferry_testkit::fuzz::{Choices, Chosen, any_disk, any_image, put};
use diskferry_testkit::{Model, Recorder, Texture};
use diskferry_zvhd::zvhd::{self, Zvhd, ZvhdStream};
use diskferry_zvhd::zvhd2::{self, Zvhd2, Zvhd2Stream};

/// The input is an image, in a file and in a pipe.
pub fn read(input: &[u8]) {
    any_image(input, |bytes, budget| vec![open(bytes, budget)]);
    through_a_pipe(input);
}

/// The input chooses a good image, and what is replaced in it.
pub fn tables(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut image = IMAGES[usize::from(choices.byte()) % IMAGES.len()].clone();
    while !choices.is_over() {
        patch(&mut image, &mut choices);
    }
    read(&image);
}

/// The input is a disk, and the way it is written.
pub fn roundtrip(input: &[u8]) {
    any_disk(input, choose, |bytes, budget| {
        let image = open(bytes, budget)?;
        Ok(Box::new(Original(image)))
    });
}

fn open(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Box<dyn Image>> {
    let mut head = [0; 6];
    let length = bytes.len().min(6) as usize;
    bytes.read_at(0, &mut head[..length])?;
    if Zvhd2::probe(&head) {
        return Ok(Box::new(Zvhd2::open(bytes, budget)?));
    }
    Ok(Box::new(Zvhd::open(bytes, budget)?))
}

/// A pipe gives the disk that the file is, or an error; where the file is good, only an unsupported
/// order of its parts, or a first page that the last one contradicts.
fn through_a_pipe(input: &[u8]) {
    let budget = || Limits::default().with_metadata(8 << 20).budget();
    let reader = Cursor::new(input);
    let stream: Result<Box<dyn Stream + '_>> = if Zvhd2::probe(input) {
        Zvhd2Stream::new(reader, "pipe", &budget()).map(|stream| Box::new(stream) as _)
    } else {
        ZvhdStream::new(reader, "pipe", &budget()).map(|stream| Box::new(stream) as _)
    };
    let disk = open(Arc::new(input.to_vec()), &budget());
    let Ok(mut stream) = stream else { return };
    let mut cursor =
        disk.as_ref().ok().map(|disk| disk.cursor().expect("a cursor of bytes in memory"));
    let mut buf = vec![0; 1 << 20];
    let mut expected = vec![0; 1 << 20];
    let mut at = 0_u64;
    // The bytes of a pipe count only if it comes to its end well.
    let mut differs = None;
    loop {
        match stream.next(&mut buf) {
            Ok(Piece::Data(count)) => {
                if let Some(cursor) = &mut cursor {
                    let same = cursor.read(at, &mut expected[..count]).is_ok()
                        && expected[..count] == buf[..count];
                    differs = differs.or((!same).then_some(at));
                }
                at += count as u64;
            }
            Ok(Piece::Zero(count)) => at += count,
            Ok(Piece::End) => break,
            Err(error) => {
                let kind = error.kind();
                let fits =
                    matches!(kind, ErrorKind::Damaged | ErrorKind::Unsupported | ErrorKind::Limit);
                assert!(fits, "{kind:?} is no way to refuse bytes in memory: {error}");
                return;
            }
        }
    }
    assert_eq!(differs, None, "the pipe's bytes are not the file's");
    match &disk {
        Ok(disk) => assert_eq!(disk.size(), at, "the pipe's size is not the file's"),
        Err(error) => panic!("a pipe ends well, and a file does not open: {error}"),
    }
}

/// The disk at the size that was asked for.
struct Original(Box<dyn Image>);

impl Disk for Original {
    fn size(&self) -> u64 {
        self.0.original_size().expect("the format tells")
    }

    fn grain(&self) -> u64 {
        self.0.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.0.files()
    }

    fn cursor(&self) -> Result<Box<dyn diskferry_block_stream::Cursor + '_>> {
        self.0.cursor()
    }
}

impl Image for Original {
    fn describe(&self) -> diskferry_block_stream::Description {
        self.0.describe()
    }

    fn check_tables(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        self.0.check_tables(cancel, progress, report)
    }
}

/// A way to write.
#[derive(Clone, Copy)]
enum Way {
    Zvhd(u32),
    Zvhd2(&'static str, u32),
}

impl Way {
    fn plan(self, size: Option<u64>) -> Result<Plan> {
        let stamp = Stamp { uuid: [7; 16], seconds: 1_700_000_000 };
        match self {
            Self::Zvhd(level) => {
                let mut options = zvhd::Options::default();
                options.compress(Some(level))?;
                zvhd::plan(size, &options, &stamp)
            }
            Self::Zvhd2(compression, level) => {
                let mut options = zvhd2::Options::default();
                options.set("compression_type", compression)?;
                options.compress(Some(level))?;
                zvhd2::plan(size, &options, &stamp)
            }
        }
    }
}

fn choose(choices: &mut Choices<'_>) -> Chosen {
    let ways = [
        Way::Zvhd(1),
        Way::Zvhd(6),
        Way::Zvhd(9),
        Way::Zvhd2("zstd", 1),
        Way::Zvhd2("zstd", 3),
        Way::Zvhd2("zlib", 1),
    ];
    let way = choices.pick(&ways);
    // A stream that does not know its size is written with the size that somebody states.
    let stated = Cell::new(0);
    let plan = Box::new(move |size: Option<u64>| {
        stated.set(size.unwrap_or(stated.get()));
        way.plan(Some(stated.get()))
    });
    Chosen { chunk: 2 << 20, unit: 512, most: 1 << 40, most_stored: 4 << 20, plan }
}

/// Good images, as small as blocks of text and single bytes are packed: three units, two of them
/// neighbours. The last is by hand: its blocks refer to one another.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let written = [Way::Zvhd(6), Way::Zvhd2("zstd", 3), Way::Zvhd2("zlib", 6)].map(write);
    let mut images = written.to_vec();
    images.push(dependent());
    images
});

fn write(way: Way) -> Vec<u8> {
    let block = 2 << 20;
    let parts = [
        (Texture::Text, 4096),
        (Texture::Zero, block - 4096),
        (Texture::Absent, block),
        (Texture::OneByte, 2 * block),
        (Texture::Zero, 3 * block + 512),
    ];
    let model = Model::of(1, 512, &parts);
    let recorder = Recorder::new();
    let plan = way.plan(Some(model.size())).expect("options that go together");
    let job = Job::new(1).expect("a thread");
    copy(Source::Disk(&model), plan, &recorder, &CopyOptions::default(), &job)
        .expect("a recorder takes everything");
    recorder.recorded().to_vec()
}

/// Three blocks, the last two of which are zeros by reference to the zeros before them.
fn dependent() -> Vec<u8> {
    let mut file = write(Way::Zvhd(6));
    let page = file[..4096].to_vec();
    file.truncate(4096);
    // 258 zeros from a distance of one, again and again: fixed codes, 8129 times, less the literal
    // in the first block.
    for block in 0..3_u32 {
        let payload = zeros(block == 0);
        file.extend_from_slice(b"hwstream bg\0");
        file.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        file.extend_from_slice(&block.to_le_bytes());
        file.extend_from_slice(&[0; 28]);
        file.extend_from_slice(&payload);
        let end = (file.len() + 4).next_multiple_of(4096) - 4;
        file.resize(end, 0);
        file.extend_from_slice(b"end\0");
    }
    file.extend_from_slice(&page);
    file
}

/// A block of zeros, in fixed codes; the first one has a literal to refer to, and the stream's
/// header.
fn zeros(first: bool) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.number(0, 1);
    bits.number(1, 2);
    let mut left = 2 << 20;
    if first {
        // The literal 0: eight bits, 00110000, the highest first.
        bits.number(0b0000_1100, 8);
        left -= 1;
    }
    while left > 0 {
        // Length 258 is code 285: 11000101. Any other length here is 3 to 10: codes 257 to 264.
        let length = if left >= 258 + 3 || left == 258 { 258 } else { left.min(10) };
        if length == 258 {
            bits.number(0b1010_0011, 8);
        } else {
            let code = (length - 2) as u32;
            bits.number(code.reverse_bits() >> 25, 7);
        }
        // Distance 1.
        bits.number(0, 5);
        left -= length;
    }
    bits.number(0, 7);
    bits.number(0, 3);
    let mut bytes = if first { vec![0x78, 0x01] } else { Vec::new() };
    bytes.extend_from_slice(&bits.bytes);
    bytes.extend_from_slice(&[0, 0, 0xff, 0xff]);
    bytes
}

/// Bits, the lowest of a byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn number(&mut self, value: u32, len: u32) {
        for bit in 0..len {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("a byte was pushed");
            *last |= ((value >> bit & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }
}

/// Replaces a field or a byte, and then perhaps makes the checksums right; or ends the file.
fn patch(image: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let kind = choices.byte();
    let place = usize::from(choices.short());
    let last = image.len().saturating_sub(4096);
    match kind {
        // Pages: the first, and the last.
        0..0x60 => {
            let page = if kind.is_multiple_of(2) { 0 } else { last };
            let at = page + place % 0xa0;
            put(image, at, &[choices.byte()]);
            for page in [0, last] {
                seal(image, page);
            }
        }
        // Heads and ends of units, of which the first begins after a page.
        0x60..0xa0 => {
            let at = 4096 * (1 + place / 256 % 8) + place % 64;
            put(image, at.wrapping_sub(usize::from(kind % 2) * 16), &[choices.byte()]);
        }
        // The tables in front of the last page, and anything.
        0xa0..0xd0 => {
            put(image, last.saturating_sub(528_384).saturating_add(place % 64), &[choices.byte()])
        }
        0xd0..0xf0 => put(image, place, &[choices.byte()]),
        _ => image.truncate(place * 16),
    }
}

fn seal(image: &mut [u8], page: usize) {
    if let Some(page) = image.get_mut(page..page + 512) {
        page[0x40..0x44].fill(0);
        let sum: u32 = page.iter().map(|byte| u32::from(*byte)).sum();
        page[0x40..0x44].copy_from_slice(&(!sum).to_le_bytes());
    }
}
