//! The descriptor that is written.

use diskferry_block_stream::{Error, Result, SECTOR, Stamp};

use crate::image::id_text;
use crate::options::{Adapter, Options, Subformat};
use crate::write::DESCRIPTOR_SECTORS;

/// What the descriptor of an image says beside its extents.
pub(crate) struct Text {
    pub subformat: Subformat,
    pub options: Options,
    pub stamp: Stamp,
}

/// An extent of the disk.
pub(crate) struct Written<'a> {
    pub sectors: u64,
    pub name: &'a str,
}

/// The name in an image that is not given another.
const NAME: &str = "disk.vmdk";

impl Text {
    /// The descriptor of an image of one file, padded to its place there.
    pub fn embedded(&self, capacity: u64, target: Option<&str>) -> Result<Vec<u8>> {
        let name = target.filter(|name| is_plain(name)).unwrap_or(NAME);
        let text = self.of_extents(&[Written { sectors: capacity / SECTOR, name }]);
        let room = (DESCRIPTOR_SECTORS * SECTOR) as usize;
        let mut bytes = text.into_bytes();
        // Readers that take it for a string need the zero at its end.
        if bytes.len() >= room {
            let length = bytes.len();
            return Err(Error::misuse(format!("a descriptor of {length} bytes, for its names")));
        }
        bytes.resize(room, 0);
        Ok(bytes)
    }

    /// The descriptor of an image of these extents.
    pub fn of_extents(&self, extents: &[Written<'_>]) -> String {
        let sectors = extents.iter().map(|extent| extent.sectors).sum();
        let lines: String = extents.iter().map(|extent| self.extent_line(extent)).collect();
        let Geometry { cylinders, heads, sectors } = Geometry::of(sectors, self.options.adapter);
        let (cid, long_id) = content_ids(&self.stamp);
        format!(
            "# Disk DescriptorFile\n\
             version=1\n\
             encoding=\"UTF-8\"\n\
             CID={cid}\n\
             parentCID=ffffffff\n\
             createType=\"{create_type}\"\n\
             \n\
             # Extent description\n\
             {lines}\
             \n\
             # The Disk Data Base\n\
             #DDB\n\
             \n\
             ddb.longContentID = \"{long_id}\"\n\
             ddb.virtualHWVersion = \"{hardware}\"\n\
             ddb.geometry.cylinders = \"{cylinders}\"\n\
             ddb.geometry.heads = \"{heads}\"\n\
             ddb.geometry.sectors = \"{sectors}\"\n\
             ddb.adapterType = \"{adapter}\"\n\
             ddb.toolsInstallType = \"{TOOLS_INSTALL_TYPE}\"\n\
             ddb.toolsVersion = \"{TOOLS_VERSION}\"\n",
            create_type = self.subformat.as_str(),
            hardware = self.options.hardware_version,
            adapter = self.options.adapter.as_str(),
        )
    }

    fn extent_line(&self, extent: &Written<'_>) -> String {
        let Written { sectors, name } = extent;
        match self.subformat {
            Subformat::MonolithicFlat | Subformat::SplitFlat => {
                format!("RW {sectors} FLAT \"{name}\" 0\n")
            }
            Subformat::StreamOptimized | Subformat::MonolithicSparse | Subformat::SplitSparse => {
                format!("RW {sectors} SPARSE \"{name}\"\n")
            }
        }
    }
}

/// Tools that the guest brings itself, of whatever version: what VMware's own converter states.
const TOOLS_INSTALL_TYPE: u32 = 4;
const TOOLS_VERSION: u32 = i32::MAX as u32;

/// Whether a name may stand in an embedded descriptor: OpenStack refuses descriptors that are not
/// ASCII, or whose extents have a "/". The name means nothing there.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'/' | b'\\' | b'"');
    !name.is_empty() && name.len() <= 255 && name.bytes().all(plain)
}

/// The content id, and the long one, whose last part it is.
fn content_ids(stamp: &Stamp) -> (String, String) {
    let [a, b, c, d, rest @ ..] = stamp.uuid;
    let cid = match u32::from_be_bytes([a, b, c, d]) {
        // These mean: none, see the long one.
        reserved @ (0 | 0xFFFF_FFFE | 0xFFFF_FFFF) => reserved ^ 0x5A5A_5A5A,
        cid => cid,
    };
    let long: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    (id_text(cid), long + &id_text(cid))
}

/// Cylinders, heads and sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    cylinders: u64,
    heads: u64,
    sectors: u64,
}

impl Geometry {
    /// As VMware's programs have it: of an IDE disk as ATA does, of a SCSI disk as its BIOS does.
    fn of(total: u64, adapter: Adapter) -> Self {
        let (heads, sectors) = match adapter {
            Adapter::Ide => (16, 63),
            _ if total < GIB => (64, 32),
            _ if total < 2 * GIB => (128, 32),
            _ => (255, 63),
        };
        let most = if adapter == Adapter::Ide { ATA_CYLINDERS_MAX } else { u64::MAX };
        let cylinders = (total / (heads * sectors)).clamp(1, most);
        Self { cylinders, heads, sectors }
    }
}

/// In sectors.
const GIB: u64 = (1 << 30) / SECTOR;

/// What ATA-5 states for every larger disk.
const ATA_CYLINDERS_MAX: u64 = 16_383;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometries_are_vmwares() {
        for (bytes, adapter, geometry) in [
            (40 << 30, Adapter::LsiLogic, (5221, 255, 63)),
            (16 << 30, Adapter::BusLogic, (2088, 255, 63)),
            (1 << 30, Adapter::LsiLogic, (512, 128, 32)),
            (512 << 20, Adapter::LegacyEsx, (512, 64, 32)),
            (512, Adapter::LsiLogic, (1, 64, 32)),
            (4 << 30, Adapter::Ide, (8322, 16, 63)),
            (8 << 30, Adapter::Ide, (16_383, 16, 63)),
            (1 << 40, Adapter::Ide, (16_383, 16, 63)),
            (1 << 40, Adapter::LsiLogic, (133_674, 255, 63)),
        ] {
            let found = Geometry::of(bytes / SECTOR, adapter);
            assert_eq!((found.cylinders, found.heads, found.sectors), geometry, "{bytes}");
        }
    }

    #[test]
    fn content_ids_come_from_the_stamp_and_are_never_reserved() {
        let ids = |first: [u8; 4]| {
            let mut uuid = [7; 16];
            uuid[..4].copy_from_slice(&first);
            content_ids(&Stamp { uuid, seconds: 0 })
        };
        let (cid, long) = ids([0x12, 0x34, 0xab, 0xcd]);
        assert_eq!((&*cid, &*long), ("1234abcd", "0707070707070707070707071234abcd"));
        for reserved in [[0; 4], [0xff; 4], [0xff, 0xff, 0xff, 0xfe]] {
            assert!(!["00000000", "ffffffff", "fffffffe"].contains(&&*ids(reserved).0));
        }
    }

    #[test]
    fn names_that_an_importer_would_refuse_are_replaced() {
        for (name, plain) in [
            ("my disk-1.vmdk", true),
            ("", false),
            ("a/b.vmdk", false),
            ("a\"b", false),
            ("磁盘.vmdk", false),
            ("a\nb", false),
        ] {
            assert_eq!(is_plain(name), plain, "{name:?}");
        }
    }
}
