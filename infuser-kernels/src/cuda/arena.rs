//! What the memory of a driver is for, and how much of it each purpose takes.

use std::fmt;

/// What memory is for. A device handle allocates for one of these
/// ([`Device::in_arena`](crate::Device::in_arena)); memory remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arena {
    /// Parameters, as models multiply by them.
    Weights,
    /// Gradients of parameters, those of an influence target included.
    Gradients,
    /// Moments, and weights in f32.
    Optimizer,
    /// What passes compute, the indices that they read, and the scratch of ops.
    #[default]
    Activations,
    /// Keys and values of generation.
    Cache,
}

impl Arena {
    /// Every arena.
    pub const ALL: [Self; 5] =
        [Self::Weights, Self::Gradients, Self::Optimizer, Self::Activations, Self::Cache];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Gradients => "gradients",
            Self::Optimizer => "optimizer",
            Self::Activations => "activations",
            Self::Cache => "cache",
        }
    }
}

/// Bytes that are allocated, now and at most so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Now.
    pub live_bytes: usize,
    /// At most, since the driver was opened or its peaks were reset.
    pub peak_bytes: usize,
}

impl Held {
    fn take(&mut self, bytes: usize) {
        self.live_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.live_bytes);
    }
}

/// The account of a driver's memory: bytes as asked for. What the driver and cuBLASLt hold for themselves
/// is in no arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUse {
    arenas: [Held; Arena::ALL.len()],
    total: Held,
}

impl MemoryUse {
    /// One arena's part.
    pub fn of(&self, arena: Arena) -> Held {
        self.arenas[arena as usize]
    }

    /// All arenas together; its peak is at most the sum of theirs.
    pub fn total(&self) -> Held {
        self.total
    }

    pub(super) fn take(&mut self, arena: Arena, bytes: usize) {
        self.arenas[arena as usize].take(bytes);
        self.total.take(bytes);
    }

    pub(super) fn give_back(&mut self, arena: Arena, bytes: usize) {
        for held in [&mut self.arenas[arena as usize], &mut self.total] {
            held.live_bytes -= bytes;
        }
    }

    pub(super) fn reset_peaks(&mut self) {
        for held in self.arenas.iter_mut().chain([&mut self.total]) {
            held.peak_bytes = held.live_bytes;
        }
    }
}

/// What is allocated now, arena by arena.
impl fmt::Display for MemoryUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for arena in Arena::ALL {
            write!(f, "{} {}, ", arena.name(), self.of(arena).live_bytes)?;
        }
        write!(f, "{} bytes in all", self.total.live_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_stays_until_it_is_reset() {
        let mut all = MemoryUse::default();
        all.take(Arena::Weights, 8);
        all.take(Arena::Cache, 4);
        all.give_back(Arena::Weights, 8);
        all.take(Arena::Cache, 2);
        let held = |live_bytes, peak_bytes| Held { live_bytes, peak_bytes };
        assert_eq!((all.of(Arena::Weights), all.of(Arena::Cache)), (held(0, 8), held(6, 6)));
        assert_eq!((all.of(Arena::Optimizer), all.total()), (held(0, 0), held(6, 12)));
        all.reset_peaks();
        assert_eq!((all.of(Arena::Weights), all.total()), (held(0, 0), held(6, 6)));
        let text = "weights 0, gradients 0, optimizer 0, activations 0, cache 6, 6 bytes in all";
        assert_eq!(all.to_string(), text);
    }

    #[test]
    fn an_arena_stands_where_its_number_says() {
        assert!(Arena::ALL.iter().enumerate().all(|(place, arena)| *arena as usize == place));
    }
}
