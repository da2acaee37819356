//! From sections to documents of a good size.

use std::ops::Range;

use super::{
    markdown::Section,
    split::{Atom, Scale, runs, shown},
};

/// A document to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) content: String,
    pub(super) titles: Vec<String>,
    pub(super) tokens: usize,
}

/// What became of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    pub(super) chunks: Vec<Chunk>,
    /// Parts that were dropped as too short, or without a letter or digit.
    pub(super) near_empty: usize,
    /// Characters that by themselves have too many tokens.
    pub(super) left_out: usize,
}

/// Atoms that follow each other, on the way to a chunk.
#[derive(Debug, Clone)]
struct Unit<'a> {
    atoms: Range<usize>,
    /// Headings that all of it is under.
    titles: &'a [String],
    /// The sum of the atoms' counts. What joins them may take a token more each.
    tokens: usize,
}

impl Unit<'_> {
    /// The most tokens that are expected of it and what follows it together.
    fn with(&self, next: &Unit<'_>) -> usize {
        let joints = next.atoms.end - self.atoms.start - 1;
        self.tokens.saturating_add(next.tokens).saturating_add(joints)
    }
}

/// Divides a text into chunks of `min` to `scale.max` tokens.
///
/// A section that is too long becomes several chunks. Short sections that follow each other become
/// one chunk up to half of the maximum if they are in the same section one level up, or one is in the
/// other.
pub(super) fn chunks(scale: Scale<'_>, sections: &[Section], min: usize) -> Chunks {
    let (mut result, mut units) = (Chunks::default(), Vec::new());
    // The headings above each atom.
    let (mut atoms, mut titles) = (Vec::new(), Vec::<&[String]>::new());
    for section in sections {
        let first = atoms.len();
        for block in &section.blocks {
            result.left_out += scale.divide(block, &mut atoms);
        }
        titles.resize(atoms.len(), &section.titles[..]);
        for run in runs(&atoms[first..], scale.max) {
            let run = first + run.start..first + run.end;
            let tokens = sum(&atoms[run.clone()]);
            units.push(Unit { atoms: run, titles: &section.titles, tokens });
        }
    }
    let units = join(units, |a, b| {
        let size = a.with(b);
        let small = a.tokens < min || b.tokens < min || size <= scale.max / 2;
        small && size <= scale.max && related(a.titles, b.titles)
    });
    // What is still too short would be dropped. Better a neighbour that is less related, and if the
    // two are too long together, they are divided again into about the same lengths.
    let units = join(units, |a, b| {
        let short = a.tokens < min || b.tokens < min;
        short && a.tokens.saturating_add(b.tokens) <= scale.max.saturating_mul(2)
    });
    for unit in units {
        let made = finish(scale, &atoms[unit.atoms.clone()], &titles[unit.atoms], min);
        result.chunks.extend(made.chunks);
        result.near_empty += made.near_empty;
    }
    result
}

/// Joins each unit to the one before it where `joins` says so.
fn join<'a>(units: Vec<Unit<'a>>, joins: impl Fn(&Unit<'_>, &Unit<'_>) -> bool) -> Vec<Unit<'a>> {
    let mut joined: Vec<Unit<'a>> = Vec::with_capacity(units.len());
    for unit in units {
        match joined.last_mut() {
            Some(last) if joins(last, &unit) => {
                last.atoms.end = unit.atoms.end;
                last.tokens = last.tokens.saturating_add(unit.tokens);
                last.titles = &last.titles[..shared(last.titles, unit.titles)];
            }
            _ => joined.push(unit),
        }
    }
    joined
}

/// Whether two sections are in the same section one level up, or one is in the other.
fn related(a: &[String], b: &[String]) -> bool {
    shared(a, b) + 1 >= a.len().max(b.len())
}

