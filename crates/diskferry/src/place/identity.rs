//! Whether what is written to one place may be read from another, under whatever names.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use diskferry_block_stream::Identity;
use rustix::fs::makedev;

/// Whether what is written to one may be read from the other.
pub(crate) fn overlap(one: &Identity, other: &Identity) -> bool {
    let (own, others) = (under(one), under(other));
    let meets = |whole: &[Under], any: &[Under]| {
        let whole = whole.iter().filter(|it| it.whole);
        whole.into_iter().any(|it| any.iter().any(|other| it.place.may_be(&other.place)))
    };
    meets(&own, &others) || meets(&others, &own)
}

/// What bytes are stored in.
#[derive(Clone, Debug)]
struct Under {
    place: Place,
    /// All of it belongs to them; of a disk, a partition has only a part.
    whole: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Known(Identity),
    /// What a loop device shows, where no name leads to it any more: any file.
    Lost,
}

impl Place {
    fn may_be(&self, other: &Self) -> bool {
        let lost = |a: &Self, b: &Self| {
            matches!((a, b), (Self::Lost, Self::Known(Identity::Inode { .. })))
        };
        self == other || lost(self, other) || lost(other, self)
    }
}

/// These bytes, and all that they are stored in, as far as the system tells.
fn under(bytes: &Identity) -> Vec<Under> {
    let mut found = vec![Under { place: Place::Known(bytes.clone()), whole: true }];
    let mut next = 0;
    while let Some(Under { place, whole }) = found.get(next).cloned() {
        next += 1;
        let stored = match place {
            Place::Known(Identity::Device(device)) => {
                let file = loop_file(device).map(|place| Under { place, whole });
                let parts = stored_on(device).into_iter().map(Place::Known);
                file.into_iter().chain(parts.map(|place| Under { place, whole: false })).collect()
            }
            Place::Known(Identity::Part { whole, .. }) => {
                vec![Under { place: Place::Known(whole.as_ref().clone()), whole: false }]
            }
            _ => Vec::new(),
        };
        for it in stored {
            if found.iter().all(|known| known.place != it.place) {
                found.push(it);
            }
        }
    }
    found
}

/// The file that a loop device shows.
fn loop_file(device: u64) -> Option<Place> {
    let told = fs::read(sysfs(device).join("loop/backing_file")).ok()?;
    let file = Path::new(OsStr::from_bytes(told.strip_suffix(b"\n").unwrap_or(&told)));
    // The name may be gone, and the file still be there under another.
    let metadata = file.metadata().ok();
    Some(metadata.map_or(Place::Lost, |metadata| Place::Known(Identity::of(&metadata))))
}

/// The disk that a partition is on, the devices that a mapped one or an array is made of.
fn stored_on(device: u64) -> Vec<Identity> {
    let own = sysfs(device);
    let slaves = fs::read_dir(own.join("slaves")).into_iter().flatten();
    let mut folders: Vec<PathBuf> = slaves.filter_map(|it| Some(it.ok()?.path())).collect();
    // A partition's folder is in its disk's.
    if own.join("partition").exists() {
        folders.push(own.join(".."));
    }
    let numbers = folders.iter().filter_map(|it| fs::read_to_string(it.join("dev")).ok());
    let devices = numbers.filter_map(|numbers| {
        let (major, minor) = numbers.trim().split_once(':')?;
        Some(Identity::Device(makedev(major.parse().ok()?, minor.parse().ok()?)))
    });
    devices.collect()
}

/// What the system tells about a block device.
fn sysfs(device: u64) -> PathBuf {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    PathBuf::from(format!("/sys/dev/block/{major}:{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_links_are_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b, c) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
        fs::write(&a, b"").unwrap();
        fs::hard_link(&a, &b).unwrap();
        fs::write(&c, b"").unwrap();
        let id = |path: &Path| Identity::of(&path.metadata().unwrap());
        assert_eq!(id(&a), id(&b));
        assert_ne!(id(&a), id(&c));
    }

    #[test]
    fn what_is_on_a_loop_device_is_in_its_file() {
        let id = |inode| Identity::Inode { device: 1, inode };
        assert!(overlap(&id(1), &id(1)));
        assert!(!overlap(&id(1), &id(2)));
        // Devices that nothing is known of are themselves only.
        let device = |minor| Identity::Device(makedev(4000, minor));
        assert!(!overlap(&device(1), &device(2)));
        assert!(!overlap(&device(1), &id(1)));
        // Members of an archive are apart from one another, and both in it.
        let (one, other) = (id(1).part(512), id(1).part(2048));
        assert!(overlap(&one, &id(1)) && overlap(&id(1), &one) && overlap(&one, &one));
        assert!(!overlap(&one, &other) && !overlap(&one, &id(2)));
    }

    /// Every partition that this machine has overlaps its disk, and no other partition of it.
    #[test]
    fn partitions_overlap_their_disk() {
        let devices = fs::read_dir("/sys/dev/block").into_iter().flatten();
        for name in devices.filter_map(|it| it.ok()?.file_name().into_string().ok()) {
            let Some((major, minor)) = name.split_once(':') else { continue };
            let own = makedev(major.parse().unwrap(), minor.parse().unwrap());
            if !sysfs(own).join("partition").exists() {
                continue;
            }
            let disk = stored_on(own);
            assert_eq!(disk.len(), 1, "{name}");
            let own = Identity::Device(own);
            assert!(overlap(&disk[0], &own) && overlap(&own, &disk[0]));
        }
    }
}
