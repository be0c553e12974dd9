//! How an OVA is written, by options.

use diskferry_block_stream::{Error, OptionSpec, Result, parse_size};
use diskferry_codec::digest::Algorithm;

/// How an OVA is written.
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) adapter: Adapter,
    pub(super) hardware_version: u32,
    pub(super) cpus: u32,
    /// In MiB.
    pub(super) memory: u64,
    pub(super) os: Os,
    pub(super) firmware: Firmware,
    pub(super) name: Option<String>,
    pub(super) manifest: Algorithm,
}

/// The controller of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adapter {
    LsiLogic,
    LsiLogicSas,
    ParaVirtual,
    BusLogic,
    Ide,
    Sata,
}

/// What the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Os {
    Linux,
    Windows,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Firmware {
    Bios,
    Efi,
}

/// The options by name.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        key: "adapter_type",
        values: "lsilogic, lsilogicsas, pvscsi, buslogic, ide, sata",
        about: "the controller that the disk is connected to",
    },
    OptionSpec {
        key: "hwversion",
        values: "10; 4 to 99",
        about: "VMware's version of the virtual hardware: 10 is of ESXi 5.5",
    },
    OptionSpec { key: "cpus", values: "1; 1 to 1024", about: "processors of the machine" },
    OptionSpec { key: "memory", values: "2G; 4M to 64T", about: "memory of the machine" },
    OptionSpec {
        key: "os",
        values: "linux, windows, other",
        about: "what the machine runs; 64 bits",
    },
    OptionSpec { key: "firmware", values: "bios, efi", about: "how the disk boots" },
    OptionSpec { key: "name", values: "the file's name", about: "the machine's name" },
    OptionSpec {
        key: "manifest",
        values: "sha256, sha1",
        about: "the digests in the manifest; vSphere before 6.5 knows sha1 only",
    },
];

impl Default for Options {
    fn default() -> Self {
        Self {
            adapter: Adapter::LsiLogic,
            hardware_version: 10,
            cpus: 1,
            memory: 2048,
            os: Os::Linux,
            firmware: Firmware::Bios,
            name: None,
            manifest: Algorithm::Sha256,
        }
    }
}

impl Options {
    /// Sets one option by its name on the command line.
    ///
    /// # Errors
    /// `Misuse` when there is no such option, or it has no such value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let bad = |known: &str| Error::misuse(format!("{key}={value}: it can be {known}"));
        let spec = OPTIONS.iter().find(|option| option.key == key);
        let spec = spec.ok_or_else(|| Error::misuse(format!("ova has no option '{key}'")))?;
        let refused = || bad(spec.values);
        match key {
            "adapter_type" => self.adapter = Adapter::named(value).ok_or_else(refused)?,
            "hwversion" => self.hardware_version = within(value, 4, 99).ok_or_else(refused)?,
            "cpus" => self.cpus = within(value, 1, 1024).ok_or_else(refused)?,
            "memory" => {
                let bytes = parse_size(value)?;
                let mib = bytes >> 20;
                let fits = bytes.is_multiple_of(4 << 20) && (4..=64 << 20).contains(&mib);
                self.memory = Some(mib).filter(|_| fits).ok_or_else(refused)?;
            }
            "os" => {
                self.os = match value {
                    "linux" => Os::Linux,
                    "windows" => Os::Windows,
                    "other" => Os::Other,
                    _ => return Err(refused()),
                }
            }
            "firmware" => {
                self.firmware = match value {
                    "bios" => Firmware::Bios,
                    "efi" => Firmware::Efi,
                    _ => return Err(refused()),
                }
            }
            "name" => {
                let shown = !value.is_empty() && !value.chars().any(char::is_control);
                let name = Some(value.to_owned()).filter(|_| shown && value.len() <= NAME_MAX);
                self.name = Some(name.ok_or_else(|| bad("text of 1 to 80 bytes"))?);
            }
            _ => {
                self.manifest = match value {
                    "sha256" => Algorithm::Sha256,
                    "sha1" => Algorithm::Sha1,
                    _ => return Err(refused()),
                }
            }
        }
        Ok(())
    }

    /// The `adapter_type` of the VMDK inside: its format knows fewer than there are.
    pub fn disk_adapter(&self) -> &'static str {
        match self.adapter {
            Adapter::LsiLogic | Adapter::LsiLogicSas | Adapter::ParaVirtual => "lsilogic",
            Adapter::BusLogic => "buslogic",
            Adapter::Ide | Adapter::Sata => "ide",
        }
    }
}

fn within(value: &str, least: u32, most: u32) -> Option<u32> {
    value.parse().ok().filter(|number| (least..=most).contains(number))
}

/// Bytes of a machine's name: vSphere takes 80 characters.
pub(super) const NAME_MAX: usize = 80;

impl Adapter {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "lsilogic" => Self::LsiLogic,
            "lsilogicsas" => Self::LsiLogicSas,
            "pvscsi" => Self::ParaVirtual,
            "buslogic" => Self::BusLogic,
            "ide" => Self::Ide,
            "sata" => Self::Sata,
            _ => return None,
        })
    }
}
