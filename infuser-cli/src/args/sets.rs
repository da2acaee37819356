//! `infuser sets` and `infuser docs`.

use std::path::PathBuf;

use clap::Subcommand;

/// `infuser sets`.
#[derive(Debug, Subcommand)]
pub(crate) enum Sets {
    /// Bring a public question set into the one form that other commands read.
    #[command(
        after_help = "Files are JSON lines, a JSON list, CSV or Parquet, each also as gzip; which of them \
        is found from the content.\n\
        Example: infuser sets import --layout gsm8k --split test --input test.jsonl --out gsm8k.jsonl"
    )]
    Import(SetsImport),
    /// Count what a set holds, and what of it is skipped and why.
    Show(SetsShow),
}

/// `infuser sets import`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetsImport {
    /// A known layout (aime, bbeh, gpqa, gsm8k, math, medqa, mmlu, mmlu-csv, mmlu-pro, supergpqa,
    /// theoremqa), or a mapping of your own as FILE.toml.
    #[arg(long, value_name = "NAME")]
    pub(crate) layout: String,
    /// The files of the set, in order.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(crate) input: Vec<PathBuf>,
    /// The set to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Its name; the layout's if left out.
    #[arg(long = "set", value_name = "NAME")]
    pub(crate) set_name: Option<String>,
    /// Its part, like `test`; `all` if left out.
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// Write each skipped record with its reason to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) skipped: Option<PathBuf>,
}

/// `infuser sets show`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetsShow {
    /// A set in our form, as `sets import` writes it.
    pub(crate) file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `infuser docs`.
#[derive(Debug, Subcommand)]
pub(crate) enum Docs {
    /// Divide files into a pool of documents.
    #[command(after_help = "Files that cannot be read are named and skipped.\n\
        Output, one line a document: {\"doc_id\": \"book/a.md#0\", \"original_doc_idx\": 0, \
        \"chunk_idx\": 0, \"content\": \"…\", \"title_path\": \"Book > Chapter\", \
        \"source_pdf\": \"book/a.md\", \"token_count\": 412}\n\
        Example: infuser docs build book/ --tokenizer models/Qwen3-0.6B --out pool.jsonl")]
    Build(super::DocsBuild),
    /// Look for the questions of an evaluation set in a training pool.
    #[command(
        after_help = "The pool is a JSON list or an object a line, with `content`, `text` or `question`.\n\
        Output, one line an item: {\"id\": \"a\", \"words\": 20, \"ngrams\": 8, \"shared\": 2, \
        \"fraction\": 0.25, \"example\": \"…\", \"text\": \"doc 7\"}"
    )]
    Check(DocsCheck),
}

/// `infuser docs check`.
#[derive(Debug, clap::Args)]
pub(crate) struct DocsCheck {
    /// Documents or questions that something is trained on.
    pub(crate) pool: PathBuf,
    /// The evaluation set, in our form.
    #[arg(long, value_name = "SET.jsonl")]
    pub(crate) against: PathBuf,
    /// Words that are compared together; a shorter question is compared whole.
    #[arg(short = 'n', long = "ngram", value_name = "N", default_value_t = 13)]
    pub(crate) ngram: usize,
    /// Write what was found of each item to this file, as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Fail (exit code 1) if more than this part of the items, from 0 to 1, share anything.
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    pub(crate) fail_above: Option<f64>,
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
        Ok(_) => Err("must be from 0 to 1".into()),
        Err(error) => Err(error.to_string()),
    }
}
