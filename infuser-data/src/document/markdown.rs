//! The structure of a text: sections under headings, and the blocks of each.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Letters of a title that are kept. A title is repeated in every document below it.
const TITLE: usize = 200;

/// What a block is, as far as that says how it may be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sentences; where a line ends means nothing.
    Prose,
    /// Code, a table, a list, …: lines belong together.
    Lines,
}

/// A part of the text between which it is best divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Bytes of the text. Blocks follow each other without gaps.
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

/// What stands between two headings, with the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// The heading and those above it, outermost first.
    pub(super) titles: Vec<String>,
    pub(super) blocks: Vec<Block>,
}

/// The sections of a Markdown text. Together their blocks are the whole text.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_MATH
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let (mut sections, mut open) = (vec![Section::default()], Vec::<(u8, String)>::new());
    let (mut depth, mut title, mut last_end) = (0_usize, None::<String>, 0);
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let top = match &event {
            Event::Start(_) => {
                depth += 1;
                depth == 1
            }
            Event::End(_) => {
                depth -= 1;
                false
            }
            _ => depth == 0,
        };
        if top {
            if let Event::Start(Tag::Heading { .. }) = &event {
                title = Some(String::new());
                sections.push(Section::default());
            }
            let kind = match &event {
                Event::Start(Tag::Paragraph | Tag::Heading { .. }) => Kind::Prose,
                _ => Kind::Lines,
            };
            let start = range.start.max(last_end);
            last_end = start;
            add(&mut sections, Block { range: start..start, kind });
        }
        match event {
            Event::Text(part) | Event::Code(part) | Event::InlineMath(part) => {
                if let Some(title) = &mut title {
                    title.push_str(&part);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(title) = &mut title {
                    title.push(' ');
                }
            }
            Event::End(TagEnd::Heading(level)) if depth == 0 => {
                let words = title.take().unwrap_or_default();
                let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
                open.retain(|(above, _)| *above < level as u8);
                open.push((level as u8, words.chars().take(TITLE).collect()));
                let titles = open.iter().map(|(_, title)| title.clone());
                if let Some(section) = sections.last_mut() {
                    section.titles = titles.filter(|title| !title.is_empty()).collect();
                }
            }
            _ => {}
        }
    }
    close_gaps(&mut sections, text.len());
    sections
}

/// The sections of a text without headings: one, with a block for each paragraph.
pub(super) fn paragraphs(text: &str) -> Vec<Section> {
    let starts = super::split::after_blank_lines(text);
    let block = |start| Block { range: start..start, kind: Kind::Prose };
    let blocks = std::iter::once(0).chain(starts).map(block).collect();
    let mut sections = vec![Section { titles: Vec::new(), blocks }];
    close_gaps(&mut sections, text.len());
    sections
}

fn add(sections: &mut [Section], block: Block) {
    if let Some(section) = sections.last_mut() {
        section.blocks.push(block);
    }
}

/// Lets each block end where the next begins. What the parser passes over in silence, like the
/// definition of a link, so belongs to the block before it.
fn close_gaps(sections: &mut Vec<Section>, len: usize) {
    sections.retain(|section| !section.blocks.is_empty());
    if sections.is_empty() && len > 0 {
        let block = Block { range: 0..0, kind: Kind::Prose };
        sections.push(Section { titles: Vec::new(), blocks: vec![block] });
    }
    let mut blocks: Vec<_> = sections.iter_mut().flat_map(|section| &mut section.blocks).collect();
    if let Some(first) = blocks.first_mut() {
        first.range.start = 0;
    }
    let mut end = len;
    for block in blocks.into_iter().rev() {
        block.range.end = end;
        end = block.range.start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_make_sections_and_blocks_cover_the_text() {
        let text = "Intro.\n\n# Book *one*\n\nA.\n\n[x]: http://y\n\n### Deep `c`\n\n```sh\n# no heading\n\
                    ```\n\n## Second {#id}\n\n> # quoted\n\n- a\n\n- b\n\n| a |\n|---|\n| b |\n";
        let found = sections(text);
        let titles: Vec<_> = found.iter().map(|section| section.titles.join(" > ")).collect();
        assert_eq!(titles, ["", "Book one", "Book one > Deep c", "Book one > Second"]);
        let blocks: Vec<_> = found.iter().flat_map(|section| &section.blocks).collect();
        let parts: Vec<_> = blocks.iter().map(|block| text[block.range.clone()].trim()).collect();
        assert_eq!(
            parts,
            [
                "Intro.",
                "# Book *one*",
                "A.\n\n[x]: http://y",
                "### Deep `c`",
                "```sh\n# no heading\n```",
                "## Second {#id}",
                "> # quoted",
                "- a\n\n- b",
                "| a |\n|---|\n| b |"
            ]
        );
        let whole: String = blocks.iter().map(|block| &text[block.range.clone()]).collect();
        assert_eq!(whole, text);
        assert_eq!(blocks[2].kind, Kind::Prose);
        assert!(blocks[6..].iter().all(|block| block.kind == Kind::Lines));
    }

    #[test]
    fn paragraphs_are_blocks_of_plain_text() {
        let found = paragraphs("a\nb\n \n\nc\n");
        let ranges: Vec<_> = found[0].blocks.iter().map(|block| block.range.clone()).collect();
        assert_eq!(ranges, [0..7, 7..9]);
        assert!(sections("").is_empty());
        assert_eq!(sections("[a]: b")[0].blocks[0].range, 0..6);
    }
}
