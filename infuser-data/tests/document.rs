//! Pools from files of all forms, and from what is not what it seems.

use std::{collections::HashSet, path::Path};

use infuser_data::document::{self, Built, Cursor, Options, Pool, Sources, estimated_tokens};
use lopdf::{
    Document, Object, Stream,
    content::{Content, Operation},
    dictionary,
};

use crate::{
    shared::shared,
    suite::parquet_file::{self, Column},
};

/// A PDF with a page for each text.
fn pdf(pages: &[&str]) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier",
        "Encoding" => "WinAnsiEncoding",
    });
    let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
    let mut kids = Vec::new();
    for text in pages {
        let operations = vec![
            Operation::new("BT", vec![]),
            Operation::new("Tf", vec!["F1".into(), 12.into()]),
            Operation::new("Td", vec![100.into(), 600.into()]),
            Operation::new("Tj", vec![Object::string_literal(*text)]),
            Operation::new("ET", vec![]),
        ];
        let content = Content { operations }.encode().unwrap();
        let content = document.add_object(Stream::new(dictionary! {}, content));
        let page = dictionary! { "Type" => "Page", "Parent" => tree, "Contents" => content };
        kids.push(document.add_object(page).into());
    }
    let node = dictionary! {
        "Type" => "Pages", "Count" => pages.len() as i64, "Kids" => Object::Array(kids),
        "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    };
    document.objects.insert(tree, node.into());
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn build(folder: &Path, min_tokens: usize, max_tokens: usize) -> Built {
    let sources = Sources::find(&[folder.to_path_buf()]).unwrap();
    let options = Options { min_tokens, max_tokens };
    document::build(&sources, options, &estimated_tokens, &|| {}).unwrap()
}

/// File names with the reasons.
fn skipped(built: &Built) -> Vec<(String, &str)> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_string();
    built.report.skipped.iter().map(|file| (name(&file.path), &file.reason[..])).collect()
}

fn contents(built: &Built) -> Vec<&str> {
    built.documents.iter().map(|document| &document.content[..]).collect()
}

#[test]
fn every_form_is_read_in_the_order_of_paths() {
    let folder = tempfile::tempdir().unwrap();
    let html = "<!DOCTYPE html><html><head><title>No</title><script>no()</script></head><body>\
                <h1>Page</h1><p>A <b>bold</b> word.</p><h2>Part</h2><pre><code>x  y</code></pre>\
                </body></html>";
    let pages = pdf(&["First page of the PDF.", "Second page (really)."]);
    write(
        folder.path(),
        &[
            ("z.md", b"\xef\xbb\xbf# Notes\r\n\r\nWords.\r\n"),
            ("a/deep.txt", b"# No heading\n\nin plain text\x07"),
            ("a.html", html.as_bytes()),
            ("b.pdf", &pages),
            ("c", b"No ending, but text."),
            (".hidden/x.md", b"# Hidden"),
        ],
    );
    let built = build(folder.path(), 1, 1000);
    assert_eq!(
        contents(&built),
        [
            "# No heading\n\nin plain text",
            "# Page\n\nA **bold** word.\n\n## Part\n\n```\nx  y\n```",
            "First page of the PDF.\nSecond page (really).",
            "No ending, but text.",
            "# Notes\n\nWords.",
        ]
    );
    let titles: Vec<_> = built.documents.iter().map(|d| d.title_path.as_deref()).collect();
    assert_eq!(titles, [None, Some("Page"), None, None, Some("Notes")]);
    assert_eq!(skipped(&built), []);
    assert_eq!((built.report.files, built.report.chunks), (5, 5));
    let source = folder.path().join("a.html");
    assert_eq!(built.documents[1].source.as_deref(), source.to_str());
    assert_eq!(built.documents[1].doc_id, format!("{}#0", source.display()));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let whole = pdf(&["A page."]);
    write(
        folder.path(),
        &[
            ("binary.md", b"\x00\x01\x02"),
            ("broken.pdf", b"%PDF-1.5\nthis is all there is"),
            ("cut.pdf", &whole[..whole.len() / 3]),
            ("empty.md", b" \n"),
            ("fake.pdf", b"a text"),
            ("good.md", b"Good."),
            ("latin.txt", b"caf\xe9"),
            ("picture.png", b"not really"),
            ("wordless.pdf", &pdf(&[" "])),
        ],
    );
    let built = build(folder.path(), 1, 1000);
    assert_eq!(contents(&built), ["Good."]);
    let found = skipped(&built);
    let expected = [
        ("binary.md", "binary, expected"),
        ("broken.pdf", "not a PDF that can be read"),
        ("cut.pdf", "PDF"),
        ("empty.md", "empty"),
        ("fake.pdf", "not a PDF, though its name says so"),
        ("latin.txt", "not UTF-8 text: byte 3"),
        ("picture.png", "its ending .png"),
        ("wordless.pdf", "a PDF without text"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((name, reason), (file, part)) in found.iter().zip(expected) {
        assert!(name == file && reason.contains(part), "{name}: {reason}");
    }
    let missing = folder.path().join("missing");
    let error = Sources::find(std::slice::from_ref(&missing)).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains(missing.to_str().unwrap()));
}

#[test]
fn deeply_nested_files_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let html = format!("<html>{}deep", "<div>".repeat(900));
    let wide = format!("<html>{}wide", "<i>".repeat(300_000));
    let closed = "<div><p title='</div>'><!-- </div> -->".repeat(2000);
    let closed = format!("<html>{closed}");
    let quotes = format!("{} deep", ">".repeat(20_000));
    let lists = "- ".repeat(20_000) + "deep";
    let arrays = format!("%PDF-1.5\n1 0 obj\n{}", "[".repeat(100_000));
    write(
        folder.path(),
        &[
            ("a.html", html.as_bytes()),
            ("b.html", wide.as_bytes()),
            ("b2.html", closed.as_bytes()),
            ("c.md", quotes.as_bytes()),
            ("d.md", lists.as_bytes()),
            ("e.pdf", arrays.as_bytes()),
        ],
    );
    let built = build(folder.path(), 1, 100_000);
    assert_eq!(contents(&built), ["deep", &quotes, &lists]);
    let found = skipped(&built);
    assert_eq!(
        found.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>(),
        ["b.html", "b2.html", "e.pdf"]
    );
    assert!(found[0].1.contains("more than 200000 tags"), "{found:?}");
    assert!(found[1].1.contains("nested deeper than 1000"), "{found:?}");
}

