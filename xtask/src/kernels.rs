//! `cargo xtask kernels`: installs NVRTC, pinned, into a cached environment under the target folder,
//! and runs the compile gate with it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The table of registers is that of this version.
const PACKAGE: &str = "nvidia-cuda-nvrtc==13.0.88";

pub(crate) fn run(root: &Path) -> Result<()> {
    let folder = install(root)?;
    let arguments = ["test", "--package", "infuser-kernels", "--test", "compile_gate"];
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root)
        .env("INFUSER_NVRTC", folder)
        .env("INFUSER_REQUIRE_NVRTC", "1")
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the compile gate failed");
    }
    Ok(())
}

/// The folder of the compiler's libraries; installs them the first time.
fn install(root: &Path) -> Result<PathBuf> {
    // Absolute, because the test runs in another folder.
    let target = env::current_dir()?
        .join(env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from));
    let place = target.join("nvrtc-13.0.88");
    if let Some(found) = libraries(&place) {
        return Ok(found);
    }
    println!("installing {PACKAGE} into {}", place.display());
    execute(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    execute(Command::new(place.join("bin/pip")).args([
        "install",
        "--quiet",
        "--no-deps",
        PACKAGE,
    ]))?;
    libraries(&place).with_context(|| format!("{PACKAGE} holds no libnvrtc.so.13"))
}

/// Looks below `lib/python3.*/site-packages` of an environment.
fn libraries(place: &Path) -> Option<PathBuf> {
    let versions =
        fs::read_dir(place.join("lib")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders = versions.map(|version| version.join("site-packages/nvidia/cu13/lib"));
    folders.find(|folder| folder.join("libnvrtc.so.13").is_file())
}

fn execute(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}
