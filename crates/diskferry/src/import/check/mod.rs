//! What rules ask of images: one row for each thing that can be asked.
//!
//! A row is a type that has what the question is about, and implements [`Check`]: what must be known
//! to answer it, from when on the answer stays, the answer, and its words. It stands in the file of
//! its kind; a target's profile names it with the target's own numbers.

mod disk;
mod file;
mod finding;
mod image;
mod name;
mod row;
mod size;
mod wrapped;

pub(super) use disk::{
    BackupGpt, Bios, EfiLoader, NoExtFeatures, NoVolumes, NoWindowsOnGpt, NotEncrypted,
    NothingBeyond, OpenStackTable, Partitioned, Root, Sectors512, Table, Whole,
};
pub(super) use file::{
    Footers, GlanceVmdk, OneFormat, Sound, StreamEnd, StreamVersion, WholeGrains,
};
pub(super) use finding::Finding;
pub(super) use image::{
    Accepts, Formats, Kind, Lacks, NoParent, NotFormat, OneFile, RawCompanion, any, only,
};
pub(super) use name::{FileName, Name, NameRule};
pub(super) use row::{Check, Need, Settled};
pub(super) use size::{
    Bounds, FileOverhead, FileSize, Stored, VirtualSize, VirtualUnit, at_most, at_most_gb,
    at_most_tb, between,
};
pub(super) use wrapped::{Member, Object, OnlyMember, Tar, Wrapping};
