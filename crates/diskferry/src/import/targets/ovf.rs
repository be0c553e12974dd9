//! Rules about OVF packages.

use diskferry_wrap::Point;

use super::super::check;
use super::super::rule::{Rule, Source};

/// What the package format itself says.
const OVF: Source =
    Source { title: "DSP0243 1.1.1 (DMTF), Open Virtualization Format", date: "2013" };

/// Only those who look for it there take another place for damage.
pub(super) const OVF_FIRST: Rule = Rule::new("ovf-first", &check::Object(Point::First), OVF)
    .hint("pack it again, the descriptor first: tar --format=ustar -cf machine.ova machine.ovf …");

/// What is read front to back wants it.
pub(super) const OVF_ORDER: Rule = Rule::new("ovf-order", &check::Object(Point::Order), OVF)
    .unverified()
    .hint("pack it again, the files in the descriptor's order");

pub(super) const OVF_FILES: Rule = Rule::new("ovf-files", &check::Object(Point::Missing), OVF)
    .hint("pack it again with the file, or take it out of the descriptor");

pub(super) const OVF_SIZES: Rule = Rule::new("ovf-sizes", &check::Object(Point::Size), OVF)
    .hint("put the files' real sizes into the descriptor");

pub(super) const OVF_FORMAT: Rule = Rule::new("ovf-format", &check::Object(Point::Format), OVF)
    .hint(
        "the format is http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
    );

pub(super) const OVF_MANIFEST: Rule =
    Rule::new("ovf-manifest", &check::Object(Point::Manifest), OVF)
        .hint("write the manifest anew, or leave it out");

pub(super) const OVF_DIGESTS: Rule = Rule::new("ovf-digests", &check::Object(Point::Digest), OVF)
    .hint("export it again: a file was changed or damaged since");

pub(super) const OVF_LISTED: Rule = Rule::new("ovf-listed", &check::Object(Point::Unlisted), OVF)
    .unverified()
    .hint("write the manifest anew, or leave it out");

pub(super) const OVF_KINDS: Rule = Rule::new("ovf-kinds", &check::Object(Point::Kind), OVF)
    .unverified()
    .hint("write the manifest anew, with SHA256");

pub(super) const OVF_SINGLE: Rule = Rule::new("ovf-single", &check::Object(Point::Second), OVF)
    .unverified()
    .hint("pack it again with one descriptor and one manifest");

/// What makes the disk by the one and fills it by the other stops, or cuts it.
pub(super) const OVF_CAPACITY: Rule =
    Rule::new("ovf-capacity", &check::Object(Point::Capacity), OVF)
        .unverified()
        .hint("put the disk's real size into the descriptor");

pub(super) const OVF_RESOURCES: Rule =
    Rule::new("ovf-resources", &check::Object(Point::Resource), OVF)
        .unverified()
        .hint("take the device out of the descriptor, or list what it leads to");

pub(super) const OVF_DRAFT: Rule =
    Rule::new("ovf-draft", &check::Object(Point::Draft), OVF).unverified().hint(
        "the format is http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
    );
