//! What is known of an archive that comes in order, once it has been read to its end.

use crate::capacity::Capacity;
use crate::contents::{Place, object_to_files};
use crate::member::Member;
use crate::objection::Objection;
use crate::ovf::Descriptor;

/// What there is to say of an archive and its disk at their end.
#[derive(Debug, Default)]
pub struct Ending {
    /// What contradicts the descriptor, and why the disk was not compared with the manifest, where it was not.
    pub notes: Vec<String>,
    /// The size that the descriptor gives the disk.
    pub capacity: Option<Capacity>,
}

impl Ending {
    /// Looks at what an archive has; without an end mark it was `unmarked` where it ended.
    pub(crate) fn of(
        descriptor: Option<&Descriptor>,
        members: &[Member],
        unmarked: Option<u64>,
        disk: &str,
    ) -> Self {
        let mut notes = Vec::new();
        let mut note = |objection: Objection| {
            if objection.is_contradiction() {
                notes.push(objection.text);
            }
        };
        match (descriptor, unmarked) {
            (Some(descriptor), _) => {
                object_to_files(descriptor, members, Place::Archive, &mut note)
            }
            (None, Some(at)) => note(Objection::no_end(at)),
            (None, None) => {}
        }
        let capacity = descriptor.and_then(|descriptor| Capacity::of(descriptor, disk));
        Self { notes, capacity }
    }
}
