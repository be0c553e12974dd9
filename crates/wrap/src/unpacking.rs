//! A compressed file that is unpacked as it is read, within bounds.

use std::io::{self, Read};

use diskferry_block_stream::{Error, Limits, Result};
use diskferry_codec::{UnpackError, Unpacked, Wrapper};

use crate::peek::{Forward, Peek};

/// What is in a compressed file, front to back.
pub struct Unpacking {
    unpacked: Unpacked<Peek>,
    wrapper: Wrapper,
    /// Bytes that came out.
    passed: u64,
    most: u64,
    /// How many times more than went in.
    ratio: u64,
}

/// Bytes that come out before their ratio is looked at: at first it says little.
const RATIO_FROM: u64 = 1 << 20;

impl Unpacking {
    /// Unpacks what `packed` has, which bears the wrapper's signature.
    pub fn new(wrapper: Wrapper, packed: Peek, limits: &Limits) -> Self {
        let unpacked = Unpacked::new(wrapper, packed);
        Self { unpacked, wrapper, passed: 0, most: limits.unpacked, ratio: limits.ratio }
    }

    fn unpack(&mut self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let count = self.unpacked.unpack(buf).map_err(|error| match error {
            UnpackError::Io(error) => Error::from(error),
            UnpackError::Memory { .. } => Error::limit(error),
            error => Error::damaged(error),
        })?;
        self.passed += count as u64;
        if self.passed > self.most {
            let (name, most) = (self.wrapper.name(), self.most);
            let what = format!("the {name} data unpack to more than the bound of {most} bytes");
            return Err(Limits::reached("unpacked", what));
        }
        let packed = self.unpacked.at();
        if self.passed > RATIO_FROM && packed.saturating_mul(self.ratio) < self.passed {
            let (name, passed, ratio) = (self.wrapper.name(), self.passed, self.ratio);
            let what = format!(
                "{packed} bytes of {name} data unpack to {passed} bytes and more, past the bound of \
                 {ratio} times"
            );
            return Err(Limits::reached("ratio", what));
        }
        Ok(count)
    }
}

impl Read for Unpacking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.unpack(buf)?)
    }
}

impl Forward for Unpacking {}
