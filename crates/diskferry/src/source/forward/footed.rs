//! A disk that comes in order, behind which the footer of a fixed VHD may stand.

use std::sync::{Arc, OnceLock};

use diskferry_block_stream::{Error, Note, NoteKind, Piece, Remedy, Result, Stream};

use crate::format::{FixedDisk, Format};
use crate::source::forward::lookahead::length;
use crate::source::unlike;

/// A format that is known once a stream has ended.
pub(crate) type Told = Arc<OnceLock<Format>>;

/// A disk's bytes, behind which the footer of a fixed VHD may stand: the last ones are held back until
/// the end tells what they are.
pub(crate) struct Footed {
    inner: Box<dyn Stream>,
    /// Whether there must be one.
    required: bool,
    told: Told,
    /// The name that says what it is, where none of its bytes did.
    claimed: String,
    /// Bytes that came; those before `start` were handed out.
    held: Vec<u8>,
    start: usize,
    /// Of them, so many can be handed out; then come `zeros`, and then the others.
    ready: usize,
    zeros: u64,
    /// Bytes of the disk that were handed out.
    passed: u64,
    over: bool,
    warnings: Vec<Note>,
}

impl Footed {
    /// A stream that is taken for raw, unless a footer ends it.
    pub fn assumed(inner: Box<dyn Stream>) -> Self {
        Self {
            inner,
            required: false,
            told: Told::default(),
            claimed: String::new(),
            held: Vec::new(),
            start: 0,
            ready: 0,
            zeros: 0,
            passed: 0,
            over: false,
            warnings: Vec::new(),
        }
    }

    /// A fixed VHD.
    pub fn vhd(inner: Box<dyn Stream>) -> Self {
        Self { required: true, ..Self::assumed(inner) }
    }

    /// Says by which name the end is judged.
    pub fn named(self, claimed: String) -> Self {
        Self { claimed, ..self }
    }

    /// The format that the end tells.
    pub fn told(&self) -> Told {
        Arc::clone(&self.told)
    }

    /// Reads a piece, when all that was ready is handed out.
    fn more(&mut self) -> Result<()> {
        if self.start >= PASSED {
            self.held.drain(..self.start);
            self.start = 0;
        }
        let have = self.held.len();
        self.held.resize(have + STEP, 0);
        let piece = self.inner.next(&mut self.held[have..]);
        let came = if let Ok(Piece::Data(count)) = piece { count } else { 0 };
        self.held.truncate(have + came);
        match piece? {
            Piece::Data(_) => {}
            Piece::Zero(count) if count < FixedDisk::TAIL as u64 => {
                self.held.resize(have + count as usize, 0);
            }
            Piece::Zero(count) => {
                self.ready = have - self.start;
                self.zeros = count - FixedDisk::TAIL as u64;
                self.held.resize(have + FixedDisk::TAIL, 0);
                return Ok(());
            }
            Piece::End => {
                self.over = true;
                let size = self.end()?;
                self.held.truncate(self.start + (size - self.passed) as usize);
                self.ready = self.held.len() - self.start;
                return Ok(());
            }
        }
        self.ready = (self.held.len() - self.start).saturating_sub(FixedDisk::TAIL);
        Ok(())
    }

    /// The disk's size, by its last bytes.
    fn end(&mut self) -> Result<u64> {
        let tail = &self.held[self.start..];
        let end = self.passed + tail.len() as u64;
        let Some(FixedDisk { size, warnings }) = FixedDisk::of_stream(tail, end)? else {
            return match self.required {
                true => Err(Error::damaged("no footer of a fixed VHD ends it")),
                false => unlike::judge_end(&self.claimed, tail).map(|()| end),
            };
        };
        if !self.required && self.inner.size().is_some() {
            return Err(Error::unsupported(
                "no raw disk but a fixed vhd image, by its last bytes, which came too late for the \
                 size that was announced",
            )
            .mended_by(Remedy::StateFormat { format: Format::VHD.name().to_owned() }));
        }
        if let Some(announced) = self.size().filter(|announced| *announced != size) {
            return Err(Error::unsupported(format!(
                "a fixed vhd image of {size} bytes by its last bytes, which came too late: \
                 {announced} were announced; unpack it first"
            )));
        }
        let name = self.inner.name();
        let note = |text: &String| Note::of(NoteKind::Format, name, &**text);
        self.warnings = warnings.iter().map(note).collect();
        // It is told once.
        let _ = self.told.set(Format::VHD);
        Ok(size)
    }
}

