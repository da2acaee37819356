//! Who watches long work, and can stop it.

/// Watches work that takes long: it is told of what is done, and asked between batches whether to stop.
pub trait Monitor: Sync {
    /// So many more items are done, for which so many tokens were drawn. Also called with zeros, as a
    /// sign of life.
    fn advance(&self, items: usize, drawn: usize);

    /// Whether the work is to stop as soon as it can.
    fn interrupted(&self) -> bool;
}

/// Watches nothing and stops nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Monitor for Unwatched {
    fn advance(&self, _: usize, _: usize) {}

    fn interrupted(&self) -> bool {
        false
    }
}
