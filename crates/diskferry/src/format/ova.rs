//! The row of the OVA: a streamOptimized VMDK in an OVF package in a tar archive.

use diskferry_block_stream::{Error, Plan, Result};
use diskferry_vmdk as vmdk;
use diskferry_wrap::ova::{self, Names};

use super::{Compress, Naming, Row, Writing, unwrapped};

pub(super) static ROW: Row = Row {
    name: "ova",
    aliases: &[],
    extensions: &["ova"],
    reads: "an OVF package in a tar archive, with disks of any format; --disk chooses one",
    writes: "a virtual machine with one streamOptimized VMDK, for VMware, VirtualBox and Proxmox",
    ends_with_file: true,
    options: ova::OPTIONS,
    probe: |_| false,
    open: unwrapped,
    stream: None,
    writing: || Box::new(OvaWriting::default()),
};

#[derive(Default)]
struct OvaWriting {
    options: ova::Options,
    disk: vmdk::Options,
}

impl Writing for OvaWriting {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.options.set(key, value)
    }

    fn compress(&mut self, compress: Compress) -> Result<()> {
        self.disk.compress(compress.level);
        Ok(())
    }

    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan> {
        let mut disk = self.disk.clone();
        disk.set("subformat", "streamOptimized")?;
        disk.set("adapter_type", self.options.disk_adapter())?;
        let names = Names::new(&self.options, naming.file);
        let plan = vmdk::plan(size, &disk, &naming.stamp, Some(&names.disk()))?;
        let (Plan::Packed(inner), Some(size)) = (plan, size) else {
            return Err(Error::misuse("a streamOptimized VMDK is packed, and of a known size"));
        };
        let capacity = size.next_multiple_of(inner.chunk as u64);
        ova::plan(inner, capacity, self.options.clone(), names, &naming.stamp)
    }

    fn unit(&self, plan: &Plan) -> u64 {
        match plan {
            Plan::Enclosed(enclosed) => enclosed.inner.chunk as u64,
            Plan::Flat(_) | Plan::Packed(_) | Plan::Split(_) => 1,
        }
    }
}
