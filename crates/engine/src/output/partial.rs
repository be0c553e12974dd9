//! A file on its way to its name.
//!
//! Where the file system can, it has no name at all until it is whole (`O_TMPFILE`), so that nothing
//! is left of it however the process dies. Elsewhere (NFS, FAT) it has a temporary name beside its
//! own. Both stay in the folder that was found at the start, whatever that is called by the end.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, flock, fstat, linkat,
    openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::replace::Replace;

/// A name in a folder. It stays that name in that folder when the folder itself gets another.
#[derive(Clone, Debug)]
pub struct Entry {
    folder: Arc<OwnedFd>,
    name: OsString,
}

impl Entry {
    /// The name without the folder.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Takes the name out of its folder.
    ///
    /// # Errors
    /// What the system reports.
    pub fn remove(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, &self.name, AtFlags::empty())?)
    }

    /// A new temporary name for what is to have this one.
    fn temporary(&self) -> Self {
        let mut name = stem(&self.name).to_owned();
        // The standard library's hash keys are random, which is all that is asked of a name.
        let random = RandomState::new().hash_one(0_u8) & RANDOM;
        name.push(format!(".{random:0width$x}{SUFFIX}", width = DIGITS));
        Self { folder: Arc::clone(&self.folder), name }
    }
}

/// A file that has not got its name yet; dropped before that, it is gone.
pub(super) struct Partial {
    target: Entry,
    file: File,
    /// The name it has for now.
    temporary: Option<Entry>,
}

impl Partial {
    /// Starts a file in the folder at `path`, to be called `name` there.
    pub fn create(path: &Path, name: &OsStr, mode: Mode) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = retry_on_intr(|| openat(CWD, path, flags, Mode::empty()))?;
        let target = Entry { folder: Arc::new(folder), name: name.to_owned() };
        Self::unnamed(&target, mode).map_or_else(|| Self::named(&target, mode), Ok)
    }

    /// A file without a name, where there can be one, and where it can be given a name later.
    fn unnamed(target: &Entry, mode: Mode) -> Option<Self> {
        let file = retry_on_intr(|| openat(&target.folder, ".", UNNAMED, mode)).ok()?;
        let (own, shown) = (fstat(&file).ok()?, statat(CWD, handle(&file), AtFlags::empty()).ok()?);
        let same = (own.st_dev, own.st_ino) == (shown.st_dev, shown.st_ino);
        same.then(|| Self { target: target.clone(), file: file.into(), temporary: None })
    }

    /// A file with a temporary name, locked for as long as somebody works on it.
    fn named(target: &Entry, mode: Mode) -> io::Result<Self> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let mut taken = 0;
        loop {
            let temporary = target.temporary();
            match retry_on_intr(|| openat(&target.folder, &temporary.name, flags, mode)) {
                Ok(file) => {
                    // Where there are no locks, nobody can tell that this one is alive.
                    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
                    let (target, file) = (target.clone(), file.into());
                    return Ok(Self { target, file, temporary: Some(temporary) });
                }
                Err(Errno::EXIST) if taken < TRIES => taken += 1,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// An empty file in the same folder, which never gets a name.
    pub fn another(&self) -> io::Result<OwnedFd> {
        Ok(retry_on_intr(|| openat(&self.target.folder, ".", UNNAMED, Mode::RUSR))?)
    }

    /// The name that has to be removed where the process ends without dropping this.
    pub fn temporary(&self) -> Option<&Entry> {
        self.temporary.as_ref()
    }

    /// Gives it its name. Under that there may by now be a file, which is replaced only on demand,
    /// or something else, which is never.
    pub fn keep(mut self, replace: Replace) -> io::Result<Kept> {
        let Entry { folder, name } = self.target.clone();
        if self.temporary.is_none() {
            match self.link(&self.target) {
                Err(Errno::EXIST) if replace == Replace::Allowed => {
                    let temporary = self.target.temporary();
                    self.link(&temporary)?;
                    self.temporary = Some(temporary);
                }
                linked => return Ok(linked.map(|()| Kept { entry: self.target.clone() })?),
            }
        }
        // Should it fail, dropping this removes the temporary name.
        let Some(temporary) = &self.temporary else { return Err(Errno::NOENT.into()) };
        match replace {
            Replace::Never => rename_to_new(&folder, &temporary.name, &name)?,
            Replace::Allowed => {
                if let Ok(now) = statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)
                    && FileType::from_raw_mode(now.st_mode) != FileType::RegularFile
                {
                    return Err(Errno::EXIST.into());
                }
                renameat(&folder, &temporary.name, &folder, &name)?;
            }
        }
        self.temporary = None;
        Ok(Kept { entry: Entry { folder, name } })
    }

    fn link(&self, to: &Entry) -> Result<(), Errno> {
        linkat(CWD, handle(&self.file), &to.folder, &to.name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nobody is left to be told that it cannot be removed.
            let _ = temporary.remove();
        }
    }
}

