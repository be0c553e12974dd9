//! What an image is wrapped in.

use diskferry_wrap::{Point, TarKind};

use super::finding::{Finding, beside_the_point, none_of, not_looked_at, said};
use super::row::{Check, Need, Settled};
use crate::import::facts::Facts;
use crate::import::kind::Layer;

/// Wrapped in one of these ways, the outermost first; the empty one is no wrapping at all.
pub(in crate::import) struct Wrapping(pub &'static [&'static [Layer]]);

impl Check for Wrapping {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Wrapping
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let own = facts.wrapping.as_slice();
        let found = |way: &[Layer]| named(way, "not wrapped");
        let wanted: Vec<String> = self.0.iter().map(|way| found(way)).collect();
        said(
            self.0.contains(&own),
            || found(own),
            || format!("it is wrapped: {}; it should be: {}", found(own), wanted.join(", or ")),
        )
    }

    fn words(&self) -> String {
        let ways: Vec<String> = self.0.iter().map(|way| named(way, "nothing")).collect();
        format!("it is wrapped in {}", ways.join(", or "))
    }
}

fn named(way: &[Layer], nothing: &str) -> String {
    match way {
        [] => nothing.to_owned(),
        way => way.iter().map(|layer| layer.name()).collect::<Vec<_>>().join(" of "),
    }
}

/// In an archive, under this name.
pub(in crate::import) struct Member(pub &'static str);

impl Check for Member {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Wrapping
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let name = self.0;
        match facts.member.as_deref() {
            None => beside_the_point("not in an archive"),
            Some(own) if facts.is_dotted(own) => {
                Finding::Broken(format!("in the archive it is called './{own}', not '{name}'"))
            }
            Some(own) => said(
                own == name,
                || format!("the archive has '{own}'"),
                || format!("in the archive it is called '{own}', not '{name}'"),
            ),
        }
    }

    fn words(&self) -> String {
        format!("in its archive it is called {}", self.0)
    }
}

/// In an archive, alone.
pub(in crate::import) struct OnlyMember;

impl Check for OnlyMember {
    fn needs(&self) -> Need {
        Need::Archive
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        match &facts.survey {
            _ if !facts.is_in(Layer::Tar) => beside_the_point("not in an archive"),
            None => not_looked_at("the archive was not looked through"),
            Some(survey) => said(
                survey.members.len() == 1,
                || "one member".into(),
                || format!("the archive has {}", members(&survey.members)),
            ),
        }
    }

    fn words(&self) -> String {
        "in its archive there is nothing else".into()
    }
}

/// Some of the names, in words.
fn members(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// In an archive of this kind.
pub(in crate::import) struct Tar(pub TarKind);

impl Check for Tar {
    fn needs(&self) -> Need {
        Need::Archive
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let survey = match &facts.survey {
            _ if !facts.is_in(Layer::Tar) => return beside_the_point("not in an archive"),
            None => return not_looked_at("the archive was not looked through"),
            Some(survey) => survey,
        };
        let kinds: Vec<&str> = survey.kinds.iter().map(|kind| kind.name()).collect();
        said(
            survey.kinds == [self.0],
            || format!("the archive is of the kind {}", self.0.name()),
            || format!("the archive is of the kind {}", kinds.join(" and ")),
        )
    }

    fn words(&self) -> String {
        format!("its archive is of the kind {}", self.0.name())
    }
}

/// In an OVF package to which nobody objects for this.
pub(in crate::import) struct Object(pub Point);

impl Check for Object {
    fn needs(&self) -> Need {
        Need::Package
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        match &facts.objections {
            _ if !facts.is_in(Layer::Ova) => beside_the_point("not in an OVF package"),
            None => not_looked_at("the package was not looked at"),
            Some(found) => {
                let found = found.iter().filter(|objection| objection.point == self.0);
                let found: Vec<String> = found.map(|found| found.text.clone()).collect();
                none_of(&found, "nothing to object to")
            }
        }
    }

    fn words(&self) -> String {
        let words = match self.0 {
            Point::First => "in an OVA the descriptor is the first member",
            Point::Order => "in an OVA the files are in the order of the descriptor's list",
            Point::Missing => "all files that an OVF lists are there",
            Point::Size => "files are as long as the OVF says",
            Point::Format => "the disks of an OVF have the address of VMware's format",
            Point::Folder => "the files of an OVF have plain names, without folders",
            Point::Controller => "the machine in an OVF has a controller for each disk",
            Point::Devices => "the devices in an OVF are Items, as in OVF 1",
            Point::Manifest => {
                "lines of the manifest are of the form SHA256(name)= digest, or SHA1"
            }
            Point::Digest => "the digests in the manifest are those of the files",
            Point::Unlisted => "a manifest has a digest of each file",
            Point::Kind => "the digests in the manifest are of the kinds SHA1 and SHA256",
            Point::Second => "an OVA has one descriptor and one manifest",
            Point::Capacity => "the disks of an OVF are of the size that it gives them",
            Point::Resource => "the devices in an OVF lead to disks and files that it lists",
            Point::Draft => "the format of an OVF's disks is not given as drafts had it",
            Point::End => "an archive without a descriptor has an end mark",
        };
        words.into()
    }
}
