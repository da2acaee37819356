//! Messages to the person.

use std::{fmt::Display, io::Write};

/// A line on standard error. Where nobody listens any more it is lost, and the work goes on.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
