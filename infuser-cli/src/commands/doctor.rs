//! `infuser doctor`.

use std::{env, fs, path::PathBuf};

use infuser_kernels::ops::matmul;
use serde_json::{Value, json};

use crate::{args::Doctor, device, failure::Failure, report::bytes};

/// What a GPU run needs, the file that shows it is there, and how to get it.
const GPU_PARTS: [(&str, &str, &str); 3] = [
    (
        "NVIDIA driver",
        "libcuda.so",
        "sudo apt install nvidia-driver-580   # or your system's package",
    ),
    ("NVRTC", "libnvrtc.so", "pip install nvidia-cuda-nvrtc"),
    ("cuBLASLt", "libcublasLt.so", "pip install nvidia-cublas"),
];

pub(crate) fn run(args: &Doctor) -> Result<(), Failure> {
    let report = report();
    let text = if args.json { format!("{report:#}") } else { page(&report) };
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").map_err(|error| Failure::output("standard output", error))
}

fn report() -> Value {
    let gpu: Vec<Value> = GPU_PARTS
        .iter()
        .map(|(part, library, install)| {
            let found = find_library(library).map(|path| path.display().to_string());
            json!({"part": part, "library": library, "found": found, "install": install})
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "cpu": cpu_model(),
        "cpu_features": cpu_features(),
        "logical_cores": std::thread::available_parallelism().map_or(1, usize::from),
        "threads": rayon::current_num_threads(),
        "memory_bytes": memory("MemTotal:"),
        "memory_available_bytes": memory("MemAvailable:"),
        "devices": devices(),
        "gpu": gpu,
        "kernel_cache": device::kernel_cache().map(|folder| folder.display().to_string()),
    })
}

fn page(report: &Value) -> String {
    let text = |key: &str| report[key].as_str().unwrap_or("unknown").to_string();
    let size = |key: &str| report[key].as_u64().map_or("unknown".into(), |n| bytes(n.into()));
    let features: Vec<&str> =
        report["cpu_features"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut lines = vec![
        format!("infuser {}", text("version")),
        format!("  processor     {}", text("cpu")),
        format!(
            "  features      {}",
            if features.is_empty() { "baseline".into() } else { features.join(" ") }
        ),
        format!("  threads       {} of {} processors", report["threads"], report["logical_cores"]),
        format!(
            "  memory        {}, {} available",
            size("memory_bytes"),
            size("memory_available_bytes")
        ),
        format!("  devices       {}", devices().join(", ")),
        "For a GPU:".into(),
    ];
    for part in report["gpu"].as_array().into_iter().flatten() {
        let name = part["part"].as_str().unwrap_or_default();
        lines.push(match part["found"].as_str() {
            Some(path) => format!("  {name:<13} found: {path}"),
            None => {
                format!("  {name:<13} missing; {}", part["install"].as_str().unwrap_or_default())
            }
        });
    }
    let cache = report["kernel_cache"].as_str().unwrap_or("off; kernels are compiled every time");
    lines.push(format!("  kernel cache  {cache}"));
    lines.join("\n")
}

/// What `--device` can name here.
fn devices() -> Vec<&'static str> {
    if infuser_kernels::cuda::gpus() > 0 { vec!["cpu", "cuda"] } else { vec!["cpu"] }
}

fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// The instruction sets that ops are compiled for, of those this processor has.
fn cpu_features() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let features = [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512_bf16", is_x86_feature_detected!("avx512bf16")),
            ("amx_bf16", matmul::tiles_in_use()),
        ];
        found.extend(features.iter().filter(|(_, there)| *there).map(|(name, _)| *name));
    }
    #[cfg(target_arch = "aarch64")]
    found.push("neon");
    found
}

/// Memory that is free to use, in bytes; `None` where the system does not say.
pub(crate) fn available_memory() -> Option<u64> {
    memory("MemAvailable:")
}

/// A line of the kernel's memory report, in bytes; `None` on other systems.
fn memory(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Looks for a shared library by file name where the loader and `--device cuda` look; nothing is loaded.
fn find_library(name: &str) -> Option<PathBuf> {
    let listed = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let usual = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/lib/wsl/lib",
        "/usr/local/cuda/lib64",
        "/usr/local/nvidia/lib64",
    ];
    let folders = device::libraries().into_iter().chain(env::split_paths(&listed));
    let folders = folders.chain(usual.iter().map(PathBuf::from));
    folders.filter_map(|folder| fs::read_dir(folder).ok()).find_map(|entries| {
        let mut paths = entries.flatten().map(|entry| entry.path());
        paths.find(|path| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
        })
    })
}
