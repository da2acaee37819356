//! HTML to Markdown.

use std::collections::HashMap;

use htmd::HtmlToMarkdown;

use super::guard;

/// The most bytes of a page.
const MAX_BYTES: usize = 32 << 20;
/// The most tags of a page.
const MAX_TAGS: usize = 200_000;
/// The most elements in each other. The decoder's time grows with the square of it.
const MAX_DEPTH: usize = 1000;
/// Stack for the decoder, and for each level of a page, with room to spare.
const STACK: usize = 16 << 20;
const STACK_OF_LEVEL: usize = 4 << 10;
/// What a page has besides its text.
const NOT_TEXT: [&str; 7] = ["head", "script", "style", "noscript", "template", "svg", "iframe"];
/// Elements that hold nothing, or that end by themselves where the next begins.
const UNCLOSED: [&str; 29] = [
    "area", "base", "br", "col", "colgroup", "dd", "dt", "embed", "hr", "img", "input", "li",
    "link", "meta", "optgroup", "option", "p", "param", "rp", "rt", "source", "tbody", "td",
    "tfoot", "th", "thead", "tr", "track", "wbr",
];

/// The Markdown of a page, or why there is none.
pub(super) fn markdown(html: &str) -> Result<String, String> {
    if html.len() > MAX_BYTES {
        return Err(format!("HTML of more than {MAX_BYTES} bytes, the most that is read"));
    }
    let size = Size::of(html);
    if size.tags > MAX_TAGS {
        return Err(format!("HTML of more than {MAX_TAGS} tags, the most that is read"));
    }
    if size.depth > MAX_DEPTH {
        return Err(format!("HTML nested deeper than {MAX_DEPTH} elements, the most that is read"));
    }
    // The decoder calls itself for each level. The depth is an estimate; tags are a sure limit of it.
    guard::run(STACK + size.tags * STACK_OF_LEVEL, || {
        let converter = HtmlToMarkdown::builder().skip_tags(NOT_TEXT.to_vec()).build();
        converter.convert(html).map_err(|error| format!("not HTML that can be read: {error}"))
    })
}

/// How large a page is to its decoder.
struct Size {
    /// Tags that begin an element.
    tags: usize,
    /// The most elements that were begun and not ended at any place, but for those in `UNCLOSED`.
    depth: usize,
}

impl Size {
    fn of(html: &str) -> Self {
        let (mut size, mut open, mut depth) = (Self { tags: 0, depth: 0 }, HashMap::new(), 0);
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            rest = &rest[at + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
                continue;
            }
            let ends = rest.starts_with('/');
            rest = rest.strip_prefix('/').unwrap_or(rest);
            if !rest.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
                continue;
            }
            size.tags += usize::from(!ends);
            let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '>' | '/');
            let name = rest[..rest.find(is_end).unwrap_or(rest.len())].to_ascii_lowercase();
            rest = after_attributes(&rest[name.len()..]);
            if UNCLOSED.contains(&&name[..]) {
                continue;
            }
            let count: &mut usize = open.entry(name).or_insert(0);
            match ends {
                false => (*count, depth) = (*count + 1, depth + 1),
                true if *count > 0 => (*count, depth) = (*count - 1, depth - 1),
                true => {}
            }
            size.depth = size.depth.max(depth);
        }
        size
    }
}

/// What follows the end of a tag, which is not one in quotes.
fn after_attributes(tag: &str) -> &str {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return &tag[at + 1..],
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_elements() {
        for (html, tags, depth) in [
            ("", 0, 0),
            ("a < b </c>", 0, 0),
            ("<p>a<p>b<br><ul><li>c<li>d</ul>", 6, 1),
            ("<div><DIV>x</div></div><div>", 3, 2),
            ("<div><a href='</a>'><!--</div>--></a></x>", 2, 2),
        ] {
            let size = Size::of(html);
            assert_eq!((size.tags, size.depth), (tags, depth), "{html}");
        }
    }

    #[test]
    fn tables_lists_and_code_stay() {
        let html = "<style>no</style><table><tr><th>a<th>b<tr><td>c<td>d</table><ul><li>x</ul>\
                    <pre><code class=\"language-rust\">let a;\n  b</code></pre>";
        let expected = "| a | b |\n| - | - |\n| c | d |\n\n*   x\n\n```rust\nlet a;\n  b\n```";
        assert_eq!(markdown(html).unwrap(), expected);
    }
}
