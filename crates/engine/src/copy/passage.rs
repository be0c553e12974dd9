//! The way of a copy's tickets: what is done with each, what of that in the disk's order, and who writes it.

use super::place::InOrder;
use super::work::Work;
use super::write::Writer;

/// The way of a copy's tickets.
pub(super) struct Passage<'a> {
    pub(super) work: Work<'a>,
    pub(super) in_order: InOrder,
    pub(super) writing: Writing<'a>,
}

/// Who writes a ticket.
pub(super) enum Writing<'a> {
    /// Nobody: it is only looked at.
    Nowhere,
    /// Whoever has read it, while it is still in the cache: nothing of it depends on what precedes it.
    AsRead(Writer<'a>),
    /// Whoever is free once it is placed.
    Placed(Writer<'a>),
    /// Whoever places it: the bytes must leave in order.
    InOrder(Writer<'a>),
}

impl<'a> Writing<'a> {
    pub(super) fn writer(&self) -> Option<&Writer<'a>> {
        match self {
            Self::Nowhere => None,
            Self::AsRead(writer) | Self::Placed(writer) | Self::InOrder(writer) => Some(writer),
        }
    }
}
