//! The table of targets.
//!
//! A rule that is [unverified](super::rule::Rule::unverified) warns and never refuses. Rules that
//! are only about an import's parameters (sizes that the user states there, regions, roles) are
//! notes, as no image breaks them.

mod aliyun;
mod aws;
mod azure;
mod common;
mod gcp;
mod huawei;
mod hypervisors;
mod jdcloud;
mod openstack;
mod others;
mod ovf;
mod tencent;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::profile::ImportTarget;

/// In the order in which people read them.
static ALL: [ImportTarget; 21] = [
    ImportTarget(&aliyun::SYSTEM),
    ImportTarget(&aliyun::DATA),
    ImportTarget(&huawei::SYSTEM),
    ImportTarget(&huawei::DATA),
    ImportTarget(&huawei::FAST),
    ImportTarget(&jdcloud::IMPORT),
    ImportTarget(&tencent::IMPORT),
    ImportTarget(&aws::IMPORT),
    ImportTarget(&azure::IMPORT),
    ImportTarget(&gcp::IMPORT),
    ImportTarget(&openstack::GLANCE),
    ImportTarget(&hypervisors::VMWARE),
    ImportTarget(&hypervisors::VIRTUALBOX),
    ImportTarget(&hypervisors::PROXMOX),
    ImportTarget(&hypervisors::HYPERV),
    ImportTarget(&others::OCI),
    ImportTarget(&others::DIGITALOCEAN),
    ImportTarget(&others::IBM),
    ImportTarget(&aliyun::EXPORT),
    ImportTarget(&huawei::EXPORT),
    ImportTarget(&jdcloud::EXPORT),
];

/// Every import target.
pub fn import_targets() -> &'static [ImportTarget] {
    &ALL
}

impl ImportTarget {
    /// The target of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|target| target.name() == name)
    }
}

/// Stored by its name.
impl Serialize for ImportTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for ImportTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| D::Error::custom(format!("no import target '{name}'")))
    }
}
