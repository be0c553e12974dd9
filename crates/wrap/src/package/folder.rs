//! What is beside a member of a package: an archive is a place to look for what an image names.

use std::sync::Arc;

use super::Package;
use crate::choose::names::{beside, folder_of};
use crate::part::Part;

/// The folder of a package that a member is in.
#[derive(Clone)]
pub struct Folder {
    package: Arc<Package>,
    /// Its path in the package, with a slash at its end where it is not the outermost.
    path: String,
}

impl Folder {
    /// The folder that the member of that name is in.
    pub fn of(package: &Arc<Package>, member: &str) -> Self {
        Self { package: Arc::clone(package), path: folder_of(member).to_owned() }
    }

    /// The names of the regular files in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.package.names().filter_map(|name| name.strip_prefix(&self.path));
        names.filter(|name| !name.contains('/'))
    }

    /// The file of that name in it.
    pub fn member(&self, name: &str) -> Option<Part> {
        self.package.member(&self.path_of(name))
    }

    /// What the package calls the file of that name in it.
    pub fn path_of(&self, name: &str) -> String {
        beside(&self.path, name)
    }
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::{Budget, Bytes};

    use super::*;
    use crate::write::{Header, Magic, end, padding};

    /// An archive of files that have their own names in them.
    fn package(names: &[&str]) -> Arc<Package> {
        let mut archive = Vec::new();
        for name in names {
            let (name, size) = ((*name).to_owned(), name.len() as u64);
            let header = Header { name: &name, size, mode: 0o644, seconds: 0, magic: Magic::Ustar };
            archive.extend(header.block().unwrap());
            archive.extend(name.as_bytes());
            archive.resize(archive.len() + padding(size), 0);
        }
        archive.resize(archive.len() + end(archive.len() as u64), 0);
        Arc::new(Package::open("a.tar", Arc::new(archive), &Budget::default()).unwrap())
    }

    #[test]
    fn a_folder_has_its_own_files_and_no_others() {
        let package = package(&["a", "b", "d/a", "d/c", "d/e/f", "d/g"]);
        for (member, names) in
            [("a", &["a", "b"][..]), ("d/a", &["a", "c", "g"]), ("d/e/f", &["f"]), ("x/y", &[])]
        {
            let folder = Folder::of(&package, member);
            assert_eq!(folder.names().collect::<Vec<_>>(), names, "{member}");
            for name in names {
                let part = folder.member(name).unwrap();
                assert_eq!(part.name(), format!("a.tar/{}", folder.path_of(name)));
                let mut bytes = vec![0; part.len() as usize];
                part.read_at(0, &mut bytes).unwrap();
                assert_eq!(bytes, folder.path_of(name).as_bytes());
            }
            assert!(folder.member("z").is_none());
        }
        // In an archive there are no ways up.
        assert!(Folder::of(&package, "d/a").member("../b").is_none());
    }
}
