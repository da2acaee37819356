//! `infuser docs build`.

use std::fmt::Write as _;

use infuser_data::{
    document::{self, Options, Report, SkippedFile, Sources},
    files,
    tokenizer::Tokenizer,
};

use crate::{
    args::DocsBuild,
    failure::Failure,
    report::{grouped, progress},
    say::say,
};

pub(crate) fn build(args: &DocsBuild) -> Result<(), Failure> {
    let options = Options { min_tokens: args.min_tokens, max_tokens: args.max_tokens };
    let sources = Sources::find(&args.paths)?;
    let tokenizer = args.tokenizer.as_deref().map(Tokenizer::load).transpose()?;
    // Before the work rather than after it.
    let mut file = files::Writer::create(&args.out)?;
    let count = |text: &str| match &tokenizer {
        None => document::estimated_tokens(text),
        Some(tokenizer) => tokenizer.count(text),
    };
    let bar = progress(sources.len(), "files");
    let built = document::build(&sources, options, &count, &|| bar.inc(1));
    bar.finish_and_clear();
    let built = built?;
    say(table(&built.report, args.tokenizer.is_none()).trim_end());
    if built.documents.is_empty() {
        let what = if built.report.files == 0 { "no file could be read" } else { "no document" };
        return Err(Failure::stopped(format!("{what}: {} is not written", args.out.display())));
    }
    for document in &built.documents {
        file.line(document)?;
    }
    file.finish()?;
    say(format_args!("written to {}", args.out.display()));
    Ok(())
}

fn table(report: &Report, estimated: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |count: usize, what: &str| {
        let _ = writeln!(text, "{:>11}  {what}", grouped(count as u128));
    };
    line(report.files, "files read");
    line(report.chunks, "documents");
    let lengths = &report.lengths;
    line(lengths.total, if estimated { "tokens, estimated from bytes" } else { "tokens" });
    line(lengths.min, "  in the shortest document");
    line(lengths.median, "  in the median document");
    line(lengths.max, "  in the longest document");
    let dropped = [
        (report.duplicates, "documents dropped as duplicates"),
        (report.near_empty, "documents dropped as too short or without words"),
        (report.characters_left_out, "characters left out, each longer than --max-tokens"),
    ];
    for (count, what) in dropped {
        if count > 0 {
            line(count, what);
        }
    }
    let notes = [(&report.skipped, "skipped"), (&report.incomplete, "read in part")];
    for (files, what) in notes {
        if !files.is_empty() {
            let _ = writeln!(text, "{:>11}  {what}", grouped(files.len() as u128));
        }
        for SkippedFile { path, reason } in files {
            let _ = writeln!(text, "             {}: {reason}", path.display());
        }
    }
    text
}