/// Any one byte of a PDF may be wrong; nothing worse than a reason comes of it.
#[test]
fn a_damaged_pdf_never_stops_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let whole = pdf(&["Some text.", "More text."]);
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        write(folder.path(), &[(&format!("{at:05}.pdf"), &bytes)]);
    }
    write(folder.path(), &[("whole.pdf", &whole), ("zlast.md", b"The last.")]);
    let built = build(folder.path(), 1, 1000);
    assert!(contents(&built).ends_with(&["The last."]));
    let files = whole.len().div_ceil(7) + 2;
    assert_eq!(built.report.files + built.report.skipped.len(), files);
}

#[test]
fn duplicates_are_dropped_and_files_count_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a.md", b"Same text.\n"), ("b.md", b"Same text."), ("c.md", b"-")]);
    let paths = [folder.path().to_path_buf(), folder.path().join("a.md")];
    let sources = Sources::find(&paths).unwrap();
    assert_eq!(sources.len(), 3);
    let built = build(folder.path(), 1, 100);
    assert_eq!(contents(&built), ["Same text."]);
    assert_eq!((built.report.duplicates, built.report.near_empty), (1, 1));
}

#[test]
fn a_pool_is_read_back_from_lines_gzip_and_a_list() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("in/a.md", b"# A\n\nText one.\n\n# B\n\nText two.")]);
    let built = build(&folder.path().join("in"), 1, 5);
    assert_eq!(built.documents.len(), 2);
    let lines: Vec<_> = built.documents.iter().map(|d| serde_json::to_string(d).unwrap()).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, lines.join("\n").as_bytes()).unwrap();
    let list = format!("[{}]", lines.join(","));
    let files = [
        ("lines", lines.join("\n").into_bytes()),
        ("gzip", gzip.finish().unwrap()),
        ("list", list.into_bytes()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Pool::read(&path).unwrap().documents(), built.documents, "{name}");
    }
}

#[test]
fn a_pool_is_read_from_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.jsonl");
    let columns = |second: &str| {
        [
            Column::integers("doc_id", &[7, 8]),
            Column::texts("content", &["First.", second]),
            Column::texts("field", &["Math", ""]),
            Column::lists("other", &[&["x"], &[]]),
        ]
    };
    std::fs::write(&path, parquet_file::write(&columns("Second."))).unwrap();
    let pool = Pool::read(&path).unwrap();
    let found: Vec<_> = pool
        .documents()
        .iter()
        .map(|d| (&d.doc_id[..], &d.content[..], d.field.as_deref()))
        .collect();
    assert_eq!(found, [("7", "First.", Some("Math")), ("8", "Second.", None)]);
    std::fs::write(&path, parquet_file::write(&columns(""))).unwrap();
    let message = Pool::read(&path).unwrap_err().to_string();
    assert!(message.ends_with("record 2: `content` is missing, and so is `text`"), "{message}");
}

/// The chapters of the book, from its archive.
fn unpack(archive: &Path, folder: &Path) {
    let status = std::process::Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(folder)
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn the_rust_book_becomes_a_pool() {
    let Some(archive) = shared("data/documents/rust-book-src-md.tar.gz") else { return };
    let folder = tempfile::tempdir().unwrap();
    unpack(&archive, folder.path());
    let built = build(folder.path(), 50, 1024);
    println!("{:?}", built.report);
    assert_eq!((built.report.files, built.report.skipped.len()), (112, 0));
    assert!(built.documents.iter().all(|document| {
        let tokens = estimated_tokens(&document.content);
        document.token_count == Some(tokens) && (50..=1024).contains(&tokens)
    }));
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(threads.install(|| build(folder.path(), 50, 1024)), built);
    let pool = Pool::new(built.documents).unwrap();
    let batch = Cursor::new(&pool, 7).next_batch(64).unwrap();
    assert_eq!(batch.iter().collect::<HashSet<_>>().len(), 64);
}
