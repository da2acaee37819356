//! The list of checks, the same on every machine: format, lints, documentation, house rules, CUDA kernels.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, bail};

use crate::{kernels, tidy};

/// Each step's cargo arguments.
const STEPS: [(&str, &[&str]); 3] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("documentation", &["doc", "--workspace", "--no-deps"]),
];

pub(crate) fn run(root: &Path) -> Result<()> {
    for (name, arguments) in STEPS {
        let start = Instant::now();
        println!("== {name}: cargo {}", arguments.join(" "));
        let status = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(root)
            .env("RUSTDOCFLAGS", "-D warnings")
            .status()
            .context("cannot start cargo")?;
        if !status.success() {
            bail!("{name} failed");
        }
        println!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    println!("== house rules: cargo xtask tidy");
    tidy::run(root)?;
    println!("== house rules: {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    println!("== CUDA kernels: cargo xtask kernels");
    kernels::run(root)?;
    println!("== CUDA kernels: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
