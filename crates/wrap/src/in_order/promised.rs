//! What a manifest says of the disk of an archive that comes in order: it is of use between the descriptor, of which
//! it is, and the disk. The descriptor is compared at once, the disk as it passes.

use std::collections::HashMap;

use diskferry_block_stream::{Error, Result};
use diskferry_codec::digest::Digest;

use crate::choose::names::is_manifest_of;
use crate::manifest::{self, Line};
use crate::ovf::{Descriptor, Listed};
use crate::peek::Ahead;
use crate::small::whole;
use crate::tar::Entry;

#[derive(Default)]
pub(crate) struct Promised {
    /// The descriptor, as long as it may have to be compared.
    text: Vec<u8>,
    /// Whether a manifest was read.
    came: bool,
    /// The digests of the disk that it has: each in the making, and the lines that have it.
    digests: Vec<(Digest, Vec<Line>)>,
    /// Why there are none.
    nothing: Option<String>,
    /// What is not compared, and why.
    notes: Vec<String>,
    /// The first manifest that was passed over.
    passed: Option<String>,
}

/// What of a file is in a manifest, where that is nothing to compare.
#[derive(Clone, Copy)]
enum Uncompared {
    /// Nothing.
    Absent,
    /// A digest of an unknown kind.
    Unknown,
}

impl Uncompared {
    /// In words that follow the file's name.
    fn in_manifest(self, manifest: &str) -> String {
        match self {
            Self::Absent => format!("is not in the manifest '{manifest}'"),
            Self::Unknown => {
                format!("has a digest of an unknown kind in the manifest '{manifest}'")
            }
        }
    }
}

impl Promised {
    /// Keeps a descriptor to be compared.
    pub fn keep(&mut self, descriptor: Vec<u8>) {
        self.text = descriptor;
    }

    /// Whether the manifest of that name is the one that is of use.
    pub fn wants(&self, manifest: &str, descriptor: &Descriptor) -> bool {
        !self.came && is_manifest_of(manifest, &descriptor.name)
    }

    /// Keeps in mind that a manifest is not compared with.
    pub fn passed(&mut self, manifest: &str) {
        self.passed.get_or_insert_with(|| manifest.to_owned());
    }

    /// Reads the manifest, whose data come next, and compares the descriptor.
    ///
    /// # Errors
    /// `Damaged` where that has another digest, `Limit` for a manifest that is too long; those of reading it.
    pub fn read(
        &mut self,
        archive: &mut dyn Ahead,
        listing: &Entry,
        descriptor: &Descriptor,
        disk: &Listed,
    ) -> Result<()> {
        if listing.size > manifest::MAX {
            return Err(Error::limit(format!("a manifest of {} bytes", listing.size)));
        }
        let lines = whole(archive, listing)?;
        let (text, descriptor) = (std::mem::take(&mut self.text), &descriptor.name);
        let mut own = HashMap::new();
        let (mut of_descriptor, mut of_disk) = (Uncompared::Absent, Uncompared::Absent);
        for line in manifest::lines(&listing.name, &String::from_utf8_lossy(&lines)) {
            let is_disk = disk.is(&line.file, "");
            match line.algorithm {
                Some(algorithm) if line.file == *descriptor => {
                    // It is computed once, however often it is listed.
                    let own = own.entry(algorithm).or_insert_with(|| {
                        let mut digest = Digest::new(algorithm);
                        digest.update(&text);
                        digest.finish()
                    });
                    line.compare(algorithm, own)?;
                }
                Some(algorithm) if is_disk => self.promise(Digest::new(algorithm), line),
                None if line.file == *descriptor => of_descriptor = Uncompared::Unknown,
                None if is_disk => of_disk = Uncompared::Unknown,
                _ => {}
            }
        }
        self.came = true;
        if own.is_empty() {
            self.notes.push(format!("'{descriptor}' {}", of_descriptor.in_manifest(&listing.name)));
        }
        let nothing = || of_disk.in_manifest(&listing.name);
        self.nothing = self.digests.is_empty().then(nothing);
        Ok(())
    }

    /// Adds a line with a digest of the disk.
    fn promise(&mut self, digest: Digest, line: Line) {
        let of_kind = |(known, _): &&mut (Digest, _)| known.algorithm() == digest.algorithm();
        match self.digests.iter_mut().find(of_kind) {
            Some((_, lines)) => lines.push(line),
            None => self.digests.push((digest, vec![line])),
        }
    }

    /// Is told that the disk begins. One with holes is not compared: they may be of any length.
    pub fn begin(&mut self, disk: &str, is_whole: bool) {
        self.text = Vec::new();
        let holes = || "has holes, and is not compared with the manifest".to_owned();
        let nothing = match self.digests.is_empty() {
            true => self.nothing.take(),
            false => (!is_whole).then(holes),
        };
        if let Some(why) = nothing {
            self.digests.clear();
            self.notes.push(format!("'{disk}' {why}"));
        }
    }

    /// Takes in the next bytes of the disk.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digests.iter_mut().for_each(|(digest, _)| digest.update(bytes));
    }

    /// Is told that the disk is over.
    ///
    /// # Errors
    /// `Damaged` where it has another digest.
    pub fn compare(&mut self) -> Result<()> {
        for (digest, lines) in std::mem::take(&mut self.digests) {
            let (algorithm, found) = (digest.algorithm(), digest.finish());
            lines.iter().try_for_each(|line| line.compare(algorithm, &found))?;
        }
        Ok(())
    }

    /// What is not compared of a package, and why. Of a disk that came before the manifest nothing was known to
    /// compare.
    pub fn notes(self) -> Vec<String> {
        let mut notes = self.notes;
        if let Some(name) = self.passed.filter(|_| !self.came) {
            let why = "is not between the descriptor and the disk, which was not compared with it";
            notes.push(format!("the manifest '{name}' {why}"));
        }
        notes
    }
}