fn shared(a: &[String], b: &[String]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Counts a unit as it will stand, and makes a chunk of it, or several if it is too long.
fn finish(scale: Scale<'_>, atoms: &[Atom], titles: &[&[String]], min: usize) -> Chunks {
    let (mut result, mut parts) = (Chunks::default(), Vec::new());
    match atoms {
        [first, .., last] if sum(atoms) <= scale.max => {
            let whole = scale.atom(first.range.start..last.range.end);
            if whole.tokens <= scale.max {
                parts.push(whole)
            } else {
                divide(scale, atoms, &mut parts)
            }
        }
        _ => divide(scale, atoms, &mut parts),
    }
    let mut own = atoms.iter().zip(titles).peekable();
    for part in parts {
        let within = |(atom, _): &(&Atom, &&[String])| atom.range.start < part.range.end;
        let mut above: Option<&[String]> = None;
        while let Some((_, titles)) = own.next_if(within) {
            above = Some(above.map_or(titles, |above| &above[..shared(above, titles)]));
        }
        let content = shown(scale.text, part.range);
        if content.is_empty() {
            continue;
        }
        if part.tokens < min || !content.contains(char::is_alphanumeric) {
            result.near_empty += 1;
            continue;
        }
        let (content, titles) = (content.to_string(), above.unwrap_or_default().to_vec());
        result.chunks.push(Chunk { content, titles, tokens: part.tokens });
    }
    result
}

fn divide(scale: Scale<'_>, atoms: &[Atom], parts: &mut Vec<Atom>) {
    for run in runs(atoms, scale.max) {
        scale.settle(&atoms[run], parts);
    }
}

fn sum(atoms: &[Atom]) -> usize {
    atoms.iter().fold(0, |sum, atom| sum.saturating_add(atom.tokens))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::markdown;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn of(text: &str, min: usize, max: usize) -> Chunks {
        let scale = Scale { text, count: &words, max };
        chunks(scale, &markdown::sections(text), min)
    }

    fn shown_chunks(chunks: &Chunks) -> Vec<(usize, String, &str)> {
        let show = |chunk: &Chunk| chunk.titles.join(" > ");
        chunks.chunks.iter().map(|chunk| (chunk.tokens, show(chunk), &chunk.content[..])).collect()
    }

    const BOOK: &str = "\
# Book

Short words about it.

## First

A paragraph of some length that is here to be long enough.

### Part one

Two words.

### Part two

More words.

## Second

Another paragraph with a number of words, which is longer. It has two sentences that are long.

```rust
fn main() {

    let code = \"stays together\";
}
```

# Other book

End.
";

    #[test]
    fn a_small_book_becomes_these_chunks() {
        let chunks = of(BOOK, 6, 24);
        let expected = [
            (6, "Book", "# Book\n\nShort words about it."),
            (
                24,
                "Book > First",
                "## First\n\nA paragraph of some length that is here to be long enough.\n\n\
                 ### Part one\n\nTwo words.\n\n### Part two\n\nMore words.",
            ),
            (
                19,
                "Book > Second",
                "## Second\n\nAnother paragraph with a number of words, which is longer. It has \
                 two sentences that are long.",
            ),
            (
                15,
                "",
                "```rust\nfn main() {\n\n    let code = \"stays together\";\n}\n```\n\n\
                 # Other book\n\nEnd.",
            ),
        ];
        let expected = expected.map(|(tokens, titles, text)| (tokens, titles.to_string(), text));
        assert_eq!(shown_chunks(&chunks), expected);
        assert_eq!((chunks.near_empty, chunks.left_out), (0, 0));
    }

    #[test]
    fn short_texts_are_dropped_and_counted() {
        let chunks = of("# Title\n\nToo few words.", 6, 24);
        assert_eq!((chunks.chunks.len(), chunks.near_empty), (0, 1));
        let chunks = of("***\n\n- - -\n", 0, 24);
        assert_eq!((chunks.chunks.len(), chunks.near_empty), (0, 1));
        assert_eq!(of("", 0, 24), Chunks::default());
    }

    #[test]
    fn a_long_section_becomes_chunks_of_about_the_same_length() {
        let paragraph = "One two three four five six seven eight nine ten. ".repeat(5);
        let text = format!("# T\n\n{}", format!("{paragraph}\n\n").repeat(9));
        let chunks = of(&text, 20, 200);
        let lengths: Vec<_> = chunks.chunks.iter().map(|chunk| chunk.tokens).collect();
        assert_eq!(lengths, [152, 150, 150]);
        assert!(chunks.chunks.iter().all(|chunk| chunk.titles == ["T"]));
    }

    /// Markdown and what is like it, with long words, wide letters and deep quotes.
    fn anything() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[a-zé世🦀.!]{1,12}",
            2 => Just(" ".to_string()),
            1 => Just("\n".to_string()),
            1 => Just("\n\n".to_string()),
            1 => "\n\n#{1,6} [a-z ]{0,9}\n\n",
            1 => "\n```\n[a-z\n]{0,20}\n```\n",
            1 => Just("\n\n| a | b |\n|---|---|\n| c | d |\n\n".to_string()),
            1 => Just("\n- x\n  - y\n\n> > z\n".to_string()),
            1 => Just("\n[l]: http://x\n".to_string()),
            1 => "[ -~\t\u{a0}]{0,30}",
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    fn letters(text: &str) -> String {
        text.chars().filter(|letter| !letter.is_whitespace()).collect()
    }

    proptest! {
        #[test]
        fn nothing_is_empty_or_too_long_or_lost(
            text in anything(), min in 0_usize..20, more in 0_usize..40, counter in 0_usize..4,
        ) {
            let max = (min + more).max(1);
            let count = move |text: &str| match counter {
                0 => text.split_whitespace().count(),
                1 => text.chars().count(),
                2 => text.len().div_ceil(4),
                // No tokenizer is as odd: a longer text may have fewer tokens.
                _ => text.bytes().fold(7_usize, |sum, byte| (sum * 31 + usize::from(byte)) % 61),
            };
            let scale = Scale { text: &text, count: &count, max };
            for sections in [markdown::sections(&text), markdown::paragraphs(&text)] {
                let found = chunks(scale, &sections, min);
                for chunk in &found.chunks {
                    prop_assert!(!chunk.content.trim().is_empty());
                    prop_assert_eq!(count(&chunk.content), chunk.tokens);
                    prop_assert!(chunk.tokens <= max && chunk.tokens >= min);
                }
                if found.near_empty == 0 && found.left_out == 0 {
                    let all = found.chunks.iter().map(|chunk| letters(&chunk.content));
                    prop_assert_eq!(all.collect::<String>(), letters(&text));
                }
            }
        }

        #[test]
        fn the_text_is_counted_a_bounded_number_of_times(text in anything(), max in 1_usize..40) {
            let counted = std::sync::atomic::AtomicUsize::new(0);
            let count = |text: &str| {
                counted.fetch_add(text.len(), std::sync::atomic::Ordering::Relaxed);
                text.split_whitespace().count()
            };
            let scale = Scale { text: &text, count: &count, max };
            chunks(scale, &markdown::sections(&text), 0);
            prop_assert!(counted.into_inner() <= 16 * text.len());
        }
    }
}
