//! The tile registers of a processor with AMX.

use std::{arch::asm, marker::PhantomData, ops::Range, sync::OnceLock};

use super::super::split::{DEPTH, LEFT_ROWS, Left, Right};

/// Whether this processor has tiles and the system lets this process use them.
pub(in super::super) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_tiles() && permitted())
}

fn has_tiles() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    let features = AMX_BF16 | AMX_TILE;
    is_x86_feature_detected!("avx512f")
        && __cpuid(0).eax >= 7
        && __cpuid_count(7, 0).edx & features == features
}

/// Tiles enlarge what the system saves of a thread, so a process has to ask for them.
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: this call of the system reads no memory of ours; where it is unknown it is refused.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// The tile registers of this thread, configured: eight of 16 rows of 64 bytes. Registers 0 to 3 hold
/// the sums of two tiles of rows by two of columns from one call to the next: compiled code has no use for
/// any of them. Not to be sent: registers belong to a thread.
pub(super) struct Tiles(PhantomData<*const ()>);

/// The configuration that `ldtilecfg` reads: a palette, then the rows and the bytes a row of each tile.
#[repr(C, align(64))]
struct Config([u8; 64]);

impl Config {
    const ALL_FULL: Self = {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        let mut tile = 0;
        while tile < 8 {
            bytes[16 + 2 * tile] = 64;
            bytes[48 + tile] = 16;
            tile += 1;
        }
        Self(bytes)
    };
}

/// The whole of a tile as registers that an assembly block changes.
macro_rules! tile_asm {
    ($($line:literal),* ; $($operands:tt)*) => {
        asm!(
            $($line),*,
            $($operands)*
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, preserves_flags),
        )
    };
}

impl Tiles {
    pub(super) fn new() -> Self {
        assert!(available(), "amx: no tiles");
        // SAFETY: the processor has tiles and the process may use them; the configuration is valid.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &Config::ALL_FULL, options(nostack, readonly)) };
        Self(PhantomData)
    }

