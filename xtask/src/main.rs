//! `cargo xtask ci` runs every check but the tests; `cargo xtask tidy` only the house rules;
//! `cargo xtask kernels` the compile gate of the CUDA kernels, which `ci` runs last; `cargo xtask gpu-bundle`
//! packs what a machine with a GPU and no Rust checks and measures.

mod bundle;
mod ci;
mod kernels;
mod tidy;

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = root.parent().context("xtask lies in the project's folder")?;
    match env::args().nth(1).as_deref() {
        Some("ci") => ci::run(root),
        Some("gpu-bundle") => bundle::run(root, &env::args().skip(2).collect::<Vec<_>>()),
        Some("kernels") => kernels::run(root),
        Some("tidy") => tidy::run(root),
        _ => bail!("usage: cargo xtask ci | gpu-bundle | kernels | tidy"),
    }
}
