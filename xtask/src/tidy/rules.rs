//! The rules. Each takes all files and returns one line a fault; each has a test of what it catches.

use super::Tracked;

/// All files in, one line a fault out.
type Rule = fn(&[Tracked]) -> Vec<String>;

/// Every rule.
pub(crate) const ALL: [Rule; 8] =
    [lengths, headers, leftovers, unsafe_code, named_paths, ops, sizes, rooms];

const MAX_LINES: usize = 600;
const MAX_FILE_BYTES: usize = 4 << 20;
const MAX_FIXTURE_BYTES: usize = 15 << 20;

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

/// Two halves, so that this file does not hold what it forbids.
fn forbidden() -> [String; 9] {
    [
        ("to", "do!("),
        ("unimple", "mented!("),
        ("db", "g!("),
        ("#[ign", "ore"),
        ("FIX", "ME"),
        ("XX", "X"),
        ("/ro", "ot/"),
        ("/wo", "rk/"),
        ("crates", ".io"),
    ]
    .map(|(a, b)| format!("{a}{b}"))
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

/// Nothing unfinished, no path of one machine, no trailing space.
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

/// `unsafe` only in its rooms, each time with an argument.
fn unsafe_code(files: &[Tracked]) -> Vec<String> {
    let word = ["uns", "afe"].concat();
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && !file.path.starts_with("xtask/")) {
        let lines: Vec<&str> = file.text().unwrap_or_default().lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let opens =
                code.contains(&format!("{word} {{")) || code.contains(&format!("{word} impl"));
            if !opens {
                continue;
            }
            let place = format!("{}:{}", file.path, i + 1);
            if !UNSAFE_ROOMS.iter().any(|room| file.path.starts_with(room)) {
                faults.push(format!("{place}: {word} outside its rooms"));
            }
            let before = lines[i.saturating_sub(8)..i].join(" ");
            let argued = before
                .split_once("SAFETY:")
                .is_some_and(|(_, argument)| argument.split_whitespace().count() >= 5);
            if !argued {
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
            let room = TOP_LEVEL.iter().any(|room| quoted.starts_with(&format!("{room}/")));
            if plain && room && !exists(quoted) {
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
        let argued = "// SAFETY: the check above makes it so\n";
        let block = ["uns", "afe { f() }"].concat();
        let inside = format!("{argued}{block}");
        let room = "infuser-kernels/src/x.rs";
        assert_caught(unsafe_code, file(room, &block), file(room, &inside));
        assert_caught(unsafe_code, file("infuser-cli/src/x.rs", &inside), file(room, &inside));
        let paper = |path: &str| file("docs/a.md", &format!("see `{path}`"));
        assert_caught(named_paths, paper("docs/b.md"), paper("docs/a.md"));
        assert_caught(rooms, file("stuff/a", ""), file("docs/a", ""));
        let large = file("docs/a", &" ".repeat(MAX_FILE_BYTES + 1));
        assert_caught(sizes, large, file("docs/a", ""));
        assert_eq!(ops(&[file("infuser-kernels/src/ops/x/mod.rs", "")]).len(), 2);
    }
}
