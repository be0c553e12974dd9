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

use std::fmt::Write;

use diskferry_block_stream::{
    Enclosed, Enclosure, Error, OptionSpec, Packed, Plan, Result, Stamp, parse_size,
};
use diskferry_codec::digest::{Algorithm, Digest};

use crate::write::{BLOCK, Header, Magic, end, padding};

/// How an OVA is written.
#[derive(Clone, Debug)]
pub struct Options {
    adapter: Adapter,
    hardware_version: u32,
    cpus: u32,
    /// In MiB.
    memory: u64,
    os: Os,
    firmware: Firmware,
    name: Option<String>,
    manifest: Algorithm,
}

/// The controller of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adapter {
    LsiLogic,
    LsiLogicSas,
    ParaVirtual,
    BusLogic,
    Ide,
    Sata,
}

/// What the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Os {
    Linux,
    Windows,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Firmware {
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
const NAME_MAX: usize = 80;

/// What files in an OVA are called.
#[derive(Clone, Debug)]
pub struct Names {
    /// The machine.
    machine: String,
    /// What the names of its files begin with.
    base: String,
}

impl Names {
    /// Names for an OVA whose file is called `target`.
    pub fn new(options: &Options, target: Option<&str>) -> Self {
        let stem = target.map(|target| target.rsplit_once('.').map_or(target, |(stem, _)| stem));
        let stem = stem.filter(|stem| !stem.is_empty()).unwrap_or("disk");
        // Importers make paths, and some of them URLs, of these names.
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let base: String = stem.chars().map(plain).take(NAME_MAX).collect();
        let base = base.trim_start_matches(['.', '-']).to_owned();
        let base = if base.is_empty() { "disk".to_owned() } else { base };
        Self { machine: options.name.clone().unwrap_or_else(|| base.clone()), base }
    }

    /// The disk's file.
    pub fn disk(&self) -> String {
        format!("{}-disk1.vmdk", self.base)
    }

    fn descriptor(&self) -> String {
        format!("{}.ovf", self.base)
    }

    fn manifest(&self) -> String {
        format!("{}.mf", self.base)
    }
}

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
    enclosure.room = enclosure.descriptor(u64::MAX).len();
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
        let mut descriptor = self.descriptor(length);
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

    /// The descriptor, for a disk's file of `length` bytes.
    fn descriptor(&self, length: u64) -> String {
        let Options { adapter, hardware_version, cpus, memory, os, firmware, .. } = &self.options;
        let machine = escaped(&self.names.machine);
        let (disk, capacity) = (self.names.disk(), self.capacity);
        let (os_id, os_type, os_name) = os.names();
        let mut text = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>
    <File ovf:href="{disk}" ovf:id="file1" ovf:size="{length}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="VM Network">
      <Description>The network of the first adapter</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{machine}">
    <Info>A virtual machine</Info>
    <Name>{machine}</Name>
    <OperatingSystemSection ovf:id="{os_id}" vmw:osType="{os_type}">
      <Info>The operating system</Info>
      <Description>{os_name}</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{machine}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-{hardware_version:02}</vssd:VirtualSystemType>
      </System>
"#
        );
        let items = [
            Item::new(3, &format!("{cpus} virtual processors"))
                .with("AllocationUnits", "hertz * 10^6")
                .with("VirtualQuantity", &cpus.to_string()),
            Item::new(4, &format!("{memory} MiB of memory"))
                .with("AllocationUnits", "byte * 2^20")
                .with("VirtualQuantity", &memory.to_string()),
            adapter.item(),
            Item::new(17, "Hard disk 1")
                .with("AddressOnParent", "0")
                .with("HostResource", "ovf:/disk/vmdisk1")
                .with("Parent", "3"),
            Item::new(10, "Network adapter 1")
                .with("AddressOnParent", "7")
                .with("AutomaticAllocation", "true")
                .with("Connection", "VM Network")
                .with("ResourceSubType", "E1000"),
        ];
        for (index, item) in items.iter().enumerate() {
            item.write(index + 1, &mut text);
        }
        if *firmware == Firmware::Efi {
            text.push_str(
                "      <vmw:Config ovf:required=\"false\" vmw:key=\"firmware\" vmw:value=\"efi\"/>\n",
            );
        }
        text.push_str("    </VirtualHardwareSection>\n  </VirtualSystem>\n</Envelope>\n");
        text
    }
}

/// A device of the machine. The schema wants its elements in the order of their names.
struct Item {
    resource: u32,
    elements: Vec<(&'static str, String)>,
}

impl Item {
    /// `resource` is a ResourceType of CIM_ResourceAllocationSettingData.
    fn new(resource: u32, name: &str) -> Self {
        Self { resource, elements: Vec::new() }.with("ElementName", name)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.elements.push((name, value.to_owned()));
        self
    }

    fn write(&self, id: usize, text: &mut String) {
        let (id, resource) = (id.to_string(), self.resource.to_string());
        let mut elements: Vec<(&str, &str)> =
            self.elements.iter().map(|(name, value)| (*name, value.as_str())).collect();
        elements.extend([("InstanceID", id.as_str()), ("ResourceType", resource.as_str())]);
        elements.sort_unstable();
        text.push_str("      <Item>\n");
        for (name, value) in elements {
            writeln!(text, "        <rasd:{name}>{}</rasd:{name}>", escaped(value))
                .expect("a String takes all that is written to it");
        }
        text.push_str("      </Item>\n");
    }
}

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

    fn item(self) -> Item {
        let scsi = |kind| Item::new(6, "SCSI controller 0").with("ResourceSubType", kind);
        let item = match self {
            Self::LsiLogic => scsi("lsilogic"),
            Self::LsiLogicSas => scsi("lsilogicsas"),
            Self::ParaVirtual => scsi("VirtualSCSI"),
            Self::BusLogic => scsi("buslogic"),
            Self::Ide => Item::new(5, "IDE controller 0").with("ResourceSubType", "PIIX4"),
            Self::Sata => Item::new(20, "SATA controller 0").with("ResourceSubType", "AHCI"),
        };
        item.with("Address", "0")
    }
}

impl Os {
    /// The number that CIM has for it, VMware's name, and one for people.
    fn names(self) -> (u32, &'static str, &'static str) {
        match self {
            Self::Linux => (101, "otherLinux64Guest", "Linux, 64 bits"),
            Self::Windows => (103, "windows7Server64Guest", "Windows Server, 64 bits"),
            Self::Other => (102, "otherGuest64", "Other, 64 bits"),
        }
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
