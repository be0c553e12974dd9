//! What happens to what has the target's name already.

use serde::{Deserialize, Serialize};

/// What to do with an existing target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replace {
    /// It is an error.
    #[default]
    Never,
    /// It is replaced at the end.
    Allowed,
}
