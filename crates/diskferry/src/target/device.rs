//! A block device as a target: overwritten in place, and as long as it is.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskferry_block_stream::{Error, Identity, Remedy, Result};
use diskferry_engine::{
    Destination, DeviceOutput, End, FileBytes, Needs, Output, Outputs, ReadBack, Replace, Target,
};

/// A block device.
pub(super) struct DevicePlace {
    pub name: String,
    pub path: PathBuf,
    pub there: Metadata,
    pub replace: Replace,
}

impl Destination for DevicePlace {
    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn overwrites(&self, _needs: &Needs<'_>) -> Result<Vec<(String, Identity)>> {
        Ok(vec![(self.name.clone(), Identity::of(&self.there))])
    }

    fn accepts(&self, needs: &Needs<'_>) -> Result<()> {
        let refused = if self.replace == Replace::Never {
            Error::exists("the target is a block device").mended_by(Remedy::OverwriteDevice)
        } else if let Some(format) = needs.ends_with_file {
            Error::unsupported(format!(
                "a {format} image ends with its file, and a device goes on; write it to a file"
            ))
        } else if needs.parts().is_some() {
            Error::unsupported(
                "this subformat is several files; it cannot be written to a pipe or a device",
            )
        } else {
            return Ok(());
        };
        Err(refused.in_file(&self.name))
    }

    fn create(self: Box<Self>, needs: &Needs<'_>) -> Result<Box<dyn Target>> {
        let device = DeviceOutput::open(&self.path)?;
        if Identity::of(&self.there) != Identity::of(&device.metadata()?) {
            return Err(
                Error::misuse("it was replaced by another while it was opened").in_file(&self.name)
            );
        }
        if let Some(length) = needs.length().filter(|length| *length > device.size()) {
            return Err(Error::misuse(format!(
                "{length} bytes do not fit onto a device of {}",
                device.size()
            ))
            .in_file(&self.name));
        }
        Ok(Box::new(DeviceTarget(device)))
    }
}

/// A device that is being overwritten. What was there before cannot be had again.
struct DeviceTarget(DeviceOutput);

impl Target for DeviceTarget {
    fn outputs(&self) -> Outputs<'_> {
        Outputs::from(&self.0)
    }

    fn read_back(&self) -> Result<Option<ReadBack>> {
        let bytes = FileBytes::new(self.0.name(), self.0.reopen()?)?;
        Ok(Some(ReadBack { end: End::WithDevice, ..ReadBack::alone(Arc::new(bytes)) }))
    }

    fn keep(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
