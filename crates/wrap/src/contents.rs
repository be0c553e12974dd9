//! What an archive has, compared with what its descriptor lists.

use std::collections::HashMap;
use std::fmt;

use diskferry_block_stream::{Error, ErrorKind};

use crate::choose::names::{is_descriptor, is_manifest};
use crate::damage::Damage;
use crate::member::Member;
use crate::objection::{OBJECTIONS, Objection, Point};
use crate::ovf::Descriptor;

/// Where the files of a package are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a tar archive.
    Archive,
    /// In the descriptor's folder.
    Folder,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Archive => "in the archive",
            Self::Folder => "beside it",
        })
    }
}

/// Where in the list each name is first: that one counts.
pub(crate) fn places(members: &[Member]) -> HashMap<&str, usize> {
    let members = members.iter().enumerate().rev();
    members.map(|(at, member)| (member.name.as_str(), at)).collect()
}

/// Compares what a descriptor says of files with the list of those that there are.
pub(crate) fn object_to_files(
    descriptor: &Descriptor,
    members: &[Member],
    place: Place,
    report: &mut dyn FnMut(Objection),
) {
    let mut left = OBJECTIONS;
    let mut object = |point, at, text| {
        if left > 0 {
            left -= 1;
            report(Objection::new(point, at, text));
        }
    };
    let own = &descriptor.name;
    if let Some(first) = members.first().filter(|first| first.name != *own) {
        let text = format!("'{}' is the first member, not the descriptor '{own}'", first.name);
        object(Point::First, first.begin(), text);
    }
    let places = places(members);
    // The first of them is the one that counts.
    for is_kind in [is_descriptor, is_manifest] {
        let further = members.iter().filter(|member| is_kind(&member.name)).skip(1);
        for member in further {
            let text = format!("'{}' is a second file of its kind", member.name);
            object(Point::Second, member.begin(), text);
        }
    }
    // Files in a folder have no order.
    let mut last = 0;
    for file in descriptor.files.iter().filter(|file| !file.in_chunks) {
        let href = &file.href;
        let Some(&at) = file.names().iter().find_map(|name| places.get(name.as_str())) else {
            let text = format!("'{own}' lists the file '{href}', which is not {place}");
            object(Point::Missing, None, text);
            continue;
        };
        let member = &members[at];
        if let Some(size) = file.size.filter(|size| *size != member.size) {
            let real = member.size;
            let text = format!("'{own}' has '{href}' with {size} bytes; it has {real}");
            object(Point::Size, member.begin(), text);
        }
        if at < last && place == Place::Archive {
            let text = format!("'{href}' is not where the list in '{own}' has it");
            object(Point::Order, member.begin(), text);
        }
        last = at;
    }
}

/// A disk that the descriptor names and the package does not have.
pub(crate) fn missing(descriptor: &str, href: &str, place: Place) -> Error {
    let problem = format!("names the disk '{href}', which is not {place}, or not whole");
    let damage = Damage::Ovf { name: descriptor.to_owned(), problem };
    match place {
        Place::Archive => damage.into(),
        Place::Folder => Error::new(ErrorKind::Io, damage),
    }
}
