//! The rules. Each takes all files and returns one line a fault; each has a test of what it catches.

use super::Tracked;

/// All files in, one line a fault out.
type Rule = fn(&[Tracked]) -> Vec<String>;

/// Every rule.
pub(crate) const ALL: [Rule; 9] =
    [lengths, headers, leftovers, machine_paths, unsafe_code, named_paths, ops, sizes, rooms];

const MAX_LINES: usize = 600;
const MAX_FILE_BYTES: usize = 4 << 20;
const MAX_FIXTURE_BYTES: usize = 15 << 20;
/// An argument of fewer words argues nothing.
const MIN_SAFETY_WORDS: usize = 8;

/// Where `unsafe` may stand.
const UNSAFE_ROOMS: [&str; 3] =
    ["infuser-kernels/src/", "infuser-model/src/checkpoint/mapped.rs", "benches/src/machine.rs"];

/// What may lie at the top.
const TOP_LEVEL: [&str; 23] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "assets",
    "benches",
    "clippy.toml",
    "docs",
    "examples",
    "infuser-cli",
    "infuser-data",
    "infuser-influence",
    "infuser-kernels",
    "infuser-model",
    "infuser-rl",
    "kernels-cu",
    "rustfmt.toml",
    "xtask",
];

/// What sources and papers may not hold; in halves, so that this file does not hold it either.
fn forbidden() -> [String; 7] {
    [
        ("to", "do!"),
        ("unimple", "mented!"),
        ("db", "g!"),
        ("#[ign", "ore"),
        ("FIX", "ME"),
        ("XX", "X"),
        ("crates", ".io"),
    ]
    .map(|(a, b)| format!("{a}{b}"))
}

/// Folders of one machine, which nothing may name.
fn homes() -> [String; 3] {
    [("/ro", "ot/"), ("/wo", "rk/"), ("/tm", "p/w")].map(|(a, b)| format!("{a}{b}"))
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// No file holds two things.
fn lengths(files: &[Tracked]) -> Vec<String> {
    let long = files.iter().filter_map(|file| {
        let lines = file.text()?.lines().count();
        (lines > MAX_LINES).then(|| format!("{}: {lines} lines; split it", file.path))
    });
    long.collect()
}

/// Every source file but a table of tests opens by saying what it is.
fn headers(files: &[Tracked]) -> Vec<String> {
    let bare = files.iter().filter(|file| {
        let opens = |text: &str| text.starts_with("//!");
        file.is_rust() && !is_test(&file.path) && !file.text().is_some_and(opens)
    });
    bare.map(|file| format!("{}: no `//!` header", file.path)).collect()
}

/// Nothing unfinished, no trailing space.
fn leftovers(files: &[Tracked]) -> Vec<String> {
    let forbidden = forbidden();
    let mut faults = Vec::new();
    for file in files {
        for (i, line) in file.text().unwrap_or_default().lines().enumerate() {
            let place = format!("{}:{}", file.path, i + 1);
            if let Some(found) = forbidden.iter().find(|word| line.contains(word.as_str())) {
                faults.push(format!("{place}: `{found}`"));
            }
            if line.ends_with([' ', '\t']) {
                faults.push(format!("{place}: trailing space"));
            }
        }
    }
    faults
}

/// No path of one machine, in data neither.
fn machine_paths(files: &[Tracked]) -> Vec<String> {
    let homes = homes();
    let mut faults = Vec::new();
    for file in files {
        for (i, line) in file.any_text().unwrap_or_default().lines().enumerate() {
            if let Some(found) = homes.iter().find(|home| line.contains(home.as_str())) {
                faults.push(format!("{}:{}: `{found}`", file.path, i + 1));
            }
        }
    }
    faults
}

/// How many words the comments before a line say from their first word on safety on.
fn safety_words(before: &[&str]) -> usize {
    let comments = before.iter().map(|line| line.trim()).filter(|line| line.starts_with("//"));
    let said = comments.collect::<Vec<_>>().join(" ");
    let starts = ["SAFETY:", "# Safety"].iter().filter_map(|mark| {
        let at = said.find(mark)?;
        Some(at + mark.len())
    });
    let words = |start: usize| said[start..].split_whitespace().filter(|w| !w.starts_with("//"));
    starts.min().map_or(0, |start| words(start).count())
}

/// `unsafe` only in its rooms; each block and impl with an argument just above it.
fn unsafe_code(files: &[Tracked]) -> Vec<String> {
    let word = ["uns", "afe"].concat();
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let lines: Vec<&str> = file.text().unwrap_or_default().lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let opens = |what: &str| code.contains(&format!("{word} {what}"));
            if !["{", "impl", "fn", "extern"].iter().any(|what| opens(what)) {
                continue;
            }
            let place = format!("{}:{}", file.path, i + 1);
            if !UNSAFE_ROOMS.iter().any(|room| file.path.starts_with(room)) {
                faults.push(format!("{place}: {word} outside its rooms"));
            }
            let proved = opens("{") || opens("impl");
            if proved && safety_words(&lines[i.saturating_sub(8)..i]) < MIN_SAFETY_WORDS {
                faults.push(format!("{place}: no SAFETY argument"));
            }
        }
    }
    faults
}