    /// Sets the sums to zero.
    #[inline(always)]
    pub(super) fn clear(&self) {
        // SAFETY: `self` says that tiles are configured, and nothing but registers is changed.
        unsafe { tile_asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3";) };
    }

    /// Loads the sums of 32 rows, `stride` apart, of 32 columns.
    ///
    /// # Safety
    /// All of them must be there to read.
    #[inline(always)]
    pub(super) unsafe fn load(&self, y: *mut f32, stride: usize) {
        // SAFETY: `self` says that tiles are configured; the caller answers for the memory.
        unsafe {
            tile_asm!(
                "tileloadd tmm0, [{y} + {s}*1]",
                "tileloadd tmm1, [{y} + {s}*1 + 64]",
                "tileloadd tmm2, [{z} + {s}*1]",
                "tileloadd tmm3, [{z} + {s}*1 + 64]";
                y = in(reg) y, z = in(reg) y.wrapping_add(LEFT_ROWS * stride), s = in(reg) 4 * stride,
            );
        }
    }

    /// Stores the sums as 32 rows, `stride` apart, of 32 columns.
    ///
    /// # Safety
    /// All of them must be there to write, for nobody else.
    #[inline(always)]
    pub(super) unsafe fn store(&self, y: *mut f32, stride: usize) {
        // SAFETY: `self` says that tiles are configured; the caller answers for the memory.
        unsafe {
            tile_asm!(
                "tilestored [{y} + {s}*1], tmm0",
                "tilestored [{y} + {s}*1 + 64], tmm1",
                "tilestored [{z} + {s}*1], tmm2",
                "tilestored [{z} + {s}*1 + 64], tmm3";
                y = in(reg) y, z = in(reg) y.wrapping_add(LEFT_ROWS * stride), s = in(reg) 4 * stride,
            );
        }
    }

    /// Adds the products of one chunk for two tiles of rows, or for the first alone. A part of other work
    /// is done after each of the six, at most three of 16 steps: tiles and vectors have units of their own,
    /// but what waits for tiles fills the window in which a processor looks for something to do.
    #[inline(always)]
    pub(super) fn add(
        &self,
        a: [&Left; 2],
        alone: bool,
        b: &Right,
        other: impl FnMut(Range<usize>),
    ) {
        if alone {
            self.add_one(a[0], b, other);
        } else {
            self.add_two(a, b, other);
        }
    }

    #[inline(always)]
    fn add_two(&self, [a0, a1]: [&Left; 2], b: &Right, mut other: impl FnMut(Range<usize>)) {
        /// Loads the parts that are not there yet and multiplies them.
        macro_rules! product {
            ($steps:expr; $($load:literal),*) => {
                // SAFETY: `self` says that tiles are configured; each factor has three parts of 1 KiB (left)
                // or of twice 1 KiB (right), of which whole tiles are read.
                unsafe {
                    tile_asm!(
                        $($load,)*
                        "tdpbf16ps tmm0, tmm4, tmm6",
                        "tdpbf16ps tmm1, tmm4, tmm7",
                        "tdpbf16ps tmm2, tmm5, tmm6",
                        "tdpbf16ps tmm3, tmm5, tmm7",
                        "/* {a0} {a1} {b} {s} */";
                        a0 = in(reg) a0, a1 = in(reg) a1, b = in(reg) b, s = in(reg) 64usize,
                    );
                }
                other($steps);
            };
        }
        // low · high
        product!(0..3;
            "tileloadd tmm4, [{a0} + {s}*1 + 2048]",
            "tileloadd tmm5, [{a1} + {s}*1 + 2048]",
            "tileloadd tmm6, [{b} + {s}*1]",
            "tileloadd tmm7, [{b} + {s}*1 + 1024]"
        );
        // middle · high
        product!(3..6;
            "tileloadd tmm4, [{a0} + {s}*1 + 1024]",
            "tileloadd tmm5, [{a1} + {s}*1 + 1024]"
        );
        // middle · middle
        product!(6..9;
            "tileloadd tmm6, [{b} + {s}*1 + 2048]",
            "tileloadd tmm7, [{b} + {s}*1 + 3072]"
        );
        // high · middle
        product!(9..12;
            "tileloadd tmm4, [{a0} + {s}*1]",
            "tileloadd tmm5, [{a1} + {s}*1]"
        );
        // high · low
        product!(12..15;
            "tileloadd tmm6, [{b} + {s}*1 + 4096]",
            "tileloadd tmm7, [{b} + {s}*1 + 5120]"
        );
        // high · high
        product!(15..DEPTH / 2;
            "tileloadd tmm6, [{b} + {s}*1]",
            "tileloadd tmm7, [{b} + {s}*1 + 1024]"
        );
    }

    #[inline(always)]
    fn add_one(&self, a0: &Left, b: &Right, mut other: impl FnMut(Range<usize>)) {
        /// As in `add_two`, for one left factor.
        macro_rules! product {
            ($steps:expr; $($load:literal),*) => {
                // SAFETY: as for `add_two`: whole tiles are read of factors that hold all three parts.
                unsafe {
                    tile_asm!(
                        $($load,)*
                        "tdpbf16ps tmm0, tmm4, tmm6",
                        "tdpbf16ps tmm1, tmm4, tmm7",
                        "/* {a0} {b} {s} */";
                        a0 = in(reg) a0, b = in(reg) b, s = in(reg) 64usize,
                    );
                }
                other($steps);
            };
        }
        // low · high
        product!(0..3;
            "tileloadd tmm4, [{a0} + {s}*1 + 2048]",
            "tileloadd tmm6, [{b} + {s}*1]",
            "tileloadd tmm7, [{b} + {s}*1 + 1024]"
        );
        // middle · high
        product!(3..6;
            "tileloadd tmm4, [{a0} + {s}*1 + 1024]"
        );
        // middle · middle
        product!(6..9;
            "tileloadd tmm6, [{b} + {s}*1 + 2048]",
            "tileloadd tmm7, [{b} + {s}*1 + 3072]"
        );
        // high · middle
        product!(9..12;
            "tileloadd tmm4, [{a0} + {s}*1]"
        );
        // high · low
        product!(12..15;
            "tileloadd tmm6, [{b} + {s}*1 + 4096]",
            "tileloadd tmm7, [{b} + {s}*1 + 5120]"
        );
        // high · high
        product!(15..DEPTH / 2;
            "tileloadd tmm6, [{b} + {s}*1]",
            "tileloadd tmm7, [{b} + {s}*1 + 1024]"
        );
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: tiles exist; what they held is of no use to anyone any more.
        unsafe { tile_asm!("tilerelease";) };
    }
}
