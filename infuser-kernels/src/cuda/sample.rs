//! The launch of `sample.cu`. Meaning is that of [`crate::ops::sample`]; the uniform number is drawn on the
//! device, from the same counter generator.

use std::collections::BTreeSet;

use super::{
    Driver, Kernel, Memory, Slice,
    launch::{Launch, size},
    memory::check_len,
};
use crate::{
    error::Result,
    ops::sample::{self, Drawn, Sampling, Uniform},
    rng::Stream,
};

/// A block owns a draw.
const BLOCK: u32 = 512;
/// Words a draw: `WORDS` of the source.
const WORDS: usize = 13;
/// Numbers a drawn token: `logp`, `raw_logp`, `entropy`.
const VALUES: usize = 3;

/// One token to draw, as [`sample::Draw`] with the uniform number named instead of given.
#[derive(Debug, Clone, Copy)]
pub struct Draw<'a> {
    /// The row of the logits; several draws may name one.
    pub row: usize,
    /// How.
    pub sampling: Sampling,
    /// The uniform number is draw `index` of this stream.
    pub stream: Stream,
    /// See `stream`.
    pub index: u64,
    /// The penalty r > 0 on tokens seen before, and those tokens; `None` for no penalty.
    pub penalty: Option<(f32, &'a [u32])>,
}

impl<'a> Draw<'a> {
    /// The same draw on the CPU.
    pub fn on_cpu(&self) -> sample::Draw<'a> {
        let Self { row, sampling, stream, index, penalty } = *self;
        sample::Draw { row, sampling, uniform: Uniform::Of(stream, index), penalty }
    }

    /// The words of the kernel; the seen tokens lie at `seen`.
    fn words(&self, row: u32, vocab: u32, [begin, end]: [u32; 2]) -> [u32; WORDS] {
        let everything = (vocab, 1.0, 0.0);
        let (top_k, top_p, min_p) = match self.sampling {
            Sampling::Greedy => everything,
            Sampling::Random { top_k, top_p, min_p, .. } => {
                let top_k = top_k.and_then(|k| u32::try_from(k).ok()).unwrap_or(vocab);
                (top_k, top_p, min_p)
            }
        };
        let penalty = self.penalty.map_or(1.0, |(penalty, _)| penalty);
        let [key_low, key_high] = self.stream.key();
        [
            row,
            u32::from(self.sampling == Sampling::Greedy),
            self.sampling.temperature().to_bits(),
            top_k,
            top_p.to_bits(),
            min_p.to_bits(),
            penalty.to_bits(),
            begin,
            end,
            key_low,
            key_high,
            self.index as u32,
            (self.index >> 32) as u32,
        ]
    }
}

/// Drawn tokens on the device.
#[derive(Debug)]
pub struct Tokens {
    /// The ids, one a draw.
    pub ids: Memory<u32>,
    values: Memory<f32>,
}

impl Tokens {
    /// All that is known of each.
    ///
    /// # Errors
    /// As [`Memory::download`].
    pub fn download(&self) -> Result<Vec<Drawn>> {
        let values = self.values.download()?;
        let drawn = |(token, &[logp, raw_logp, entropy]): (u32, &[f32; VALUES])| Drawn {
            token,
            logp,
            raw_logp,
            entropy,
        };
        Ok(self.ids.download()?.into_iter().zip(values.as_chunks().0).map(drawn).collect())
    }
}

/// Draws a token for each of `draws`, in their order: the token that [`sample::draw`] draws from the
/// same logits, but where the uniform number falls within rounding of the border between two. Takes
/// room for the logits of every draw.
///
/// # Shapes
/// `logits`: `[N, V]`, which is `shape`, with V at least 1.
///
/// # Errors
/// As [`sample::draw`]; [`crate::Error::Shape`] for logits of another length;
/// [`crate::Error::Memory`] without that room; [`crate::Error::Launch`] if the driver refuses.
pub fn draw(
    driver: &Driver,
    logits: Slice<'_, f32>,
    shape: [usize; 2],
    draws: &[Draw<'_>],
) -> Result<Tokens> {
    const OP: &str = "cuda::sample::draw";
    check_len(OP, "logits", logits.len, &shape)?;
    let vocab = size(OP, "the vocabulary", shape[1])?;
    let (mut words, mut seen) = (Vec::with_capacity(draws.len() * WORDS), Vec::<u32>::new());
    for draw in draws {
        sample::check(OP, &draw.on_cpu(), shape)?;
        let begin = size(OP, "tokens seen", seen.len())?;
        // Each token once: two threads may not write one logit.
        seen.extend(draw.penalty.iter().flat_map(|(_, seen)| *seen).collect::<BTreeSet<_>>());
        let end = size(OP, "tokens seen", seen.len())?;
        words.extend(draw.words(size(OP, "row", draw.row)?, vocab, [begin, end]));
    }
    let (words, seen) = (Memory::upload(driver, &words)?, Memory::upload(driver, &seen)?);
    let mut scratch = Memory::<f32>::unset(driver, draws.len() * shape[1])?;
    let mut ids = Memory::<u32>::unset(driver, draws.len())?;
    let mut values = Memory::<f32>::unset(driver, draws.len() * VALUES)?;
    let arguments = [
        logits.into(),
        words.slice().into(),
        seen.slice().into(),
        scratch.slice_mut().into(),
        ids.slice_mut().into(),
        values.slice_mut().into(),
        vocab.into(),
    ];
    let grid = [draws.len(), 1];
    let launch = Launch { kernel: Kernel::Sample, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: logits hold `shape`; every draw names one of its rows and seen tokens below the vocabulary,
    // as checked above, and its part of `seen`; all other memory has the header's sizes for this many
    // draws and was made here, so nothing overlaps it.
    unsafe { driver.launch(&launch) }?;
    Ok(Tokens { ids, values })
}
