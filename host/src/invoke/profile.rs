//! For which components an engine is made: what is best for one kind costs the other much.

use std::fmt;

use super::exports::{Interface, Wasi};

/// Bytes that the memories of a component begin with: from more than that on, it is a large one. A handler in Rust or C
/// begins with some 192 KiB; what brings the runtime of a language along and a snapshot of its heap, JavaScript with
/// 9 MiB, Python with 13.
const LARGE: u64 = 2 << 20;

/// The settings that a component is compiled and run with.
///
/// A small one is called in 20 µs, and most of that is to make its instance: there, nothing may map or protect pages.
/// With a large one the call takes milliseconds, and to have processors find what lies out of bounds makes its code
/// shorter. What counts above all is that its whole memory stays mapped in between, since pages that are given back and
/// faulted in again cost the more, the more workers do it at once. Calls a second with fresh instances on 1 thread and
/// on 2, dev build, two cores, `cargo bench --profile dev --bench bare_call`:
///
/// | kept resident | signals | JavaScript | Python | compiled in |
/// |---|---|---|---|---|
/// | 2 MiB | no | 1,240; 694 | 369; 205 | 16.6 s; 13.8 s |
/// | 0 | yes | 1,673; 782 | 418; 209 | 7.7 s; 6.1 s |
/// | 8 MiB | yes | 1,076; 1,606 | 421; 374 | |
/// | 16 MiB | yes | 1,067; 2,465 | 450; 963 | |
/// | 32 MiB | yes | 1,042; 2,596 | 477; 1,026 | |
/// | 32 MiB | no | 1,024; 2,396 | 429; 1,027 | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// WASI 0.2, and little memory to begin with.
    P2,
    /// WASI 0.2, and much.
    P2Large,
    /// WASI 0.3, and little.
    P3,
    /// WASI 0.3, and much.
    P3Large,
}

impl Profile {
    pub(super) const ALL: [Self; 4] = [Self::P2, Self::P2Large, Self::P3, Self::P3Large];

    /// The one that is made for such a component.
    pub(super) fn of(interface: Interface) -> Self {
        match (interface.wasi, interface.memory > LARGE) {
            (Wasi::P2, false) => Self::P2,
            (Wasi::P2, true) => Self::P2Large,
            (Wasi::P3, false) => Self::P3,
            (Wasi::P3, true) => Self::P3Large,
        }
    }

    pub(super) fn wasi(self) -> Wasi {
        match self {
            Self::P2 | Self::P2Large => Wasi::P2,
            Self::P3 | Self::P3Large => Wasi::P3,
        }
    }

    pub(super) fn is_large(self) -> bool {
        matches!(self, Self::P2Large | Self::P3Large)
    }

    /// Bytes of an instance's memory that are cleared by hand and stay mapped when the slot is used again.
    ///
    /// For small ones, 2 MiB cover what handlers in Rust and C touch; 256 KiB halved the throughput. For large ones, see
    /// above: 16 MiB is where most is gained, and a quarter of what a call of them may have by default, so what is kept
    /// for calls that have ended is at most a quarter of what was set aside for them.
    pub(super) fn keep_resident(self) -> usize {
        if self.is_large() { 16 << 20 } else { 2 << 20 }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = if self.is_large() { "large" } else { "small" };
        write!(f, "{}, {memory} memory", self.wasi())
    }
}
