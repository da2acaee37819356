//! Every kernel compiles for every architecture, without a warning, a spill or a local array; the
//! registers and shared memory it takes stand in a table that this test holds to the fact.
//!
//! Needs NVRTC and no GPU. `cargo xtask kernels` installs it and runs this; `INFUSER_NVRTC` names its
//! folder, `INFUSER_REQUIRE_NVRTC=1` makes it an error to skip, `INFUSER_BLESS=1` writes the table.

use std::{env, fmt::Write as _, fs, path::PathBuf};

use infuser_kernels::cuda::{
    CubinCache, Kernel, Source,
    nvrtc::{self, compile, compile_text},
};

/// What a GPU loads of the oldest and the newest data-centre kind aimed at, and of a consumer one.
const ARCHITECTURES: [&str; 3] = ["sm_80", "sm_90", "sm_120"];
/// Registers depend on the compiler: the table is that of this version.
const TABLE_VERSION: (i32, i32) = (13, 0);
const HEAD: &str = "# What each CUDA kernel takes\n\n\
    Written by `cargo xtask kernels` (NVRTC 13.0, no GPU needed), which fails on any spill, local array\n\
    or warning. Registers a thread / bytes of static shared memory a block.\n\n";

/// What the compiler says of one kernel.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    symbol: String,
    registers: u32,
    shared_bytes: u32,
    /// Bytes of stack, spill stores and spill loads.
    local_bytes: u32,
}

/// Whether there is a compiler; says so if not.
fn compiler() -> bool {
    let folder = env::var_os("INFUSER_NVRTC").map(PathBuf::from);
    let found = nvrtc::find(folder.as_deref()).unwrap();
    let required = env::var("INFUSER_REQUIRE_NVRTC").is_ok_and(|value| value == "1");
    assert!(found || !required, "NVRTC is required here; run `cargo xtask kernels`");
    if !found {
        eprintln!("skipped: no NVRTC; `cargo xtask kernels` installs it");
    }
    found
}

/// The number before `unit` in a line of the log.
fn number_before(line: &str, unit: &str) -> u32 {
    let before = line.split(unit).next().filter(|before| before.len() < line.len());
    let word = before.and_then(|before| before.split_whitespace().last());
    word.map_or(0, |word| word.parse().unwrap_or_else(|_| panic!("`{line}`: no {unit}")))
}

/// Reads the log of `--ptxas-options=-v`.
fn usages(log: &str) -> Vec<Usage> {
    let mut all: Vec<Usage> = Vec::new();
    for line in log.lines() {
        if line.contains("Compiling entry function") {
            let symbol = line.split('\'').nth(1).expect("a quoted name").to_owned();
            all.push(Usage { symbol, registers: 0, shared_bytes: 0, local_bytes: u32::MAX });
        } else if let Some(usage) = all.last_mut() {
            if line.contains("bytes stack frame") {
                let units = [" bytes stack frame", " bytes spill stores", " bytes spill loads"];
                usage.local_bytes = units.iter().map(|unit| number_before(line, unit)).sum();
            } else if line.contains("Used ") {
                usage.registers = number_before(line, " registers");
                usage.shared_bytes = number_before(line, " bytes smem");
            }
        }
    }
    all
}

/// Why a log is no clean one.
fn fault(log: &str) -> Option<String> {
    if let Some(line) = log.lines().find(|line| line.contains("warning")) {
        return Some(line.to_owned());
    }
    let usages = usages(log);
    let spilled = usages.iter().find(|usage| usage.local_bytes > 0 || usage.registers == 0);
    spilled.map(|usage| format!("{usage:?}"))
}

#[test]
fn every_kernel_compiles_without_a_spill() {
    if !compiler() {
        return;
    }
    let mut found = Vec::new();
    for source in Source::ALL {
        for architecture in ARCHITECTURES {
            let compiled = compile(source, architecture).unwrap();
            assert_eq!(compiled.cubin[..4], *b"\x7fELF", "{}", source.name());
            let fault = fault(&compiled.log);
            assert_eq!(fault, None, "{} for {architecture}", source.name());
            found.extend(usages(&compiled.log).into_iter().map(|usage| (architecture, usage)));
        }
    }
    let mut table =
        format!("{HEAD}| kernel | {} |\n|---|---|---|---|\n", ARCHITECTURES.join(" | "));
    for kernel in Kernel::ALL {
        let symbol = kernel.symbol();
        write!(table, "| {symbol} |").unwrap();
        for architecture in ARCHITECTURES {
            let usage =
                found.iter().find(|(at, usage)| *at == architecture && usage.symbol == symbol);
            let (_, usage) = usage.unwrap_or_else(|| panic!("{symbol} is not in the code"));
            write!(table, " {} / {} |", usage.registers, usage.shared_bytes).unwrap();
        }
        table.push('\n');
    }
    assert_eq!(found.len(), Kernel::ALL.len() * ARCHITECTURES.len(), "entries in no list");
    compare(&table);
}

/// The table is that of the repository; or becomes it, if asked.
fn compare(table: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/results/cuda-kernels.md");
    if env::var("INFUSER_BLESS").is_ok_and(|value| value == "1") {
        fs::write(path, table).unwrap();
    } else if nvrtc::version().unwrap() == TABLE_VERSION {
        let stored = fs::read_to_string(path).unwrap_or_default();
        assert_eq!(stored, table, "write it anew with INFUSER_BLESS=1 cargo xtask kernels");
    } else {
        eprintln!("the table is not compared: another NVRTC");
    }
}

#[test]
fn a_planted_local_array_a_warning_and_an_error_are_caught() {
    if !compiler() {
        return;
    }
    let text = Source::Columns.text();
    let local = text.replace(
        "    out[col] += total;",
        "    volatile float rows[64]; for (u32 i = 0; i < 64; i++) rows[i] = total * float(i);\n    \
             out[col] += rows[col % 64];",
    );
    let warning = text.replace("    out[col] += total;", "    u32 unused; out[col] += total;");
    assert!(local != text && warning != text);
    for (name, text) in [("local array", local), ("warning", warning)] {
        let compiled = compile_text(Source::Columns, &text, "sm_80").unwrap();
        assert!(fault(&compiled.log).is_some(), "{name}: {}", compiled.log);
    }
    let broken = text.replace("out[col]", "out[column]");
    let error = compile_text(Source::Columns, &broken, "sm_80").unwrap_err().to_string();
    assert!(error.contains("columns.cu") && error.contains("column"), "{error}");
}

#[test]
fn what_was_compiled_is_kept() {
    if !compiler() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = CubinCache::new(folder.path());
    let fresh = nvrtc::cubin(Source::Fill, "sm_80", None).unwrap();
    for _ in 0..2 {
        assert_eq!(nvrtc::cubin(Source::Fill, "sm_80", Some(&cache)).unwrap(), fresh);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    assert_ne!(nvrtc::cubin(Source::Fill, "sm_90", Some(&cache)).unwrap(), fresh);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_log_is_read() {
    let log = "ptxas info    : Compiling entry function 'f' for 'sm_80'\n\
        ptxas         .     8 bytes stack frame, 4 bytes spill stores, 2 bytes spill loads\n\
        ptxas info    : Used 31 registers, used 1 barriers, 1024 bytes smem, 396 bytes cmem[0]\n";
    let usage = Usage { symbol: "f".into(), registers: 31, shared_bytes: 1024, local_bytes: 14 };
    assert_eq!(usages(log), [usage]);
    assert!(fault(log).is_some());
    assert!(fault("x.cu(1): warning: y").is_some());
}
