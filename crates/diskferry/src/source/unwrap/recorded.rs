//! Keeps the beginning of what comes in order, until it is clear whether it can be read so.

use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diskferry_block_stream::Result;
use diskferry_wrap::Forward;

/// A reader whose beginning is kept. Whoever has the [`Recording`] can have all of its bytes once more, if no
/// more than [`KEPT`] were read.
pub(crate) struct Recorder(Arc<Mutex<State>>);

/// What a [`Recorder`] has read.
pub(crate) struct Recording(Arc<Mutex<State>>);

struct State {
    /// Taken by whoever wants all bytes once more.
    inner: Box<dyn Forward>,
    /// The first bytes; `None` where they are not kept any more.
    kept: Option<Vec<u8>>,
}

/// Bytes that are kept: of an archive, what precedes its disk is mostly a descriptor or two.
const KEPT: usize = 16 << 20;

/// Wraps a reader, all of whose bytes come.
pub(crate) fn record(inner: impl Forward + 'static) -> (Recorder, Recording) {
    let state = State { inner: Box::new(inner), kept: Some(Vec::new()) };
    let state = Arc::new(Mutex::new(state));
    (Recorder(Arc::clone(&state)), Recording(state))
}

impl Recording {
    /// Keeps nothing any more.
    pub fn stop(self) {
        lock(&self.0).kept = None;
    }

    /// All bytes from the first one on; `None` where too many were read. The recorder has no more then.
    pub fn rewind(self) -> Option<Box<dyn Read + Send>> {
        let mut state = lock(&self.0);
        let kept = state.kept.take()?;
        let inner = std::mem::replace(&mut state.inner, Box::new(Cursor::new(Vec::new())));
        Some(Box::new(Cursor::new(kept).chain(inner)))
    }
}

/// A panic while it was held leaves nothing half done.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for Recorder {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let State { inner, kept } = &mut *lock(&self.0);
        let count = inner.read(buf)?;
        if let Some(bytes) = kept {
            match bytes.len() + count <= KEPT {
                true => bytes.extend_from_slice(&buf[..count]),
                false => *kept = None,
            }
        }
        Ok(count)
    }
}

/// Zeros that are nowhere stored are kept as bytes: where anything is recorded, there are none.
impl Forward for Recorder {
    fn hole(&mut self) -> Result<u64> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut reader: Box<dyn Read + Send>) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn all_comes_once_more() {
        for read in [0, 1, 5, 10] {
            let (mut recorder, recording) = record(Cursor::new(b"0123456789".to_vec()));
            let mut buf = vec![0; read];
            recorder.read_exact(&mut buf).unwrap();
            assert_eq!(all(recording.rewind().unwrap()), b"0123456789", "{read}");
            assert_eq!(recorder.read(&mut [0; 5]).unwrap(), 0);
        }
    }

    #[test]
    fn it_keeps_what_it_may_and_as_long_as_somebody_wants() {
        let (mut recorder, recording) = record(Cursor::new(vec![7; KEPT + 1]));
        io::copy(&mut (&mut recorder).take(KEPT as u64), &mut io::sink()).unwrap();
        assert_eq!(recorder.read(&mut [0; 5]).unwrap(), 1);
        assert!(recording.rewind().is_none());

        let (mut recorder, recording) = record(Cursor::new(vec![7; 10]));
        recorder.read_exact(&mut [0; 4]).unwrap();
        recording.stop();
        assert_eq!(recorder.read(&mut [0; 20]).unwrap(), 6);
    }
}