/// A file that has its name.
#[derive(Debug)]
pub struct Kept {
    entry: Entry,
}

impl Kept {
    /// Removes it after all.
    ///
    /// # Errors
    /// What the system reports.
    pub fn remove(&self) -> io::Result<()> {
        self.entry.remove()
    }

    /// Makes the name last as long as the bytes. Not every file system can sync a folder.
    pub(super) fn sync(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| openat(&self.entry.folder, ".", flags, Mode::empty()));
        // A folder into which one may write and not look cannot be asked.
        let Ok(folder) = opened else { return Ok(()) };
        match retry_on_intr(|| rustix::fs::fsync(&folder)) {
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::BADF) => Ok(()),
            other => Ok(other?),
        }
    }
}

/// The folder of a target.
pub(super) fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The names of files beside `target` that interrupted runs left there in its place. Nobody is at work
/// on them.
pub fn left_behind(target: &Path) -> Vec<OsString> {
    let target = target.canonicalize().unwrap_or_else(|_| target.to_owned());
    let Some(base) = target.file_name() else { return Vec::new() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat(CWD, folder_of(&target), flags, Mode::empty()) else {
        return Vec::new();
    };
    let Ok(entries) = Dir::read_from(&folder) else { return Vec::new() };
    let names = entries.take(LOOKED_AT).filter_map(Result::ok);
    let names = names.map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
    names.filter(|name| is_temporary(name, base) && !in_use(&folder, name)).collect()
}

/// Whether `name` is one that [`Entry::temporary`] makes for `base`.
fn is_temporary(name: &OsStr, base: &OsStr) -> bool {
    let random = || {
        let rest = name.as_bytes().strip_prefix(stem(base).as_bytes())?.strip_prefix(b".")?;
        rest.strip_suffix(SUFFIX.as_bytes())
    };
    random()
        .is_some_and(|random| random.len() == DIGITS && random.iter().all(u8::is_ascii_hexdigit))
}

fn in_use(folder: &OwnedFd, name: &OsStr) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let is_file = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile);
    let Some(file) = is_file.then(|| openat(folder, name, flags, Mode::empty()).ok()).flatten()
    else {
        return true;
    };
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

/// The part of a target's name that its temporary ones begin with.
fn stem(name: &OsStr) -> &OsStr {
    if name.len() > LONGEST { OsStr::new("target") } else { name }
}

/// A name by which the kernel finds an open file.
fn handle(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// A rename that replaces nothing.
fn rename_to_new(folder: &OwnedFd, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // An old kernel, or a file system such as NFS: a link replaces nothing, either.
        Err(Errno::NOSYS | Errno::INVAL) => {
            linkat(folder, from, folder, to, AtFlags::empty())?;
            let _ = unlinkat(folder, from, AtFlags::empty());
            Ok(())
        }
        other => other,
    }
}

/// Opens a file without a name in the folder that is opened with this.
const UNNAMED: OFlags = OFlags::TMPFILE.union(OFlags::RDWR).union(OFlags::CLOEXEC);

/// Marks what a run that was killed could not remove.
const SUFFIX: &str = ".diskferry-partial";

/// Hexadecimal digits that make a temporary name like no other.
const DIGITS: usize = 8;
const RANDOM: u64 = (1 << (4 * DIGITS)) - 1;

/// Temporary names that may be taken already.
const TRIES: u32 = 100;

