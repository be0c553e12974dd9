//! What every format passes, one call each.
//!
//! A law panics at the first thing that is wrong, and says what, where and of which model.

mod faults;
mod owed;
mod reading;
mod writing;

pub use faults::{faults, truncation};
pub use reading::reading;
pub use writing::writing;

use std::time::Duration;

/// No law takes longer, on the slowest machine.
const LIMIT: Duration = Duration::from_secs(300);

/// The first bytes of some, for messages.
fn show(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
