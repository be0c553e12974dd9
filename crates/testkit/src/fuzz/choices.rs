//! Decisions out of an input's bytes.

/// An input, read front to back as a row of decisions; where it ends, each is the first choice.
///
/// Nothing is skipped and every number has a fixed width, so that a fuzzer which changes one byte
/// changes one decision, and a kept input means the same for as long as the questions stay.
#[derive(Clone, Debug)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// The decisions in `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Whether all of the input is used.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// What is not used yet, for those who need bytes and no decisions.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    /// A number of 16 bits.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes())
    }

    /// A number of 64 bits.
    pub fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// One of `items`, of which there are at most 256.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::from(self.byte()) % items.len()]
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_at(N.min(self.0.len()));
        self.0 = rest;
        let mut bytes = [0; N];
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }
}
