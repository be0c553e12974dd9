//! The codecs against Python's zlib and hashlib, which share no code with ours.

use std::io::Write;
use std::process::Stdio;

use diskferry_codec::digest::{Algorithm, Crc32Part, Digest, crc32};
use diskferry_codec::{CodecError, Deflater, Ending, Inflater};
use diskferry_testkit::child::{Bounded, command};

/// Inflates stdin as raw deflate with a window of 2^argv[1] bytes and nothing but that window: one byte of output at
/// a time, so that zlib cannot find older bytes in the output buffer.
const INFLATE: &str = "
import sys, zlib
data = sys.stdin.buffer.read()
stream = zlib.decompressobj(-int(sys.argv[1]))
out = bytearray()
for at in range(0, len(data), 64):
    part = data[at:at + 64]
    while not stream.eof:
        byte = stream.decompress(part, 1)
        part = stream.unconsumed_tail
        out += byte
        if not byte and not part:
            break
if not stream.eof or stream.unused_data:
    sys.exit('the stream does not end where the input ends')
sys.stdout.buffer.write(out)
";

/// Deflates stdin as qemu does, with a window of 2^argv[1] bytes and a level of argv[2].
const DEFLATE: &str = "
import sys, zlib
stream = zlib.compressobj(int(sys.argv[2]), zlib.DEFLATED, -int(sys.argv[1]), 9)
sys.stdout.buffer.write(stream.compress(sys.stdin.buffer.read()) + stream.flush(getattr(zlib, sys.argv[3])))
";

const DIGESTS: &str = "
import hashlib, sys, zlib
data = sys.stdin.buffer.read()
print(' '.join(['%08x' % zlib.crc32(data)] + [hashlib.new(n, data).hexdigest() for n in sys.argv[1:]]))
";

/// What `script` writes, or its complaint.
fn python(script: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = command("python3")
        .args(["-c", script])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .start()
        .expect("these tests need python3");
    child.stdin.take().expect("stdin is piped").write_all(input).expect("python3 reads its input");
    let output = child.into_output().expect("python3 ends");
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// Pieces of noise, each met again at distances around every power of two up to the largest.
fn echoes() -> Vec<u8> {
    let fresh = noise(60_000);
    let mut data = fresh[..33_000].to_vec();
    for (step, distance) in
        [256, 512, 1024, 2048, 4096, 8192, 16384, 32768].into_iter().cycle().take(64).enumerate()
    {
        let from = data.len() - distance - (step % 7) * 40 + 120;
        data.extend_from_within(from..from + 80.min(distance - 120));
        data.extend_from_slice(&fresh[33_000 + step * 30..][..30]);
    }
    data
}

#[test]
fn no_stream_refers_back_further_than_its_window() {
    let data = echoes();
    for (window_bits, levels) in [(9, 1..=9), (10, 6..=6), (12, 0..=9), (15, 9..=9)] {
        for level in levels {
            // The second stream of a session, because a reset that forgets the window would show there.
            let mut deflater = Deflater::new(level, window_bits).unwrap();
            assert!(deflater.compress(&noise(1 << 16), &mut Vec::new(), usize::MAX).unwrap());
            let mut stream = Vec::new();
            assert!(deflater.compress(&data, &mut stream, usize::MAX).unwrap());
            let back = python(INFLATE, &[&window_bits.to_string()], &stream);
            assert!(
                back.as_ref() == Ok(&data),
                "window {window_bits}, level {level}: {:?}",
                back.err()
            );
        }
    }
}

#[test]
fn the_check_above_sees_a_reference_that_is_too_far() {
    let mut stream = Vec::new();
    assert!(Deflater::new(9, 15).unwrap().compress(&echoes(), &mut stream, usize::MAX).unwrap());
    let refusal = python(INFLATE, &["12"], &stream).unwrap_err();
    assert!(refusal.contains("invalid distance too far back"), "{refusal}");
}

#[test]
fn streams_of_zlib_are_read() {
    let data = [echoes(), vec![0; 9000], b"a line of text\n".repeat(500)].concat();
    let cases = [
        ("Z_FINISH", Ending::Final),
        ("Z_SYNC_FLUSH", Ending::Open),
        ("Z_FULL_FLUSH", Ending::Open),
    ];
    for window_bits in ["9", "12", "15"] {
        for level in ["0", "1", "6", "9"] {
            for (flush, ending) in cases {
                let stream = python(DEFLATE, &[window_bits, level, flush], &data).unwrap();
                for tail in [&b""[..], &[0; 600], &[0xff; 511]] {
                    // Only after an end is it certain that foreign bytes are not read.
                    if ending == Ending::Open && !tail.is_empty() {
                        continue;
                    }
                    let mut out = vec![0xaa; data.len()];
                    let name = format!(
                        "window {window_bits}, level {level}, {flush}, {} bytes after",
                        tail.len()
                    );
                    let found = Inflater::new().inflate(&[&stream[..], tail].concat(), &mut out);
                    assert_eq!(found, Ok(ending), "{name}");
                    assert!(out == data, "{name}");
                }
                let short = Inflater::new().inflate(&stream, &mut vec![0; data.len() + 1]);
                assert!(matches!(short, Err(CodecError::Short { .. })), "{short:?}");
            }
        }
    }
}

#[test]
fn digests_are_those_of_hashlib() {
    for len in [0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 65537] {
        let data = noise(len);
        let expected = python(DIGESTS, &["md5", "sha1", "sha256", "sha512"], &data).unwrap();
        let ours = Algorithm::ALL.map(|algorithm| {
            let mut digest = Digest::new(algorithm);
            let (head, tail) = data.split_at(len / 3);
            digest.update(head);
            digest.update(tail);
            digest.finish()
        });
        assert_eq!(ours.join(" "), String::from_utf8_lossy(&expected).trim(), "{len} bytes");
    }
}

#[test]
fn crc_of_parts_and_zeros_is_that_of_zlib() {
    let (head, tail) = (noise(1000), noise(2000));
    let parts = crc32(&head).combine(Crc32Part::zeros(100_003)).combine(crc32(&tail));
    let expected = python(DIGESTS, &[], &[&head[..], &vec![0; 100_003], &tail].concat()).unwrap();
    assert_eq!(parts.to_string(), String::from_utf8_lossy(&expected).trim());
    assert_eq!(parts.len, 103_003);
}
