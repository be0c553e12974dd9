//! A compressed file that is unpacked as it is read, within bounds.

use std::io::{self, Read};

use diskferry_block_stream::{Budget, Error, Limits, Result, Window};
use diskferry_codec::{UnpackError, Unpacked, Wrapper};

use crate::peek::{Forward, Peek};

/// What is in a compressed file, front to back.
pub struct Unpacking {
    unpacked: Unpacked<Peek>,
    wrapper: Wrapper,
    /// The most that any of its members wanted.
    window: Window,
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
    pub fn new(wrapper: Wrapper, packed: Peek, budget: &Budget) -> Self {
        let unpacked = Unpacked::new(wrapper, packed);
        let (window, limits) = (budget.window(), budget.limits());
        let (most, ratio) = (limits.unpacked, limits.ratio);
        Self { unpacked, wrapper, window, passed: 0, most, ratio }
    }

    /// Unpacks some bytes, once there is room for the window that they take.
    fn step(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            match self.unpacked.unpack(buf) {
                Ok(count) => return Ok(count),
                Err(UnpackError::Io(error)) => return Err(error.into()),
                Err(error @ UnpackError::Window { window, .. }) => {
                    self.window.widen(&error, window)?;
                    self.unpacked.allow(window);
                }
                Err(error @ (UnpackError::TooWide { .. } | UnpackError::Memory { .. })) => {
                    return Err(Error::limit(error));
                }
                Err(error) => return Err(Error::damaged(error)),
            }
        }
    }

    fn unpack(&mut self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let count = self.step(buf)?;
        if count == 0 {
            self.window.close();
        }
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
