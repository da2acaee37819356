//! `cargo xtask gpu-bundle [--out FILE]`: the checks and benches that need a GPU, with all that they read,
//! in one archive for a machine that has a GPU and no Rust. `benches/gpu/run.sh` is what runs there.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

/// What the archive may have at most.
const MAX_BYTES: u64 = 48 << 20;
/// The folder in the archive.
const FOLDER: &str = "infuser-gpu";

/// A cargo call, and which of the programs that it builds are packed: the package and the target as cargo
/// names them, and the name in the bundle.
struct Build {
    arguments: &'static [&'static str],
    programs: &'static [[&'static str; 3]],
}

const BUILDS: [Build; 3] = [
    Build {
        arguments: &[
            "build",
            "--package",
            "infuser-benches",
            "--package",
            "infuser-cli",
            "--bin",
            "infuser",
            "--bin",
            "gpu_step",
            "--bench",
            "cuda",
        ],
        programs: &[
            ["infuser-cli", "infuser", "infuser"],
            ["infuser-benches", "gpu_step", "gpu_step"],
            ["infuser-benches", "cuda", "cuda_ops"],
        ],
    },
    Build {
        arguments: &["test", "--no-run", "--package", "infuser-kernels", "--lib"],
        programs: &[["infuser-kernels", "infuser_kernels", "kernels_tests"]],
    },
    Build {
        arguments: &[
            "test",
            "--no-run",
            "--package",
            "infuser-model",
            "--package",
            "infuser-influence",
            "--test",
            "main",
        ],
        programs: &[
            ["infuser-model", "main", "model_tests"],
            ["infuser-influence", "main", "influence_tests"],
        ],
    },
];

/// Files and folders of the project that the programs read, as they lie here.
const READ: [&str; 4] =
    ["assets/tiny-base", "examples/prompts.jsonl", "infuser-model/fixtures", "LICENSE"];
/// Files that lie elsewhere in the bundle.
const SCRIPTS: [[&str; 2]; 2] =
    [["benches/gpu/run.sh", "run.sh"], ["benches/torch_sdpa.py", "torch_sdpa.py"]];

/// A program, stripped.
struct Program {
    name: &'static str,
    path: PathBuf,
}

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let out = match arguments {
        [] => target.join("infuser-gpu.tar.gz"),
        [option, file] if option == "--out" => PathBuf::from(file),
        _ => bail!("usage: cargo xtask gpu-bundle [--out FILE]"),
    };
    let stage = target.join("gpu-bundle");
    fs::create_dir_all(&stage).with_context(|| format!("cannot make {}", stage.display()))?;
    let mut programs = Vec::new();
    for build in &BUILDS {
        programs.extend(built(root, build)?.into_iter().map(|program| strip(program, &stage)));
    }
    let programs = programs.into_iter().collect::<Result<Vec<_>>>()?;
    let packed = pack(root, &programs, &out);
    let bytes = packed.with_context(|| format!("cannot write {}", out.display()))?;
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    for program in &programs {
        println!("{:>10}  {}", mib(fs::metadata(&program.path)?.len()), program.name);
    }
    if bytes > MAX_BYTES {
        fs::remove_file(&out)?;
        bail!(
            "the archive has {}, at most {}; pack less (sizes above)",
            mib(bytes),
            mib(MAX_BYTES)
        );
    }
    println!("{:>10}  {} (compressed)", mib(bytes), out.display());
    println!("on the GPU machine: tar xzf {FOLDER}.tar.gz && {FOLDER}/run.sh");
    Ok(())
}

/// The programs of one cargo call, where cargo says they are.
fn built(root: &Path, build: &Build) -> Result<Vec<Program>> {
    println!("== cargo {} --release", build.arguments.join(" "));
    let output = Command::new(env!("CARGO"))
        .args(build.arguments)
        .args(["--release", "--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed", build.arguments.join(" "));
    }
    let text = String::from_utf8(output.stdout).context("cargo's messages are no text")?;
    let messages: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let found = build.programs.iter().map(|[package, target, name]| {
        let path = messages.iter().find_map(|message| executable(message, package, target));
        let path = path.with_context(|| format!("cargo built no {target} of {package}"))?;
        Ok(Program { name, path })
    });
    found.collect()
}

/// The program that a message of cargo is about, if it is that one.
fn executable(message: &Value, package: &str, target: &str) -> Option<PathBuf> {
    let manifest = message["manifest_path"].as_str()?;
    let folder = Path::new(manifest).parent()?.file_name()?.to_str()?;
    // The folder has the package's name, but for the benches.
    let here = folder == package || package.ends_with(folder);
    let same = here && message["target"]["name"].as_str() == Some(target);
    if same { message["executable"].as_str().map(PathBuf::from) } else { None }
}

/// A copy without debug information; whole where there is no `strip`.
fn strip(program: Program, stage: &Path) -> Result<Program> {
    let Program { name, path } = program;
    let to = stage.join(name);
    let stripped =
        Command::new("strip").arg("--strip-debug").arg("-o").arg(&to).arg(&path).status();
    if !stripped.is_ok_and(|status| status.success()) {
        println!("{name} is packed whole: there is no `strip` here that takes it");
        fs::copy(&path, &to).with_context(|| format!("cannot copy {}", path.display()))?;
    }
    Ok(Program { name, path: to })
}

/// Writes the archive; returns its bytes.
fn pack(root: &Path, programs: &[Program], out: &Path) -> Result<u64> {
    let file = fs::File::create(out)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    // The same files give the same archive, whoever packs them.
    archive.mode(tar::HeaderMode::Deterministic);
    for program in programs {
        archive.append_path_with_name(&program.path, inside("bin").join(program.name))?;
    }
    for [from, to] in SCRIPTS {
        archive.append_path_with_name(root.join(from), inside(to))?;
    }
    for path in READ {
        let from = root.join(path);
        match from.is_dir() {
            true => archive.append_dir_all(inside(path), from)?,
            false => archive.append_path_with_name(from, inside(path))?,
        }
    }
    let about = format!("{:#}\n", about(root));
    let mut header = tar::Header::new_gnu();
    header.set_size(about.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, inside("bundle.json"), about.as_bytes())?;
    archive.into_inner()?.finish()?;
    Ok(fs::metadata(out)?.len())
}

fn inside(path: &str) -> PathBuf {
    Path::new(FOLDER).join(path)
}

/// Which source this is; results are of no use without it.
fn about(root: &Path) -> Value {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_string())
    };
    let changed = git(&["status", "--porcelain"]).map(|text| !text.is_empty());
    json!({"commit": git(&["rev-parse", "HEAD"]), "changed": changed})
}

#[cfg(test)]
mod tests;