/// A path that a paper names in backticks exists.
fn named_paths(files: &[Tracked]) -> Vec<String> {
    let exists = |path: &str| {
        let folder = format!("{}/", path.trim_end_matches('/'));
        files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    };
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for quoted in file.text().unwrap_or_default().split('`').skip(1).step_by(2) {
            let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
            let crate_path = quoted.starts_with("infuser-") && quoted.contains('/');
            let room = TOP_LEVEL.iter().any(|room| quoted.starts_with(&format!("{room}/")));
            let paper =
                quoted.ends_with(".md") && !quoted.contains('/') && !file.path.contains('/');
            if plain && (crate_path || room || paper) && !exists(quoted) {
                faults.push(format!("{}: `{quoted}` does not exist", file.path));
            }
        }
    }
    faults
}

/// Every op has its door, its tests, and a line in the list of ops.
fn ops(files: &[Tracked]) -> Vec<String> {
    const FOLDER: &str = "infuser-kernels/src/ops/";
    let text = |path: &str| files.iter().find(|file| file.path == path).and_then(Tracked::text);
    let list = text("infuser-kernels/src/ops.rs").unwrap_or_default();
    let mut names: Vec<&str> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix(FOLDER)?.split_once('/').map(|(name, _)| name))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut faults = Vec::new();
    for name in names {
        for part in ["mod.rs", "tests.rs"] {
            if text(&format!("{FOLDER}{name}/{part}")).is_none() {
                faults.push(format!("{FOLDER}{name}: no {part}"));
            }
        }
        if !list.contains(&format!("pub mod {name};")) {
            faults.push(format!("{FOLDER}{name}: not in ops.rs"));
        }
    }
    faults
}

/// No large file, and fixtures stay small together.
fn sizes(files: &[Tracked]) -> Vec<String> {
    let large = files.iter().filter(|file| file.bytes.len() > MAX_FILE_BYTES);
    let mut faults: Vec<String> =
        large.map(|file| format!("{}: {} bytes", file.path, file.bytes.len())).collect();
    let fixtures = files.iter().filter(|file| file.path.contains("fixtures/"));
    let total: usize = fixtures.map(|file| file.bytes.len()).sum();
    if total > MAX_FIXTURE_BYTES {
        faults.push(format!("fixtures hold {total} bytes, at most {MAX_FIXTURE_BYTES}"));
    }
    faults
}

/// The house has these rooms and no others.
fn rooms(files: &[Tracked]) -> Vec<String> {
    let mut tops: Vec<&str> =
        files.iter().map(|file| file.path.split('/').next().unwrap_or_default()).collect();
    tops.sort_unstable();
    tops.dedup();
    let strange = tops.into_iter().filter(|top| !TOP_LEVEL.contains(top));
    strange.map(|top| format!("{top}: not one of the rooms")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Tracked {
        Tracked { path: path.into(), bytes: text.into() }
    }

    #[track_caller]
    fn assert_caught(rule: Rule, bad: Tracked, good: Tracked) {
        assert_eq!(rule(&[bad]).len(), 1);
        assert_eq!(rule(&[good]), Vec::<String>::new());
    }

    #[test]
    fn each_rule_catches_what_it_is_for() {
        assert_caught(lengths, file("a.rs", &"x\n".repeat(601)), file("a.rs", "x"));
        assert_caught(headers, file("a/b.rs", "use x;"), file("a/tests/b.rs", "use x;"));
        assert_caught(leftovers, file("a.md", "x \n"), file("a.md", "x\n"));
        let unfinished = forbidden()[0].clone();
        assert_caught(leftovers, file("a.rs", &unfinished), file("a.bin", &unfinished));
        let home = format!("{}x", homes()[2]);
        assert_caught(machine_paths, file("a.json", &home), file("a.bin", &format!("{home}\0")));
        let argued = "// SAFETY: the check above shows that the index is inside\n";
        let block = ["uns", "afe { f() }"].concat();
        let inside = format!("{argued}{block}");
        let room = "infuser-kernels/src/x.rs";
        assert_caught(unsafe_code, file(room, &block), file(room, &inside));
        assert_caught(unsafe_code, file("infuser-cli/src/x.rs", &inside), file(room, &inside));
        let short =
            format!("// SAFETY: fine\nlet words = of + code + that + do + not + count;\n{block}");
        assert_caught(unsafe_code, file(room, &short), file(room, &inside));
        let function = ["uns", "afe fn f() {}"].concat();
        assert_caught(
            unsafe_code,
            file("infuser-model/src/x.rs", &function),
            file(room, &function),
        );
        let paper = |path: &str| file("docs/a.md", &format!("see `{path}`"));
        assert_caught(named_paths, paper("docs/b.md"), paper("docs/a.md"));
        assert_caught(named_paths, paper("infuser-modle/src/lib.rs"), paper("config.json"));
        assert_caught(rooms, file("stuff/a", ""), file("docs/a", ""));
        let large = file("docs/a", &" ".repeat(MAX_FILE_BYTES + 1));
        assert_caught(sizes, large, file("docs/a", ""));
        assert_eq!(ops(&[file("infuser-kernels/src/ops/x/mod.rs", "")]).len(), 2);
    }
}
