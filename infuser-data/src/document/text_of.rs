//! The text of a file: Markdown, plain text, HTML or PDF, by its ending and its content.

use std::path::Path;

use lopdf::{LoadOptions, Object};

use super::{
    guard, html,
    markdown::{self, Section},
    sources::Source,
};
use crate::files;

/// The most bytes of one file.
const MAX_BYTES: u64 = 256 << 20;
/// The most bytes of text of a PDF, and of what one of its pages or streams unpacks to.
const MAX_PDF_TEXT: usize = 64 << 20;
const MAX_STREAM: usize = 16 << 20;
/// Pages of a PDF that are read together.
const PAGES: usize = 32;
/// Stack for a decoder.
const STACK: usize = 16 << 20;
/// A text with its structure.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) sections: Vec<Section>,
    /// What could not be read of the file.
    pub(super) missing: Option<String>,
}

enum Form {
    Markdown,
    Plain,
    Html,
    Pdf,
}

/// Reads a file, or says why it is skipped.
pub(super) fn read(source: &Source) -> Result<Text, String> {
    let path = &source.path;
    if path.to_str().is_none() {
        return Err("its name is not UTF-8".into());
    }
    if !path.is_file() {
        return Err("not a file that can be read".into());
    }
    let bytes = files::read_at_most(path, MAX_BYTES).map_err(|error| match error {
        crate::Error::Io { source, .. } => source.to_string(),
        crate::Error::File { problem, .. } => problem,
        other => other.to_string(),
    })?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    if bytes.trim_ascii().is_empty() {
        return Err("empty".into());
    }
    let form = form(source, bytes)?;
    if let Form::Pdf = form {
        let (text, missing) = guard::run(STACK, || pdf_text(bytes))?;
        let text = clean(&text);
        return Ok(Text { sections: markdown::paragraphs(&text), text, missing });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        format!("not UTF-8 text: byte {} is where it breaks", error.valid_up_to())
    })?;
    let text = match form {
        Form::Html => clean(&html::markdown(text)?),
        _ => clean(text),
    };
    let sections = match form {
        Form::Plain => markdown::paragraphs(&text),
        _ => markdown::sections(&text),
    };
    Ok(Text { text, sections, missing: None })
}

fn form(source: &Source, bytes: &[u8]) -> Result<Form, String> {
    // The mark of a PDF may stand behind other bytes.
    if bytes[..bytes.len().min(1024)].windows(5).any(|window| window == b"%PDF-") {
        return Ok(Form::Pdf);
    }
    let ending = ending(&source.path);
    if ending == "pdf" {
        return Err("not a PDF, though its name says so".into());
    }
    if bytes.contains(&0) {
        return Err("binary, expected Markdown, text, HTML or PDF".into());
    }
    let start = bytes.trim_ascii_start();
    let begins =
        |with: &[u8]| start.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let page = begins(b"<!doctype html") || begins(b"<html");
    match ending.as_str() {
        "md" | "markdown" | "mdown" | "mkd" | "mdx" => Ok(Form::Markdown),
        "html" | "htm" | "xhtml" => Ok(Form::Html),
        _ if page => Ok(Form::Html),
        "txt" | "text" | "" => Ok(Form::Plain),
        _ if !source.found => Ok(Form::Plain),
        other => Err(format!("its ending .{other} is not that of Markdown, text, HTML or PDF")),
    }
}

/// The ending of a name in small letters; that before `.gz`, as such files are unpacked.
fn ending(path: &Path) -> String {
    let of = |path: &Path| path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match of(path) {
        Some(ending) if ending == "gz" => of(Path::new(path.file_stem().unwrap_or_default())),
        ending => ending,
    }
    .unwrap_or_default()
}

/// One kind of line end, and no characters that neither print nor lay out text.
fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let keep = |letter: &char| !letter.is_control() || matches!(letter, '\n' | '\t');
    text.chars().filter(keep).collect()
}

/// The text, and what of it is missing.
fn pdf_text(bytes: &[u8]) -> Result<(String, Option<String>), String> {
    let damaged = |error: lopdf::Error| format!("not a PDF that can be read: {error}");
    let options = LoadOptions { max_decompressed_size: Some(MAX_STREAM), ..LoadOptions::default() };
    let document = lopdf::Document::load_mem_with_options(bytes, options).map_err(damaged)?;
    if document.is_encrypted() {
        return Err("an encrypted PDF".into());
    }
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    let (mut text, mut failed) = (String::new(), 0);
    for pages in pages.chunks(PAGES) {
        for part in document.extract_text_chunks_with_limit(pages, MAX_STREAM) {
            match part {
                Ok(part) => text.push_str(&part),
                Err(_) => failed += 1,
            }
        }
        if text.len() > MAX_PDF_TEXT {
            return Err(format!("a PDF of more than {MAX_PDF_TEXT} bytes of text"));
        }
        text.push('\n');
    }
    if text.trim().is_empty() {
        let pictures = document.objects.values().any(is_picture);
        let why = if failed > 0 { "its text cannot be decoded" } else { "there is none" };
        let hint = if pictures { "; it has pictures, so it may be a scan" } else { "" };
        return Err(format!("a PDF without text: {why}{hint}"));
    }
    let missing = (failed > 0).then(|| format!("{failed} pieces of its text cannot be decoded"));
    Ok((text, missing))
}

fn is_picture(object: &Object) -> bool {
    let subtype = object.as_stream().ok().and_then(|stream| stream.dict.get(b"Subtype").ok());
    subtype.and_then(|subtype| subtype.as_name().ok()) == Some(b"Image")
}