/// Names have at most 255 bytes on Linux; this leaves room for the random part and the suffix.
const LONGEST: usize = 220;

/// Names in a folder among which leftovers are looked for. It is a courtesy, and must not take long.
const LOOKED_AT: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type Make = fn(&Path) -> Partial;

    fn entry(path: &Path) -> Entry {
        let folder = File::open(path.parent().unwrap()).unwrap();
        Entry { folder: Arc::new(folder.into()), name: path.file_name().unwrap().to_owned() }
    }

    /// Both kinds of files, whatever the file system prefers.
    const KINDS: [Make; 2] = [
        |path| Partial::unnamed(&entry(path), Mode::from_raw_mode(0o666)).expect("O_TMPFILE"),
        |path| Partial::named(&entry(path), Mode::from_raw_mode(0o666)).unwrap(),
    ];

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_has_its_name_when_it_is_kept_and_is_gone_when_it_is_not() {
        for make in KINDS {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("disk.raw");
            drop(make(&target));
            assert_eq!(names(folder.path()), [""; 0]);
            for replace in [Replace::Never, Replace::Allowed, Replace::Allowed] {
                let partial = make(&target);
                rustix::io::write(partial.file(), b"new").unwrap();
                partial.keep(replace).unwrap();
                assert_eq!(names(folder.path()), ["disk.raw"]);
                assert_eq!(fs::read(&target).unwrap(), b"new");
            }
            let refused = make(&target).keep(Replace::Never).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(names(folder.path()), ["disk.raw"]);
        }
    }

    #[test]
    fn what_became_no_regular_file_is_not_replaced() {
        for make in KINDS {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("disk.raw");
            let partial = make(&target);
            std::os::unix::fs::symlink("elsewhere", &target).unwrap();
            assert!(partial.keep(Replace::Allowed).is_err());
            assert!(target.is_symlink());
            assert_eq!(names(folder.path()), ["disk.raw"]);
        }
    }

    #[test]
    fn it_stays_in_its_folder_whatever_that_is_called() {
        for make in KINDS {
            let root = tempfile::tempdir().unwrap();
            let [old, new] = ["old", "new"].map(|name| root.path().join(name));
            for kept in [false, true] {
                fs::create_dir(&old).unwrap();
                let partial = make(&old.join("disk.raw"));
                fs::rename(&old, &new).unwrap();
                match kept {
                    true => drop(partial.keep(Replace::Never).unwrap()),
                    false => drop(partial),
                }
                assert_eq!(names(&new), if kept { vec!["disk.raw"] } else { vec![] });
                fs::remove_dir_all(&new).unwrap();
            }
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error() {
        for make in KINDS {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join("folder");
            fs::create_dir(&folder).unwrap();
            let partial = make(&folder.join("disk.raw"));
            fs::remove_dir_all(&folder).unwrap();
            assert_eq!(partial.keep(Replace::Allowed).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn permissions_are_what_the_umask_leaves() {
        for make in KINDS {
            let folder = tempfile::tempdir().unwrap();
            let (target, other) = (folder.path().join("disk.raw"), folder.path().join("other"));
            make(&target).keep(Replace::Never).unwrap();
            File::create(&other).unwrap();
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
            assert_eq!(mode(&target), mode(&other));
        }
    }

    #[test]
    fn what_a_killed_run_left_is_found_and_what_is_at_work_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("disk.raw");
        let alive = KINDS[1](&target);
        let dead = KINDS[1](&target);
        let left = dead.temporary().unwrap().name().to_owned();
        // As after kill -9: the descriptor is closed, the name stays.
        flock(dead.file(), FlockOperation::Unlock).unwrap();
        std::mem::forget(dead);
        for other in [
            "disk.raw",
            "disk.raw.bak",
            "disk.raw.0123456z.diskferry-partial",
            "other.raw.01234567.diskferry-partial",
        ] {
            fs::write(folder.path().join(other), b"").unwrap();
        }
        std::os::unix::fs::symlink(
            "disk.raw",
            folder.path().join("disk.raw.01234567.diskferry-partial"),
        )
        .unwrap();
        assert_eq!(left_behind(&target), [left]);
        drop(alive);
    }
}
