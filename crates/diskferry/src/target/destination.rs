//! Finds out what a target is: judged before anything is read, created when all else is clear.

use std::path::Path;

use diskferry_block_stream::Result;
use diskferry_engine::{Destination, Durability, Replace};

use crate::place::location::Location;
use crate::target::device::DevicePlace;
use crate::target::file::FilePlace;
use crate::target::found::Found;
use crate::target::pipe::PipePlace;

/// What is at the place of a target, with nothing done to it; and what may be done to it.
///
/// # Errors
/// `Misuse` where nothing can be written to it, `Io` where its folder is missing.
pub(crate) fn find(
    target: &Location,
    replace: Replace,
    durability: Durability,
) -> Result<Box<dyn Destination>> {
    match target {
        Location::Standard => Ok(Box::new(PipePlace::stdout()?)),
        Location::Path(path) => find_path(path, replace, durability),
    }
}

fn find_path(
    path: &Path,
    replace: Replace,
    durability: Durability,
) -> Result<Box<dyn Destination>> {
    let (path, name) = (path.to_owned(), path.display().to_string());
    let there = match Found::at(&path)? {
        Found::Device(there) => {
            return Ok(Box::new(DevicePlace { name, path, there, replace }));
        }
        Found::Pipe(there) => return Ok(Box::new(PipePlace::at(path, there))),
        Found::Nothing => None,
        Found::File(there) => Some(there),
    };
    Ok(Box::new(FilePlace { name, path, there, replace, durability }))
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::{ErrorKind, Plan, Remedy, Split};
    use diskferry_engine::Needs;

    use super::*;

    fn find(target: &Location, replace: Replace) -> Result<Box<dyn Destination>> {
        super::find(target, replace, Durability::default())
    }

    #[test]
    fn what_exists_is_refused_unless_it_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let existing = Location::Path(folder.path().join("a.raw"));
        std::fs::write(folder.path().join("a.raw"), b"").unwrap();
        let needs = Needs::default();
        let error = find(&existing, Replace::Never).unwrap().accepts(&needs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert_eq!(error.remedy(), Some(&Remedy::ReplaceTarget));
        assert!(find(&existing, Replace::Allowed).unwrap().accepts(&needs).is_ok());
        // What would be replaced there is not to be had, and leave to replace is no help.
        let dangling = folder.path().join("link.raw");
        std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
        let error = find(&Location::Path(dangling), Replace::Never).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("a link that leads nowhere"), "{error}");
    }

    #[test]
    fn what_cannot_be_a_target_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Location::Path(folder.path().join(name));
        for (target, kind) in [
            (path(""), ErrorKind::Misuse),
            (path("new/"), ErrorKind::Misuse),
            (path("no/such/folder.raw"), ErrorKind::Io),
        ] {
            let Err(error) = find(&target, Replace::Never) else { panic!("{target} was taken") };
            assert_eq!(error.kind(), kind, "{error}");
        }
    }

    /// What a place of each kind refuses to hold, of all that plans need.
    #[test]
    fn a_place_refuses_what_it_cannot_hold() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().metadata().unwrap();
        let device = DevicePlace {
            name: "sda".to_owned(),
            path: "sda".into(),
            there,
            replace: Replace::Allowed,
        };
        let file = find(&Location::Path(folder.path().join("a")), Replace::Never).unwrap();
        let null = find(&Location::Path("/dev/null".into()), Replace::Never).unwrap();
        let split = Plan::Split(Split { parts: vec![], descriptor: Box::new(|_| Ok(vec![])) });
        let nothing = Needs::default();
        let mut footer = nothing;
        footer.ends_with_file = Some("vhd");
        let mut parts = nothing;
        parts.plan = Some(&split);
        let mut read_back = nothing;
        read_back.read_back = true;
        for (needs, refused_by) in [
            (nothing, [None, None, None]),
            (footer, [None, Some(ErrorKind::Unsupported), None]),
            (parts, [None, Some(ErrorKind::Unsupported), Some(ErrorKind::Unsupported)]),
            (read_back, [None, None, Some(ErrorKind::Misuse)]),
        ] {
            let places = [file.as_ref(), &device, null.as_ref()];
            let refused = places.map(|place| place.accepts(&needs).err().map(|it| it.kind()));
            assert_eq!(refused, refused_by);
        }
    }
}
