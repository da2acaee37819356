//! Settings in layers: defaults, a recipe and those it extends, a file, `--set`; and where each value
//! comes from. The text `"none"` takes a setting away that need not be there.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use crate::{
    failure::Failure,
    recipes::{self, Recipe},
};

/// Settings by dotted key, from somewhere.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// `recipe tiny`, `run.toml`, `--set`.
    pub(crate) origin: String,
    table: Table,
    /// The key of a `--set`, whose tables are laid over key by key whatever they are.
    key: Vec<String>,
}

/// The text that takes a setting away.
const NONE: &str = "none";

/// Settings as they are used, with the origin of each.
#[derive(Debug, Clone)]
pub(crate) struct Resolved<T> {
    /// The settings.
    pub(crate) value: T,
    /// By dotted key, as TOML.
    values: BTreeMap<String, String>,
    origins: BTreeMap<String, String>,
}

impl Layer {
    /// The layers of a recipe: what it extends first.
    pub(crate) fn recipe(all: &'static [Recipe], name: &str) -> Result<Vec<Self>, Failure> {
        let mut layers = Vec::new();
        let mut next = Some(name.to_string());
        while let Some(name) = next {
            let recipe = recipes::named(all, &name)?;
            let mut table = parsed(recipe.text, &format!("recipe {name}"))?;
            table.remove("summary");
            let origin = format!("recipe {name}");
            next = parent(&mut table, &origin)?;
            layers.push(Self { origin, table, key: Vec::new() });
        }
        layers.reverse();
        Ok(layers)
    }

    /// The layers of a file: of the recipe it extends, if it says `extends`, then its own.
    pub(crate) fn file(all: &'static [Recipe], path: &Path) -> Result<Vec<Self>, Failure> {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))?;
        let origin = path.display().to_string();
        let mut table = parsed(&text, &origin)?;
        table.remove("summary");
        let mut layers = match parent(&mut table, &origin)? {
            Some(parent) => Self::recipe(all, &parent)?,
            None => Vec::new(),
        };
        layers.push(Self { origin, table, key: Vec::new() });
        Ok(layers)
    }

    /// `section.key=value`; a value that is no TOML is a text.
    pub(crate) fn set(text: &str) -> Result<Self, Failure> {
        let Some((key, value)) = text.split_once('=') else {
            let problem = format!("--set {text}: expected section.key=value");
            return Err(Failure::bad_input(problem));
        };
        let parts: Vec<&str> = key.trim().split('.').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(Failure::bad_input(format!("--set {text}: `{key}` is no key")));
        }
        let value = format!("value = {value}").parse::<Table>().ok();
        let value = value.and_then(|mut table| table.remove("value"));
        let literal = text.split_once('=').map_or("", |(_, value)| value.trim());
        let mut value = value.unwrap_or_else(|| Value::String(literal.to_string()));
        for part in parts[1..].iter().rev() {
            value = Value::Table(Table::from_iter([((*part).to_string(), value)]));
        }
        let table = Table::from_iter([(parts[0].to_string(), value)]);
        let key = parts.iter().map(ToString::to_string).collect();
        Ok(Self { origin: "--set".into(), table, key })
    }

    /// Whether this layer sets a key of a section.
    pub(crate) fn has(&self, section: &str, key: &str) -> bool {
        self.table.get(section).is_some_and(|section| section.get(key).is_some())
    }

    /// Whether a table of this layer is laid over another key by key, not in its place.
    fn merges(&self, path: &str, below: &Table, sections: &[&str]) -> bool {
        let depth = path.split('.').count();
        let named = depth < self.key.len() && self.key[..depth].join(".") == path;
        // The one entry of a table may be which variant it is; another takes its place.
        sections.contains(&path)
            || named && (below.len() != 1 || below.contains_key(&self.key[depth]))
    }
}

/// The recipe that a table says it extends.
fn parent(table: &mut Table, origin: &str) -> Result<Option<String>, Failure> {
    match table.remove("extends") {
        Some(Value::String(parent)) => Ok(Some(parent)),
        Some(other) => {
            let problem = format!("{origin}: `extends` is {other}, expected a name");
            Err(Failure::bad_input(problem))
        }
        None => Ok(None),
    }
}

fn parsed(text: &str, origin: &str) -> Result<Table, Failure> {
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map(|span| text[..span.start].lines().count().max(1));
        let line = line.map_or(String::new(), |line| format!(", line {line}"));
        Failure::bad_input(format!("{origin}{line}: {}", error.message()))
    })
}

