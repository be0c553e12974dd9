//! What the formats say of the members of an archive: the same, whether it can be read anywhere or comes in order.

use std::sync::Arc;

use diskferry_block_stream::{Limits, Result};
use diskferry_wrap::{Candidate, Judge, LIKELY, Likeness, Part, Wrapping};

use crate::format::{Format, Sample};
use crate::source::probe::{head, probe, tail};
use crate::source::unlike::{self, DEEP};
use crate::source::unwrap::naming::names_in;

/// The formats as judges of members.
pub(crate) struct Formats {
    pub limits: Limits,
}

impl Formats {
    /// The judge of what comes in order.
    pub fn judge(limits: &Limits) -> Arc<dyn Judge> {
        Arc::new(Self { limits: limits.clone() })
    }
}

impl Judge for Formats {
    /// What a member is. Of what is short, its end does not tell: through a pipe the same members are disks.
    fn likeness(&self, member: &Candidate<'_>) -> Result<Likeness> {
        if let Some(known) = known(member.head) {
            return Ok(Likeness::Disk(known));
        }
        let Some(part) = member.part.filter(|_| member.size >= LIKELY) else {
            return unlike::member(member.head, None, || Ok(member.head.to_vec()));
        };
        if let Some(format) = probe(part)? {
            return Ok(Likeness::Disk(format.name()));
        }
        let last = tail(part, Sample::TAIL)?;
        unlike::member(member.head, Some(&last), || head(part, DEEP))
    }

    /// Whether it is a part of a split VMDK: an extent by its name, or the descriptor, which is short.
    fn needs_others(&self, member: &Candidate<'_>) -> bool {
        let head = member.head;
        is_extent(member.name)
            || member.size <= Sample::HEAD as u64
                && Format::probe(&Sample { head, tail: &[] }) == Some(Format::VMDK)
    }

    fn needs(&self, disk: &Part) -> Vec<String> {
        names_in(&Arc::new(disk.clone()), &self.limits)
    }
}

/// The format, or the compression, that first bytes tell.
fn known(head: &[u8]) -> Option<&'static str> {
    let format = Format::probe(&Sample { head, tail: &[] });
    format.map(Format::name).or_else(|| Wrapping::of(head).map(Wrapping::name))
}

/// Whether a member is called as VMware calls the extents of a disk: `disk-flat.vmdk`, `disk-s001.vmdk`.
fn is_extent(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let Some((_, end)) = name.strip_suffix(".vmdk").and_then(|stem| stem.rsplit_once('-')) else {
        return false;
    };
    let is_number = |digits: &str| digits.len() >= 3 && digits.bytes().all(|c| c.is_ascii_digit());
    matches!(end, "flat" | "delta" | "sesparse")
        || end.strip_prefix(['s', 'f']).is_some_and(is_number)
}
