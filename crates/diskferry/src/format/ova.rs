//! The row of the OVA: a streamOptimized VMDK in an OVF package in a tar archive.

use diskferry_block_stream::{Error, Foretold, Naming, Plan, Result, Writing};
use diskferry_vmdk as vmdk;
use diskferry_wrap::ova::{self, Names};

use super::row::{Row, unwrapped};

pub(super) static ROW: Row = Row {
    name: "ova",
    aliases: &[],
    extensions: &["ova"],
    reads: "an OVF package in a tar archive, with disks of any format, of which one is chosen",
    writes: "a virtual machine with one streamOptimized VMDK, for VMware, VirtualBox and Proxmox",
    ends_with_file: true,
    options: ova::OPTIONS,
    probe: |_| false,
    open: unwrapped,
    stream: None,
    uncompressed: None,
    writing: || Box::<Ova>::default(),
};

/// The appliance, and the disk in it: that is streamOptimized, as a VMDK is by default.
#[derive(Default)]
struct Ova {
    options: ova::Options,
    disk: vmdk::Options,
}

impl Writing for Ova {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.options.set(key, value)
    }

    fn compress(&mut self, level: Option<u32>) -> Result<()> {
        self.disk.compress(level)
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        let names = Names::new(&self.options, naming.file);
        let file = names.disk();
        let mut disk = self.disk.clone();
        disk.set("adapter_type", self.options.disk_adapter())?;
        let plan = disk.plan(size, &Naming { file: Some(&file), ..*naming })?;
        let (Plan::Packed(inner), Some(size)) = (plan, size) else {
            return Err(Error::misuse("a streamOptimized VMDK is packed, and of a known size"));
        };
        let capacity = size.next_multiple_of(self.unit());
        ova::plan(inner, capacity, self.options.clone(), names, &naming.stamp)
    }

    fn unit(&self) -> u64 {
        self.disk.unit()
    }

    fn foretell(&self) -> Foretold {
        self.disk.foretell()
    }
}