/// The settings of a plan's text by dotted key, as TOML.
pub(crate) fn settings(
    text: &str,
    origin: &impl std::fmt::Display,
) -> Result<BTreeMap<String, String>, Failure> {
    fn leaves(path: &str, table: Table, found: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            let path = joined(path, &key);
            match value {
                Value::Table(table) => leaves(&path, table, found),
                value => drop(found.insert(path, value.to_string())),
            }
        }
    }
    let mut found = BTreeMap::new();
    leaves("", parsed(text, &origin.to_string())?, &mut found);
    Ok(found)
}

/// Lays layers over the defaults, the last on top. `sections` are the tables that are laid over key by
/// key; any other value is replaced whole.
pub(crate) fn resolve<T: Default + Serialize + DeserializeOwned>(
    layers: &[Layer],
    sections: &[&str],
) -> Result<Resolved<T>, Failure> {
    let defaults = Table::try_from(T::default())
        .map_err(|error| Failure::bad_input(format!("defaults: {error}")))?;
    let mut values = BTreeMap::new();
    flatten("", &Value::Table(defaults.clone()), sections, &mut values);
    // What the settings do not hold in the end was taken away.
    values.values_mut().for_each(|value| *value = format!("{NONE:?}"));
    let mut merged = defaults;
    let mut origins = BTreeMap::new();
    note("", &Value::Table(merged.clone()), "default", sections, &mut origins);
    for layer in layers {
        lay("", &mut merged, &layer.table, layer, sections, &mut origins);
    }
    take_away::<T>(&mut merged);
    let value: T = serde_path_to_error::deserialize(Value::Table(merged)).map_err(|error| {
        let path = error.path().to_string();
        Failure::bad_input(explained(&path, error.into_inner().message(), &origins))
    })?;
    flatten("", &Value::Table(complete(&value)?), sections, &mut values);
    Ok(Resolved { value, values, origins })
}

fn complete<T: Serialize>(value: &T) -> Result<Table, Failure> {
    Table::try_from(value).map_err(|error| Failure::bad_input(format!("settings: {error}")))
}

/// Removes every setting that is `"none"` and need not be there. Where the text means something else it stays.
fn take_away<T: Serialize + DeserializeOwned>(merged: &mut Table) {
    let mut paths = Vec::new();
    nones(&mut Vec::new(), merged, &mut paths);
    while !paths.is_empty() {
        let mut without = merged.clone();
        paths.iter().for_each(|path| drop(removed(&mut without, path)));
        let count = paths.len();
        match serde_path_to_error::deserialize::<_, T>(Value::Table(without.clone())) {
            // What comes back by itself is a setting that always has a value.
            Ok(value) => paths.retain(|path| {
                complete(&value).is_ok_and(|mut complete| removed(&mut complete, path).is_none())
            }),
            Err(error) => {
                let (at, missing) = (error.path().to_string(), error.inner().message());
                paths.retain(|path| {
                    let (key, table) = path.split_last().expect("a path has a key");
                    table.join(".") != at || !missing.contains(&format!("`{key}`"))
                });
            }
        }
        if paths.len() == count {
            *merged = without;
            return;
        }
    }
}

/// Paths of the settings that are `"none"`.
fn nones(path: &mut Vec<String>, table: &Table, found: &mut Vec<Vec<String>>) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(table) => nones(path, table, found),
            Value::String(text) if text == NONE => found.push(path.clone()),
            _ => {}
        }
        path.pop();
    }
}

/// Takes a value out of tables in tables.
fn removed(table: &mut Table, path: &[String]) -> Option<Value> {
    match path {
        [key] => table.remove(key),
        [key, rest @ ..] => removed(table.get_mut(key)?.as_table_mut()?, rest),
        [] => None,
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

fn lay(
    path: &str,
    below: &mut Table,
    above: &Table,
    layer: &Layer,
    sections: &[&str],
    origins: &mut BTreeMap<String, String>,
) {
    for (key, value) in above {
        let full = joined(path, key);
        match (below.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(new))
                if layer.merges(&full, inner, sections) =>
            {
                lay(&full, inner, new, layer, sections, origins);
                if !sections.contains(&&full[..]) {
                    origins.insert(full, layer.origin.clone());
                }
            }
            _ => {
                below.insert(key.clone(), value.clone());
                note(&full, value, &layer.origin, sections, origins);
            }
        }
    }
}

fn note(
    path: &str,
    value: &Value,
    origin: &str,
    sections: &[&str],
    origins: &mut BTreeMap<String, String>,
) {
    match value {
        Value::Table(table) if path.is_empty() || sections.contains(&path) => {
            for (key, value) in table {
                note(&joined(path, key), value, origin, sections, origins);
            }
        }
        _ => {
            origins.insert(path.to_string(), origin.to_string());
        }
    }
}

fn flatten(path: &str, value: &Value, sections: &[&str], values: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) if path.is_empty() || sections.contains(&path) => {
            for (key, value) in table {
                flatten(&joined(path, key), value, sections, values);
            }
        }
        _ => {
            values.insert(path.to_string(), value.to_string());
        }
    }
}

