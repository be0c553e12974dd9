//! A page's fields as a type that cannot be wrong.

use std::fmt;

use diskferry_block_stream::{Bytes, Description, Detail, Result, SECTOR};

use crate::damage::Damage;
use crate::wire::{BLOCK, COOKIE, DEFINED, Defined, PAGE, RawPage, checksum};

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Zvhd,
    Zvhd2,
}

impl Flavour {
    pub fn cookie(self) -> &'static str {
        match self {
            Self::Zvhd => "stream",
            Self::Zvhd2 => "z2strm",
        }
    }

    /// The bytes of the reference reader's buffer for a unit, past which it writes unawares.
    pub fn unit_max(self) -> u64 {
        match self {
            Self::Zvhd => 4_198_400,
            Self::Zvhd2 => 4_202_496,
        }
    }

    /// Whether a page, or a file, begins with these bytes.
    pub fn begins(self, bytes: &[u8]) -> bool {
        bytes.starts_with(self.cookie().as_bytes())
    }
}

const _: () = assert!("stream".len() == COOKIE && "z2strm".len() == COOKIE);

/// What an image says of its disk, checked.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// Size of the disk in bytes, as readers present it.
    pub size: u64,
    /// Size that it had before it was rounded up; at most `size`.
    pub original: u64,
    pub uuid: Uuid,
    /// Seconds since 1970.
    pub time: u64,
    pub creator: Option<String>,
    pub geometry: String,
}

/// From 1970 to 2000, in seconds.
pub(crate) const YEAR_2000: u64 = 946_684_800;

impl Header {
    /// Checks the page that is at `at`.
    pub fn parse(bytes: &Defined, flavour: Flavour, at: u64) -> Result<Self, Damage> {
        let raw = RawPage::parse(bytes);
        if !flavour.begins(bytes) {
            return Err(Damage::Cookie { at, cookie: flavour.cookie() });
        }
        check_sum(bytes, &raw, at)?;
        let (original, size) = (raw.original_size, raw.current_size);
        for (field, size) in [("original", original), ("current", size)] {
            if !size.is_multiple_of(SECTOR) {
                return Err(Damage::Sectors { field, size });
            }
        }
        if original > size {
            return Err(Damage::OriginalSize { original, current: size });
        }
        Ok(Self {
            size,
            original,
            uuid: Uuid(raw.uuid),
            time: YEAR_2000 + u64::from(raw.time),
            creator: creator(&raw),
            geometry: format!(
                "{}/{}/{}",
                raw.geometry >> 16,
                raw.geometry >> 8 & 0xff,
                raw.geometry & 0xff
            ),
        })
    }

    /// What both formats have to say of themselves.
    pub fn describe(&self, compression: &'static str) -> Description {
        Description {
            creator: self.creator.clone(),
            ids: vec![("uuid", self.uuid.to_string())],
            compression: Some(compression),
            details: vec![
                ("original_size", Detail::Number(self.original)),
                ("created", Detail::Number(self.time)),
                ("geometry", Detail::Text(self.geometry.clone())),
                ("block_size", Detail::Number(BLOCK)),
            ],
            ..Description::default()
        }
    }
}

/// Writers of long ago set the field `hidden` after they had computed the checksum.
fn check_sum(bytes: &Defined, raw: &RawPage, at: u64) -> Result<(), Damage> {
    let computed = checksum(bytes);
    let with_hidden_as_zero = computed.wrapping_add(raw.hidden.into());
    let old =
        raw.creator.starts_with(b"tap") && matches!(raw.creator_version, 0x0000_0001 | 0x0001_0001);
    if raw.checksum == computed || (old && raw.checksum == with_hidden_as_zero) {
        return Ok(());
    }
    Err(Damage::Checksum { at, found: raw.checksum, computed })
}

fn creator(raw: &RawPage) -> Option<String> {
    let name = String::from_utf8_lossy(&raw.creator);
    let name = name.trim_matches(['\0', ' ']);
    let (major, minor) = (raw.creator_version >> 16, raw.creator_version & 0xffff);
    (!name.is_empty()).then(|| format!("{name} {major}.{minor}"))
}

/// The defined bytes of the page at `at`, which the file has whole.
pub(crate) fn read_page(bytes: &dyn Bytes, at: u64) -> Result<Defined> {
    let mut defined = [0; DEFINED];
    bytes.read_at(at, &mut defined)?;
    Ok(defined)
}

/// The defined bytes of the first page.
pub(crate) fn read_first_page(bytes: &dyn Bytes) -> Result<Defined> {
    let end = bytes.len();
    if end < PAGE {
        return Err(Damage::Short { end }.into());
    }
    read_page(bytes, 0)
}

/// The image's id, as it lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uuid([u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::Shape;
    use diskferry_block_stream::Stamp;

    fn page() -> RawPage {
        let stamp = Stamp { uuid: [7; 16], seconds: YEAR_2000 + 5 };
        Shape::new(1 << 20, &stamp, Flavour::Zvhd).unwrap().page()
    }

    fn parse(page: &RawPage, change: impl Fn(&mut Defined)) -> Result<Header, Damage> {
        let mut defined: Defined = [0; DEFINED];
        defined.copy_from_slice(&page.to_bytes()[..DEFINED]);
        change(&mut defined);
        Header::parse(&defined, Flavour::Zvhd, 0)
    }

    #[test]
    fn a_page_is_what_was_written() {
        let header = parse(&page(), |_| {}).unwrap();
        assert_eq!((header.original, header.size), (1 << 20, 1 << 30));
        assert_eq!(header.time, YEAR_2000 + 5);
        assert_eq!(header.creator.as_deref(), Some("tap 1.4"));
        assert_eq!(header.uuid.to_string(), "07070707-0707-0707-0707-070707070707");
    }

    #[test]
    fn only_an_old_writers_checksum_may_leave_hidden_out() {
        for (creator, version, good) in [
            (*b"tap\0", 0x0000_0001, true),
            (*b"tap\0", 0x0001_0001, true),
            (*b"tapx", 0x0001_0001, true),
            (*b"tap\0", 0x0001_0004, false),
            (*b"win ", 0x0001_0001, false),
        ] {
            let page = RawPage { creator, creator_version: version, ..page() };
            let parsed = parse(&page, |bytes| bytes[0x55] = 3);
            assert_eq!(parsed.is_ok(), good, "{creator:?} {version:#x}");
        }
        // In the sum, it is fine for everybody.
        assert!(parse(&RawPage { hidden: 3, ..page() }, |_| {}).is_ok());
    }

    #[test]
    fn what_is_for_people_is_not_checked() {
        let odd = RawPage {
            features: 99,
            version: 7,
            data_offset: 1,
            creator: [0xff; 4],
            creator_version: 0,
            disk_type: 2,
            geometry: u32::MAX,
            ..page()
        };
        assert!(parse(&odd, |_| {}).is_ok());
    }
}
