//! The devices of the machine in a descriptor.

use std::collections::HashSet;

use roxmltree::Node;

use super::nodes::{attribute, elements};
use crate::objection::{OBJECTIONS, Objection, Point};

/// The devices of the machine, as far as they are about disks.
pub(super) struct Machine<'a> {
    /// What each disk's device is connected to, by the disk's id.
    disks: Vec<(&'a str, Option<&'a str>)>,
    /// The controllers' ids.
    controllers: Vec<&'a str>,
    /// What the devices lead to: `ovf:/disk/vmdisk1`, `ovf:/file/file2`.
    resources: Vec<&'a str>,
    /// That devices are in the words of OVF 2.
    pub objection: Option<Objection>,
}

/// ResourceTypes of CIM_ResourceAllocationSettingData.
const HARD_DISK: &str = "17";
const CONTROLLERS: [&str; 3] = ["5", "6", "20"];

impl<'a> Machine<'a> {
    pub fn of(envelope: Node<'a, '_>) -> Self {
        let (mut disks, mut controllers, mut resources) = (Vec::new(), Vec::new(), Vec::new());
        for item in elements(envelope, "Item") {
            let value = |tag: &str| -> Option<&'a str> {
                let child = item.children().find(|child| child.tag_name().name() == tag)?;
                child.text().map(str::trim)
            };
            resources.extend(value("HostResource"));
            match value("ResourceType") {
                Some(HARD_DISK) => {
                    let disk = value("HostResource").and_then(|host| host.rsplit('/').next());
                    disks.extend(disk.map(|disk| (disk, value("Parent"))));
                }
                Some(kind) if CONTROLLERS.contains(&kind) => {
                    controllers.extend(value("InstanceID"))
                }
                _ => {}
            }
        }
        let words = ["StorageItem", "EthernetPortItem"];
        let word = words.into_iter().find(|word| elements(envelope, word).next().is_some());
        let objection = word.map(|word| {
            Objection::new(Point::Devices, None, format!("a device is a {word}, as in OVF 2"))
        });
        Self { disks, controllers, resources, objection }
    }

    /// Devices that lead to what the descriptor does not list.
    pub fn dangling(&self, envelope: Node<'_, '_>) -> Vec<Objection> {
        let ids = |tag, key| -> HashSet<&str> {
            elements(envelope, tag).filter_map(|node| attribute(&node, key)).collect()
        };
        let (disks, files) = (ids("Disk", "diskId"), ids("File", "id"));
        let leads_nowhere = |resource: &&&str| {
            let mut parts = resource.rsplit('/');
            match (parts.next(), parts.next()) {
                (Some(id), Some("disk")) => !disks.contains(id),
                (Some(id), Some("file")) => !files.contains(id),
                _ => false,
            }
        };
        let found = self.resources.iter().filter(leads_nowhere).take(OBJECTIONS);
        let text = |it| format!("a device leads to '{it}', which the descriptor does not list");
        found.map(|it| Objection::new(Point::Resource, None, text(it))).collect()
    }

    /// That no controller has the disk of that id.
    pub fn lacks(&self, disk: Option<&str>) -> Option<Objection> {
        let disk = disk.unwrap_or_default();
        let parent = self.disks.iter().find(|(id, _)| *id == disk).and_then(|(_, parent)| *parent);
        let text = match parent {
            Some(parent) if self.controllers.contains(&parent) => return None,
            _ => format!("no Item of the machine connects the disk '{disk}' to a controller"),
        };
        Some(Objection::new(Point::Controller, None, text))
    }
}