/// What is wrong, with the key, where it was set, and the nearest key that exists.
fn explained(path: &str, problem: &str, origins: &BTreeMap<String, String>) -> String {
    let problem = problem.trim().replace('\n', " ");
    let quoted = |text: &str| -> Vec<String> {
        text.split('`').skip(1).step_by(2).map(str::to_string).collect()
    };
    let unknown = problem.starts_with("unknown field") || problem.starts_with("unknown variant");
    let names = quoted(&problem);
    let (mut key, mut hint) = (path.to_string(), String::new());
    if problem.starts_with("unknown field") && path == "." {
        key.clear();
    }
    if unknown && let Some((name, known)) = names.split_first() {
        if problem.starts_with("unknown field") && !path.ends_with(name.as_str()) {
            key = joined(&key, name);
        }
        let near = infuser_data::nearest(name, known).first().map(ToString::to_string);
        let section = key.rsplit_once('.').map_or("", |(section, _)| section);
        if let Some(near) = near {
            let near =
                if problem.starts_with("unknown field") { joined(section, &near) } else { near };
            hint = format!("; did you mean `{near}`?");
        }
    }
    let origin =
        origins.iter().find(|(known, _)| known.starts_with(&key) || key.starts_with(*known));
    let origin = origin.map_or(String::new(), |(_, origin)| format!(" ({origin})"));
    let what = if problem.starts_with("unknown field") {
        "there is no such key".to_string()
    } else {
        problem
            .split(if unknown { ", expected" } else { "\n" })
            .next()
            .unwrap_or(&problem)
            .to_string()
    };
    format!("`{key}`{origin}: {what}{hint}")
}

impl<T> Resolved<T> {
    /// Every setting, a line each, with its origin: a TOML file that gives the same settings again.
    pub(crate) fn text(&self) -> String {
        let origin = |key: &str| self.origins.get(key).map_or("default", String::as_str);
        let lines = self.values.iter().map(|(key, value)| {
            let line = format!("{key} = {value}");
            format!("{line:<58} # {}\n", origin(key))
        });
        lines.collect()
    }

    /// Whether these settings differ from those that the run in `out` was begun with, whose text is `old`.
    ///
    /// # Errors
    /// They do, and nobody forces them; what differs is listed.
    pub(crate) fn differs(&self, old: &str, out: &Path, force: bool) -> Result<bool, Failure>
    where
        T: Default + Serialize + DeserializeOwned,
    {
        let changes = self.changes(old)?;
        if changes.is_empty() || force {
            return Ok(!changes.is_empty());
        }
        Err(Failure::bad_input(format!(
            "{} was begun with other settings; --force goes on all the same:\n  {}",
            out.display(),
            changes.join("\n  ")
        )))
    }

