//! The recipes that come with the program.

use crate::failure::Failure;

/// A named set of settings.
pub(crate) struct Recipe {
    /// Its name.
    pub(crate) name: &'static str,
    /// TOML with `summary`, maybe `extends`, and settings.
    pub(crate) text: &'static str,
}

macro_rules! recipes {
    ($($name:literal),* $(,)?) => {
        [$(Recipe { name: $name, text: include_str!(concat!("../recipes/", $name, ".toml")) }),*]
    };
}

/// All recipes of `infuser train`.
pub(crate) const ALL: [Recipe; 22] = recipes![
    "tiny",
    "tiny-fixed",
    "tiny-group-std",
    "tiny-batch-std",
    "tiny-cosine",
    "tiny-dot",
    "tiny-spice",
    "tiny-dev-only",
    "tiny-shared",
    "tiny-random",
    "tiny-seq",
    "qwen3-4b",
    "qwen3-8b",
    "qwen3-8b-rlvr",
    "qwen3-8b-cosine",
    "qwen3-8b-group-std",
    "qwen3-8b-batch-std",
    "qwen3-8b-fixed",
    "qwen3-8b-dev-only",
    "qwen3-4b-fixed",
    "qwen3-4b-seeded",
    "olmo3-7b",
];

/// The recipes of `infuser pretrain`.
pub(crate) const PRETRAIN: [Recipe; 1] =
    [Recipe { name: "tiny", text: include_str!("../recipes/pretrain/tiny.toml") }];

/// A recipe by its name.
///
/// # Errors
/// There is none; the nearest names are given.
pub(crate) fn named(all: &'static [Recipe], name: &str) -> Result<&'static Recipe, Failure> {
    all.iter().find(|recipe| recipe.name == name).ok_or_else(|| {
        let names: Vec<String> = all.iter().map(|recipe| recipe.name.to_string()).collect();
        let near = infuser_data::nearest(name, &names);
        let hint = near.first().map_or(String::new(), |near| format!("; did you mean {near}?"));
        Failure::bad_input(format!(
            "there is no recipe {name}{hint} (the recipes are {}; a file is given by --config)",
            names.join(", ")
        ))
    })
}

impl Recipe {
    /// What it is for, in a line.
    pub(crate) fn summary(&self) -> String {
        let table = self.text.parse::<toml::Table>().ok();
        let summary = table.and_then(|table| Some(table.get("summary")?.as_str()?.to_string()));
        summary.unwrap_or_default()
    }
}
