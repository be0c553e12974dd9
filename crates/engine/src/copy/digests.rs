//! The digests of a copy: CRC-32 and fingerprint come in parts, the others see every byte in order.

use diskferry_block_stream::Result;
use diskferry_codec::Fingerprint;
use diskferry_codec::digest::{Algorithm, Crc32Part, Digest};

use super::done::{Content, Done};
use super::options::CopyOptions;
use crate::job::Job;

/// The digests of a job. CRC-32 and fingerprint arrive in parts; the others see every byte in order.
pub(super) struct Digests {
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) crc: Crc32Part,
    pub(super) serial: Vec<Digest>,
    pub(super) fingerprint: Option<Fingerprint>,
    /// The disk's byte that the source begins at.
    pub(super) base: u64,
}

/// Zeros that are written, or fed to a serial digest, between two looks at the cancel flag.
pub(super) const ZERO_STEP: u64 = 16 << 20;

impl Digests {
    pub(super) fn new(algorithms: &[Algorithm]) -> Self {
        let serial = algorithms
            .iter()
            .filter(|algorithm| **algorithm != Algorithm::Crc32)
            .map(|algorithm| Digest::new(*algorithm))
            .collect();
        let (algorithms, crc) = (algorithms.to_vec(), Crc32Part::default());
        Self { algorithms, crc, serial, fingerprint: None, base: 0 }
    }

    /// Those that a copy is to have.
    pub(super) fn of(options: &CopyOptions) -> Self {
        Self::new(&options.digests).fingerprinting(options.fingerprint)
    }

    /// With a fingerprint, where that is asked for.
    pub(super) fn fingerprinting(self, asked: bool) -> Self {
        Self { fingerprint: asked.then(Fingerprint::default), ..self }
    }

    /// The disk's byte that the source begins at, where its fingerprint is taken.
    pub(super) fn fingerprint_base(&self) -> Option<u64> {
        self.fingerprint.is_some().then_some(self.base)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.algorithms.is_empty() && self.fingerprint.is_none()
    }

    pub(super) fn has_crc(&self) -> bool {
        self.algorithms.contains(&Algorithm::Crc32)
    }

    /// Takes in a ticket's content. Returns how many of its bytes were told to the progress already:
    /// hashing a long run of zeros takes its time.
    pub(super) fn feed(&mut self, done: &Done, job: &Job) -> Result<u64> {
        if let Some(crc) = done.crc {
            self.crc = self.crc.combine(crc);
        }
        if let Some(sum) = &mut self.fingerprint {
            *sum = sum.plus(done.fingerprint);
        }
        let mut told = 0;
        if self.serial.is_empty() {
            return Ok(told);
        }
        done.for_each_piece(|content| {
            match content {
                Content::Bytes(bytes) => {
                    self.serial.iter_mut().for_each(|digest| digest.update(bytes));
                }
                Content::Zeros(mut length) => {
                    while length > 0 {
                        job.control.cancel.check()?;
                        let step = length.min(ZERO_STEP);
                        self.serial.iter_mut().for_each(|digest| digest.zeros(step));
                        length -= step;
                        job.control.progress.pass(step);
                        told += step;
                    }
                }
            }
            Ok(())
        })?;
        Ok(told)
    }

    pub(super) fn finish(self) -> Vec<(Algorithm, String)> {
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
