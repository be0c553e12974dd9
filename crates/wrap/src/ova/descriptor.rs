//! The text of the descriptor of an OVA.

use std::fmt::Write;

use super::names::Names;
use super::options::{Adapter, Firmware, Options, Os};

/// The descriptor of a machine whose disk has `capacity` bytes, in a file of `length` bytes.
pub(super) fn descriptor(options: &Options, names: &Names, capacity: u64, length: u64) -> String {
    let Options { adapter, hardware_version, cpus, memory, os, firmware, .. } = options;
    let machine = escaped(&names.machine);
    let disk = names.disk();
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
