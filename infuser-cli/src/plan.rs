//! Settings in layers: defaults, a recipe and those it extends, a file, `--set`; and where each value
//! comes from.

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
}

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
            next = match table.remove("extends") {
                Some(Value::String(parent)) => Some(parent),
                _ => None,
            };
            layers.push(Self { origin: format!("recipe {name}"), table });
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
        let mut layers = match table.remove("extends") {
            Some(Value::String(parent)) => Self::recipe(all, &parent)?,
            Some(other) => {
                return Err(Failure::bad_input(format!(
                    "{origin}: `extends` is {other}, expected a name"
                )));
            }
            None => Vec::new(),
        };
        layers.push(Self { origin, table });
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
        Ok(Self { origin: "--set".into(), table })
    }
}

fn parsed(text: &str, origin: &str) -> Result<Table, Failure> {
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map(|span| text[..span.start].lines().count().max(1));
        let line = line.map_or(String::new(), |line| format!(", line {line}"));
        Failure::bad_input(format!("{origin}{line}: {}", error.message()))
    })
}

/// Lays layers over the defaults, the last on top. `sections` are the tables that are laid over key by
/// key; any other value is replaced whole.
pub(crate) fn resolve<T: Default + Serialize + DeserializeOwned>(
    layers: &[Layer],
    sections: &[&str],
) -> Result<Resolved<T>, Failure> {
    let defaults = Table::try_from(T::default())
        .map_err(|error| Failure::bad_input(format!("defaults: {error}")))?;
    let mut merged = defaults;
    let mut origins = BTreeMap::new();
    note("", &Value::Table(merged.clone()), "default", sections, &mut origins);
    for layer in layers {
        lay("", &mut merged, &layer.table, &layer.origin, sections, &mut origins);
    }
    let value: T =
        serde_path_to_error::deserialize(Value::Table(merged.clone())).map_err(|error| {
            let path = error.path().to_string();
            Failure::bad_input(explained(&path, error.into_inner().message(), &origins))
        })?;
    let complete = Table::try_from(&value)
        .map_err(|error| Failure::bad_input(format!("settings: {error}")))?;
    let mut values = BTreeMap::new();
    flatten("", &Value::Table(complete), sections, &mut values);
    Ok(Resolved { value, values, origins })
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

fn lay(
    path: &str,
    below: &mut Table,
    above: &Table,
    origin: &str,
    sections: &[&str],
    origins: &mut BTreeMap<String, String>,
) {
    for (key, value) in above {
        let full = joined(path, key);
        match (below.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(new)) if sections.contains(&&full[..]) => {
                lay(&full, inner, new, origin, sections, origins);
            }
            _ => {
                below.insert(key.clone(), value.clone());
                note(&full, value, origin, sections, origins);
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
        choice: Choice,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum Choice {
        Open,
        Above { threshold: f64 },
    }

    impl Default for Run {
        fn default() -> Self {
            Self { seed: 1, rate: 0.5, limit: None, choice: Choice::Above { threshold: 2.0 } }
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
        let again: Settings = text.parse::<Table>().unwrap().try_into().unwrap();
        assert_eq!(again, plan.value, "the text is the plan");
        assert!(plan.changes(&text).unwrap().is_empty());
        let other = with(&["run.seed=4", "run.choice={ above = { threshold = 1.0 } }"]).unwrap();
        let changes = other.changes(&text).unwrap();
        assert_eq!(
            changes,
            ["run.choice: \"open\" -> { above = { threshold = 1.0 } }", "run.limit: 9 -> nothing"]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_meant() {
        for (set, message) in [
            ("run.sede=3", "`run.sede` (--set): there is no such key; did you mean `run.seed`?"),
            ("run.r=1.0", "`run.r` (--set): there is no such key; did you mean `run.rate`?"),
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
