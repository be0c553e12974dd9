//! The descriptor of an OVF package: which files are its disks, and what importers mind in it.
//!
//! Source: DSP0243 1.1.1 (DMTF), 7.1 for the files, 8 for the devices and 9.1 for the disks. Namespaces differ from version to version
//! and are not looked at; of the many elements only these matter here:
//!
//! ```text
//! <File ovf:id="file1" ovf:href="vm-disk1.vmdk" ovf:size="…" ovf:chunkSize="…" ovf:compression="gzip"/>
//! <Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" …/>
//! ```

mod descriptor;
mod machine;
mod nodes;
mod read;
mod text;

pub(crate) use self::descriptor::{Descriptor, Listed};
pub(crate) use self::read::{MAX, read};
pub use self::text::is_descriptor_text;
