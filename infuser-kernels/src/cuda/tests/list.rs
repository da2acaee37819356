//! The list of kernels and the sources, both ways.

use super::*;
use crate::cuda::{Kernel, Source};

#[test]
fn the_list_is_what_the_sources_export() {
    let mut exported = emulator().kernels();
    let row = |kernel: Kernel| (kernel.symbol().to_owned(), kernel.signature().to_owned());
    let mut listed: Vec<(String, String)> = Kernel::ALL.into_iter().map(row).collect();
    exported.sort();
    listed.sort();
    assert_eq!(exported, listed);
}

#[test]
fn every_kernel_stands_in_its_source_once_and_is_exported() {
    for kernel in Kernel::ALL {
        let (symbol, text) = (kernel.symbol(), kernel.source().text());
        assert_eq!(text.matches(&format!("KERNEL void {symbol}(")).count(), 1, "{symbol}");
        assert_eq!(text.matches(&format!("EXPORT({symbol})")).count(), 1, "{symbol}");
    }
    let entries: usize =
        Source::ALL.iter().map(|source| source.text().matches("KERNEL void ").count()).sum();
    assert_eq!(entries, Kernel::ALL.len());
}

#[test]
fn every_source_opens_with_its_six_labels() {
    let labels = ["Computes", "Tensors", "Grid", "Numerics", "Writes", "Twin"];
    for source in Source::ALL {
        let header = source.text().lines().take_while(|line| line.starts_with("//"));
        let found: Vec<&str> = header
            .filter_map(|line| line.strip_prefix("// ")?.split(' ').next())
            .filter(|word| labels.contains(word))
            .collect();
        assert_eq!(found, labels, "{}", source.name());
    }
}
