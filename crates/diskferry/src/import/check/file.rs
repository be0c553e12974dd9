//! What a file of a format should have, beyond what its readers here mind.

use diskferry_block_stream::ProblemKind;

use super::finding::{Finding, beside_the_point, not_looked_at, said, unwritten};
use super::row::{Check, Need, Settled};
use super::size::size;
use crate::format::Format;
use crate::import::facts::Facts;
use crate::import::kind::Subformat;

/// A sparse VMDK, of that kind where one is named, of whole grains.
pub(in crate::import) struct WholeGrains(pub Option<Subformat>);

impl WholeGrains {
    fn kind(&self) -> &'static str {
        self.0.map_or("sparse", Subformat::name)
    }
}

impl Check for WholeGrains {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let is_meant = match self.0 {
            Some(kind) => facts.is(Format::VMDK, kind),
            None => facts.format == Format::VMDK,
        };
        let Some(grain) = facts.number("grain_size").filter(|grain| is_meant && *grain > 0) else {
            return beside_the_point(&format!("not a {} VMDK", self.kind()));
        };
        let disk = facts.virtual_size;
        said(
            disk.is_multiple_of(grain),
            || format!("whole grains of {}", size(grain)),
            || {
                format!(
                    "the virtual size of {disk} bytes is no whole number of grains of {grain} bytes"
                )
            },
        )
    }

    fn words(&self) -> String {
        format!("a {} VMDK has whole grains only", self.kind())
    }
}

/// A streamOptimized VMDK with at least this version in its header.
pub(in crate::import) struct StreamVersion(pub u64);

impl Check for StreamVersion {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        if !facts.is(Format::VMDK, Subformat::StreamOptimized) {
            return beside_the_point("not a streamOptimized VMDK");
        }
        let Some(version) = facts.number("version") else { return unwritten() };
        said(
            version >= self.0,
            || format!("header version {version}"),
            || format!("header version {version} is less than {}", self.0),
        )
    }

    fn words(&self) -> String {
        format!("a streamOptimized VMDK has header version {} or more", self.0)
    }
}

/// A streamOptimized VMDK that ends with its end-of-stream marker.
pub(in crate::import) struct StreamEnd;

impl Check for StreamEnd {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        if !facts.is(Format::VMDK, Subformat::StreamOptimized) {
            return beside_the_point("not a streamOptimized VMDK");
        }
        facts.ends_in_zeros.map_or_else(unwritten, |is_there| {
            said(
                is_there,
                || "the end-of-stream marker is there".into(),
                || "no end-of-stream marker ends the file".into(),
            )
        })
    }

    fn words(&self) -> String {
        "a streamOptimized VMDK ends with an end-of-stream marker".into()
    }
}

/// A dynamic VHD whose two footers are the same.
pub(in crate::import) struct Footers;

impl Check for Footers {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        match facts.text("footers") {
            None => beside_the_point("no copy of a footer to differ"),
            Some(IDENTICAL) => Finding::Holds("both footers are the same".into()),
            Some(other) => Finding::Broken(format!("the copies of the footer: {other}")),
        }
    }

    fn words(&self) -> String {
        "both footers of a dynamic VHD are the same".into()
    }
}

/// What a VHD says of footers that are.
const IDENTICAL: &str = "identical";

/// No problem in the image's tables, nor in what it stores compressed.
pub(in crate::import) struct Sound;

impl Check for Sound {
    fn needs(&self) -> Need {
        Need::Stored
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let Some(problems) = &facts.problems else {
            return not_looked_at("the tables were not checked");
        };
        // What is wrong with the footers of a VHD is a rule of its own.
        let of_footers = |at: u64| {
            facts.text("footers").is_some_and(|footers| footers != IDENTICAL)
                && (at == 0 || facts.image_size.is_some_and(|length| at + 512 >= length))
        };
        let mut corrupt = problems.iter().filter(|problem| {
            problem.kind == ProblemKind::Corruption && !problem.at.is_some_and(of_footers)
        });
        let Some(first) = corrupt.next() else {
            return Finding::Holds("no problem in its tables, nor in what is compressed".into());
        };
        match corrupt.count() {
            0 => Finding::Broken(first.text.clone()),
            more => Finding::Broken(format!("{}, and {more} more", first.text)),
        }
    }

    fn words(&self) -> String {
        "there is no problem in the image's tables, and what is compressed can be unpacked".into()
    }
}

/// A file that OpenStack's inspector takes for one thing only.
pub(in crate::import) struct OneFormat;

impl Check for OneFormat {
    fn needs(&self) -> Need {
        Need::FirstBytes
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let Some(found) = &facts.glance else { return not_glanced() };
        said(
            !found.is_ambiguous(),
            || "one format".into(),
            || format!("it looks like: {}", found.formats.join(", ")),
        )
    }

    fn words(&self) -> String {
        "OpenStack's inspector takes it for one thing only".into()
    }
}

/// A VMDK's header and descriptor as OpenStack's inspector wants them.
pub(in crate::import) struct GlanceVmdk;

impl Check for GlanceVmdk {
    fn needs(&self) -> Need {
        Need::FirstBytes
    }

    fn settled(&self) -> Settled {
        Settled::File
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let Some(found) = &facts.glance else { return not_glanced() };
        match found.objection {
            None => Finding::Holds("nothing to object to".into()),
            Some(objection) => Finding::Broken(objection.into()),
        }
    }

    fn words(&self) -> String {
        "OpenStack's inspector has nothing to object to in a VMDK's header and descriptor".into()
    }
}

fn not_glanced() -> Finding {
    not_looked_at("the file's beginning was not looked at")
}