    /// Where these settings differ from those of a text that [`text`](Self::text) made: keys with the old
    /// value and the new.
    pub(crate) fn changes(&self, old: &str) -> Result<Vec<String>, Failure>
    where
        T: Default + Serialize + DeserializeOwned,
    {
        let table = parsed(old, "the plan of the run")?;
        let mut before = BTreeMap::new();
        let sections: Vec<&str> = Vec::from_iter(
            self.values.keys().filter_map(|key| key.rsplit_once('.').map(|(section, _)| section)),
        );
        let mut all: Vec<&str> = sections.clone();
        for section in sections {
            let mut rest = section;
            while let Some((parent, _)) = rest.rsplit_once('.') {
                all.push(parent);
                rest = parent;
            }
        }
        flatten("", &Value::Table(table), &all, &mut before);
        let keys: std::collections::BTreeSet<&String> =
            before.keys().chain(self.values.keys()).collect();
        let shown = |value: Option<&String>| value.map_or("nothing", String::as_str).to_string();
        let changed = keys.into_iter().filter(|key| before.get(*key) != self.values.get(*key));
        Ok(changed
            .map(|key| {
                format!("{key}: {} -> {}", shown(before.get(key)), shown(self.values.get(key)))
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        run: Run,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Run {
        seed: u64,
        rate: f64,
        limit: Option<usize>,
        #[serde(default)]
        norm: Option<f64>,
        choice: Choice,
        window: Window,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Window {
        low: f64,
        high: f64,
        name: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum Choice {
        None,
        Open,
        Above { threshold: f64 },
        Within { margin: f64 },
    }

    impl Default for Run {
        fn default() -> Self {
            let window = Window { low: 0.0, high: 1.0, name: "unit".into() };
            let choice = Choice::Above { threshold: 2.0 };
            Self { seed: 1, rate: 0.5, limit: None, norm: Some(1.0), choice, window }
        }
    }

    fn with(sets: &[&str]) -> Result<Resolved<Settings>, String> {
        let layers: Vec<Layer> = sets.iter().map(|set| Layer::set(set).unwrap()).collect();
        resolve(&layers, &["run"]).map_err(|failure| failure.to_string())
    }

    #[test]
    fn later_layers_win_and_origins_are_known() {
        let plan = with(&["run.seed=3", "run.seed=4", "run.limit=9", "run.choice=open"]).unwrap();
        assert_eq!(plan.value.run.seed, 4);
        assert_eq!((plan.value.run.limit, &plan.value.run.choice), (Some(9), &Choice::Open));
        let text = plan.text();
        assert!(
            text.lines().any(|line| line.starts_with("run.seed = 4 ") && line.ends_with("# --set"))
        );
        assert!(
            text.lines()
                .any(|line| line.starts_with("run.rate = 0.5 ") && line.ends_with("# default"))
        );
        assert!(plan.changes(&text).unwrap().is_empty());
        let other = with(&["run.seed=4", "run.choice={ above = { threshold = 1.0 } }"]).unwrap();
        let changes = other.changes(&text).unwrap();
        assert_eq!(
            changes,
            ["run.choice: \"open\" -> { above = { threshold = 1.0 } }", "run.limit: 9 -> nothing"]
        );
    }

    #[test]
    fn none_takes_away_what_need_not_be_there() {
        let plan = with(&["run.limit=3", "run.norm=none", "run.limit=none"]).unwrap();
        assert_eq!((plan.value.run.limit, plan.value.run.norm), (None, None));
        let text = plan.text();
        let line = text.lines().find(|line| line.starts_with("run.norm")).unwrap();
        assert!(line.starts_with("run.norm = \"none\" ") && line.ends_with("# --set"), "{line}");
        assert!(!text.contains("run.limit"), "what is not there by default is not shown");
        let file = Layer { origin: "plan".into(), table: text.parse().unwrap(), key: Vec::new() };
        let again = resolve::<Settings>(&[file], &["run"]).unwrap();
        assert_eq!(again.value, plan.value, "the text gives the same settings again");
        assert!(again.changes(&text).unwrap().is_empty());
        assert_eq!(with(&["run.limit=2"]).unwrap().changes(&text).unwrap().len(), 2);
        // A variant and a text of that name, and what cannot be missing.
        let sets = ["run.norm=none", "run.choice=none", "run.window.name=none"];
        let plan = with(&sets).unwrap();
        assert_eq!(plan.value.run.norm, None);
        assert_eq!(
            (plan.value.run.choice, &plan.value.run.window.name[..]),
            (Choice::None, "none")
        );
        let error = with(&["run.seed=none"]).unwrap_err();
        assert_eq!(error, "`run.seed` (--set): invalid type: string \"none\", expected u64");
    }

    #[test]
    fn a_dotted_key_reaches_into_tables() {
        let plan = with(&["run.window.high=4.0", "run.choice.above.threshold=3.0"]).unwrap();
        let window = Window { low: 0.0, high: 4.0, name: "unit".into() };
        assert_eq!(plan.value.run.window, window);
        assert_eq!(plan.value.run.choice, Choice::Above { threshold: 3.0 });
        let line =
            |key: &str| plan.text().lines().find(|l| l.starts_with(key)).unwrap().to_string();
        assert!(line("run.window").ends_with("# --set") && line("run.rate").ends_with("# default"));
        // Another variant takes the place of the first, and a table the place of a table.
        let plan = with(&["run.choice.within.margin=1.0"]).unwrap();
        assert_eq!(plan.value.run.choice, Choice::Within { margin: 1.0 });
        let error = with(&["run.window={ high = 4.0 }"]).unwrap_err();
        assert!(error.starts_with("`run.window` (--set): missing field `low`"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_meant() {
        for (set, message) in [
            ("run.sede=3", "`run.sede` (--set): there is no such key; did you mean `run.seed`?"),
            ("run.rte=1.0", "`run.rte` (--set): there is no such key; did you mean `run.rate`?"),
            ("runs.seed=3", "`runs` (--set): there is no such key; did you mean `run`?"),
            ("run.seed=x", "`run.seed` (--set): invalid type: string \"x\", expected u64"),
            ("run.choice=opn", "`run.choice` (--set): unknown variant `opn`; did you mean `open`?"),
            (
                "run.choice={ above = { treshold = 1.0 } }",
                "`run.choice.above.treshold` (--set): there is no such key; did you mean `run.choice.above.threshold`?",
            ),
        ] {
            assert_eq!(with(&[set]).unwrap_err(), message, "{set}");
        }
        assert!(Layer::set("run.seed").is_err());
        assert!(Layer::set("run..seed=1").is_err());
    }
}
