//! An OVA: a virtual machine of one disk, as VMware, VirtualBox and Proxmox import it.
//!
//! ```text
//! | tar header | NAME.ovf, padded with blanks | tar header | NAME.mf |
//! | tar header | NAME-disk1.vmdk, streamOptimized | two blocks of zeros, to a record of 10240 |
//! ```
//!
//! The descriptor comes first and has the length of the disk's file, the manifest has its digest. So room is left for
//! them, and they are written last; their lengths depend on nothing that is not known before.
//!
//! Sources: DSP0243 1.1.1 and its schemas, DSP8023 (OVF), for the elements and their order; what VMware's tools,
//! VirtualBox and Proxmox write and accept for the rest.

mod descriptor;
mod names;
mod options;

use diskferry_block_stream::{Enclosed, Enclosure, Packed, Plan, Result, Stamp};
use diskferry_codec::digest::Digest;

use self::descriptor::descriptor;
pub use self::names::Names;
pub use self::options::{OPTIONS, Options};
use crate::write::{BLOCK, Header, Magic, end, padding};

/// An OVA around `disk`, which is a streamOptimized VMDK of `capacity` bytes.
///
/// # Errors
/// None for names that [`Names`] made.
pub fn plan(
    disk: Packed,
    capacity: u64,
    options: Options,
    names: Names,
    stamp: &Stamp,
) -> Result<Plan> {
    let digest = Digest::new(options.manifest);
    let mut enclosure = Ova { capacity, options, names, seconds: stamp.seconds, room: 0, digest };
    // The longest that it can get.
    enclosure.room = descriptor(&enclosure.options, &enclosure.names, capacity, u64::MAX).len();
    let base = enclosure.head(0, "")?.len() as u64;
    Ok(Plan::Enclosed(Enclosed { base, inner: disk, enclosure: Box::new(enclosure) }))
}

struct Ova {
    capacity: u64,
    options: Options,
    names: Names,
    seconds: u64,
    /// Bytes of the descriptor.
    room: usize,
    /// Of the disk's file.
    digest: Digest,
}

impl Enclosure for Ova {
    fn pass(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    fn finish(mut self: Box<Self>, length: u64) -> Result<(Vec<u8>, Vec<u8>)> {
        let digest = std::mem::replace(&mut self.digest, Digest::new(self.options.manifest));
        let head = self.head(length, &digest.finish())?;
        let whole = head.len() as u64 + length + padding(length) as u64;
        Ok((head, vec![0; padding(length) + end(whole)]))
    }
}

impl Ova {
    /// What precedes the disk's file, which has that length and that digest.
    fn head(&self, length: u64, digest: &str) -> Result<Vec<u8>> {
        let mut descriptor = descriptor(&self.options, &self.names, self.capacity, length);
        // Blanks may follow the last element.
        descriptor.push_str(&" ".repeat(self.room.saturating_sub(descriptor.len())));
        descriptor.push('\n');
        let manifest = self.manifest(descriptor.as_bytes(), digest);
        let mut head = Vec::new();
        for (name, data) in [
            (self.names.descriptor(), descriptor.as_bytes()),
            (self.names.manifest(), manifest.as_bytes()),
        ] {
            head.extend(self.header(&name, data.len() as u64)?);
            head.extend(data);
            head.resize(head.len() + padding(data.len() as u64), 0);
        }
        head.extend(self.header(&self.names.disk(), length)?);
        Ok(head)
    }

    fn header(&self, name: &str, size: u64) -> Result<[u8; BLOCK]> {
        let (seconds, magic) = (self.seconds, Magic::Ustar);
        Header { name, size, mode: 0o644, seconds, magic }.block()
    }

    fn manifest(&self, descriptor: &[u8], digest: &str) -> String {
        let algorithm = self.options.manifest;
        let mut of_descriptor = Digest::new(algorithm);
        of_descriptor.update(descriptor);
        let of_descriptor = of_descriptor.finish();
        let kind = algorithm.name().to_uppercase();
        let (ovf, disk) = (self.names.descriptor(), self.names.disk());
        // All digests of a kind are of one length.
        let digits = of_descriptor.len();
        format!("{kind}({ovf})= {of_descriptor}\n{kind}({disk})= {digest:0>digits$}\n")
    }
}
