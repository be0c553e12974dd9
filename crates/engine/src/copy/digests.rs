//! The digests of a copy: the CRC-32 comes in parts, the others see every byte in order.

use diskferry_block_stream::Result;
use diskferry_codec::digest::{Algorithm, Crc32Part, Digest};

use super::worker::{Content, Done};
use crate::Job;

/// The digests of a job. The CRC-32 arrives in parts; the others see every byte in order.
pub(super) struct Digests {
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) crc: Crc32Part,
    pub(super) serial: Vec<Digest>,
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
        Self { algorithms: algorithms.to_vec(), crc: Crc32Part::default(), serial }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.algorithms.is_empty()
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
                    if self.serial.iter().all(|digest| digest.algorithm() == Algorithm::Sparse) {
                        self.serial.iter_mut().for_each(|digest| digest.zeros(length));
                        length = 0;
                    }
                    while length > 0 {
                        job.cancel.check()?;
                        let step = length.min(ZERO_STEP);
                        self.serial.iter_mut().for_each(|digest| digest.zeros(step));
                        length -= step;
                        job.progress.pass(step);
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