/// Bytes that are read at a time.
const STEP: usize = 256 << 10;
/// Bytes that were handed out and are not yet forgotten: they are more than those that are held, which
/// are moved then.
const PASSED: usize = 4 * FixedDisk::TAIL;

impl Stream for Footed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size(&self) -> Option<u64> {
        let size = self.inner.size()?;
        Some(if self.required { FixedDisk::size_within(size) } else { size })
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        loop {
            let piece = if self.ready > 0 {
                let count = self.ready.min(buf.len());
                buf[..count].copy_from_slice(&self.held[self.start..][..count]);
                self.start += count;
                self.ready -= count;
                Piece::Data(count)
            } else if self.zeros > 0 {
                Piece::Zero(std::mem::take(&mut self.zeros))
            } else if self.over {
                Piece::End
            } else {
                self.more().map_err(|error| error.in_file(self.inner.name()))?;
                continue;
            };
            self.passed += length(piece);
            return Ok(piece);
        }
    }

    fn warnings(&self) -> Vec<Note> {
        [self.inner.warnings(), self.warnings.clone()].concat()
    }
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::{ErrorKind, Naming, Plan};

    use super::*;

    fn read(stream: impl Stream) -> Result<Vec<u8>> {
        read_by(stream, 3)
    }

    fn read_by(mut stream: impl Stream, room: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut buf = vec![0xff; room];
        loop {
            match stream.next(&mut buf)? {
                Piece::Data(count) => all.extend_from_slice(&buf[..count]),
                Piece::Zero(count) => all.resize(all.len() + count as usize, 0),
                Piece::End => return Ok(all),
            }
        }
    }

    /// A fixed VHD of these bytes, whose footer lacks its last byte where that is asked for.
    fn vhd(disk: &[u8], short: bool) -> Vec<u8> {
        let plan = Format::VHD.writing(&[("subformat".into(), "fixed".into())], None).unwrap();
        let naming = Naming::default();
        let Ok(Plan::Flat(flat)) = plan.plan(Some(disk.len() as u64), &naming) else {
            panic!("a fixed disk is its bytes, and a footer");
        };
        let footer = &flat.tail[..flat.tail.len() - usize::from(short)];
        [disk, footer].concat()
    }

    /// Bytes as pieces of `step`, and those that are zeros as such.
    struct Stepping {
        bytes: Vec<u8>,
        step: usize,
        at: usize,
        size: Option<u64>,
    }

    impl Stream for Stepping {
        fn name(&self) -> &str {
            "stepping"
        }

        fn size(&self) -> Option<u64> {
            self.size
        }

        fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
            let left = &self.bytes[self.at..];
            let count = left.len().min(self.step);
            let piece = match &left[..count] {
                [] => Piece::End,
                part if part.iter().all(|byte| *byte == 0) => Piece::Zero(count as u64),
                part => {
                    let count = count.min(buf.len());
                    buf[..count].copy_from_slice(&part[..count]);
                    Piece::Data(count)
                }
            };
            self.at += length(piece) as usize;
            Ok(piece)
        }
    }

    fn stepping(bytes: &[u8], step: usize, size: Option<u64>) -> Box<dyn Stream> {
        Box::new(Stepping { bytes: bytes.to_vec(), step, at: 0, size })
    }

    #[test]
    fn a_footer_is_cut_off_however_it_comes() {
        let mut disk = vec![0; 5 * 512];
        disk[700..1300].fill(7);
        for (size, short) in [(5, false), (5, true), (1, false), (3, true)] {
            let disk = &disk[..size * 512];
            for file in [vhd(disk, short), disk.to_vec()] {
                for step in [1, 7, 511, 512, 513, 1536, 5000] {
                    let footed = Footed::assumed(stepping(&file, step, None));
                    let told = footed.told();
                    assert!(read(footed).unwrap() == disk, "{size} in pieces of {step}");
                    assert_eq!(told.get().is_some(), file.len() > disk.len());
                    let footed = Footed::vhd(stepping(&file, step, Some(file.len() as u64)));
                    let announced = footed.size();
                    match read(footed) {
                        Ok(bytes) => assert!(bytes == disk && announced == Some(size as u64 * 512)),
                        Err(_) => assert_eq!(file, disk),
                    }
                }
            }
        }
        assert_eq!(read(Footed::assumed(stepping(b"ab", 1, None))).unwrap(), b"ab");
        assert_eq!(read(Footed::assumed(stepping(b"", 1, None))).unwrap(), b"");
    }

    #[test]
    fn zeros_behind_a_footer_are_cut_off_with_it() {
        let file = vhd(&[7; 4096], false);
        for zeros in [1, 512, (2 << 20) - 512] {
            let file = [&file[..], &vec![0; zeros]].concat();
            for step in [1000, 3 << 20] {
                for footed in [Footed::assumed, Footed::vhd] {
                    let mut footed = footed(stepping(&file, step, None));
                    let mut disk = Vec::new();
                    let mut buf = [0; 5000];
                    while let Piece::Data(count) = footed.next(&mut buf).unwrap() {
                        disk.extend_from_slice(&buf[..count]);
                    }
                    assert!(disk == [7; 4096], "{zeros} zeros, in pieces of {step}");
                    assert!(footed.warnings()[0].text.contains("zeros after the footer"));
                }
            }
        }
    }

    #[test]
    fn much_is_held_back_and_all_of_it_handed_out() {
        let mut disk = vec![7; 40 << 20];
        disk[5 << 20..16 << 20].fill(0);
        disk[39 << 20..].fill(0);
        for (file, told) in [(vhd(&disk, false), true), (disk.clone(), false)] {
            // Zeros of more and of less than what is held.
            for step in [100_000, 3 << 20] {
                let footed = Footed::assumed(stepping(&file, step, None));
                let cell = footed.told();
                assert!(read_by(footed, 1 << 20).unwrap() == disk, "in pieces of {step}");
                assert_eq!(cell.get().is_some(), told);
            }
        }
    }

    #[test]
    fn a_disk_that_is_a_little_shorter_than_its_file_is_cut() {
        // A disk that is counted by its geometry ends within the last cylinder of its file.
        let file = [&[7; 4096][..], &vhd(&[8; 1024], false)[1024..]].concat();
        let mut footed = Footed::assumed(stepping(&file, 1000, None));
        let mut buf = [0; 5000];
        let mut count = 0;
        while let Piece::Data(more) = footed.next(&mut buf).unwrap() {
            count += more;
        }
        assert_eq!(count, 1024);
        assert!(footed.warnings()[0].text.contains("3072 bytes between are left out"));
    }

    #[test]
    fn a_footer_that_does_not_fit_is_an_error_and_no_part_of_the_disk() {
        let file = vhd(&[7; 4096], false);
        let mut broken = file.clone();
        broken[4096 + 100] ^= 1;
        let longer = [&[7; 3 << 20][..], &file[4096..]].concat();
        for (what, bytes, kind) in [
            ("a broken one", &broken[..], ErrorKind::Damaged),
            ("one that is cut", &file[..file.len() - 20], ErrorKind::Damaged),
            ("of a longer disk", &file[512..], ErrorKind::Damaged),
            ("of a much shorter disk", &longer, ErrorKind::Unsupported),
        ] {
            for footed in [Footed::assumed, Footed::vhd] {
                let error = read(footed(stepping(bytes, 1000, None))).unwrap_err();
                assert_eq!(error.kind(), kind, "{what}: {error}");
            }
        }
        // Somebody counts on the size that an archive told.
        let announced = stepping(&file, 1000, Some(file.len() as u64));
        let error = read(Footed::assumed(announced)).unwrap_err();
        assert_eq!(error.remedy(), Some(&Remedy::StateFormat { format: "vhd".to_owned() }));
    }
}
