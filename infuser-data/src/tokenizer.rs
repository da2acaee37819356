//! Text to token ids and back, with a `tokenizer.json`.
//!
//! There are two ways in. [`Tokenizer::encode_text`] is for what comes from outside: a control token's
//! name in it (`<|im_end|>`, `<think>`) is text like any other and becomes ordinary tokens.
//! [`Tokenizer::encode_markup`] is for what the project itself wrote, such as a rendered chat
//! template: there the names are the tokens.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;
use tokenizers::Tokenizer as Hub;

use crate::{Error, Result, files};

/// The largest `tokenizer.json` that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// A tokenizer; cheap to share between threads, none of its methods changes it.
#[derive(Debug)]
pub struct Tokenizer {
    path: PathBuf,
    /// With control tokens.
    markup: Hub,
    /// Without.
    text: Hub,
    /// Longest first, so that the longest that fits is taken.
    controls: Vec<Control>,
    prefix: Vec<u32>,
}

/// A token that text must never become.
#[derive(Debug, Clone)]
struct Control {
    name: String,
    id: u32,
    /// What the tokenizer calls special; others, as `<think>`, have a meaning all the same.
    special: bool,
    /// Takes the white space before, or behind, with it.
    strips: (bool, bool),
}

/// Whether control tokens are shown when ids become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controls {
    /// By their names.
    Show,
    /// Those that the tokenizer calls special are left out.
    Hide,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, or the one in a folder.
    ///
    /// # Errors
    /// The file is missing, too large or no tokenizer.
    pub fn load(path: &Path) -> Result<Self> {
        let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_path_buf() };
        let bytes = files::read_at_most(&path, MAX_FILE)?;
        let fault = |problem: String| Error::file(&path, format!("not a tokenizer: {problem}"));
        let mut value: Value =
            serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
        let markup = Hub::from_bytes(&bytes).map_err(|error| fault(error.to_string()))?;
        let controls = controls(&value).map_err(fault)?;
        templates(&value["post_processor"]).map_err(fault)?;
        if let Some(added) = value.get_mut("added_tokens") {
            keep_blanks(added);
        }
        let plain = serde_json::to_vec(&value).map_err(|error| fault(error.to_string()))?;
        let plain = Hub::from_bytes(&plain).map_err(|error| fault(error.to_string()))?;
        let mut tokenizer = Self { path, markup, text: plain, controls, prefix: Vec::new() };
        tokenizer.prefix = tokenizer.find_prefix();
        Ok(tokenizer)
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ids of a text in which no name of a control token counts.
    ///
    /// Text without such names gives the ids that [`encode_markup`](Self::encode_markup) gives.
    pub fn encode_text(&self, text: &str) -> Vec<u32> {
        let ids = encode(&self.text, text);
        if !ids.iter().any(|id| self.is_control(*id)) {
            return ids;
        }
        // Merges can spell a control token where it is in the vocabulary too: its name is cut in two.
        let (mut out, mut start, mut at) = (Vec::new(), 0, 0);
        while at < text.len() {
            let name = self.controls.iter().find(|control| text[at..].starts_with(&control.name));
            let step = text[at..].chars().next().map_or(1, char::len_utf8);
            at += step;
            if name.is_some() {
                out.extend(encode(&self.text, &text[start..at]));
                start = at;
            }
        }
        out.extend(encode(&self.text, &text[start..]));
        out.retain(|id| !self.is_control(*id));
        out
    }

    /// Ids of many texts, in their order, on all threads.
    pub fn encode_texts(&self, texts: &[&str]) -> Vec<Vec<u32>> {
        texts.par_iter().map(|text| self.encode_text(text)).collect()
    }

    /// Ids of a text in which the names of control tokens are these tokens. Not for what comes from
    /// outside.
    pub fn encode_markup(&self, text: &str) -> Vec<u32> {
        encode(&self.markup, text)
    }

    /// [`encode_markup`](Self::encode_markup) of a text in which `mark` was put inside names that are
    /// text; the marks themselves leave no trace.
    pub(crate) fn encode_marked(&self, text: &str, mark: char) -> Vec<u32> {
        let mut out = Vec::new();
        let (mut start, mut at) = (0, 0);
        while at < text.len() {
            let here = &text[at..];
            let Some(control) =
                self.controls.iter().find(|control| here.starts_with(&control.name))
            else {
                at += here.chars().next().map_or(1, char::len_utf8);
                continue;
            };
            let before = text[start..at].replace(mark, "");
            let before = if control.strips.0 { before.trim_end() } else { &before };
            out.extend(self.encode_text(before));
            out.push(control.id);
            at += control.name.len();
            if control.strips.1 {
                at = text.len() - text[at..].trim_start().len();
            }
            start = at;
        }
        out.extend(self.encode_text(&text[start..].replace(mark, "")));
        out
    }

    /// Tokens of a text, as [`encode_text`](Self::encode_text) makes them.
    pub fn count(&self, text: &str) -> usize {
        self.encode_text(text).len()
    }

    /// The text of ids. Bytes that are no UTF-8, as where a character is cut, become U+FFFD.
    ///
    /// # Errors
    /// An id beyond the vocabulary.
    pub fn decode(&self, ids: &[u32], controls: Controls) -> Result<String> {
        if let Some(id) = ids.iter().find(|id| self.markup.id_to_token(**id).is_none()) {
            return Err(Error::Setting(format!(
                "token {id} is not in the vocabulary of {}",
                self.path.display()
            )));
        }
        self.decode_known(ids, controls)
    }

    /// The text of what a model wrote: as [`decode`](Self::decode), but an id beyond the vocabulary has no
    /// text. A model's vocabulary may be padded beyond its tokenizer's, so that it can draw such ids.
    ///
    /// # Errors
    /// A tokenizer whose decoder fails on ids of its own.
    pub fn decode_known(&self, ids: &[u32], controls: Controls) -> Result<String> {
        let text = self.markup.decode(ids, controls == Controls::Hide);
        text.map_err(|error| Error::file(&self.path, format!("tokens cannot be decoded: {error}")))
    }

    /// The id of a token by its name, control tokens included.
    pub fn id_of(&self, name: &str) -> Option<u32> {
        self.markup.token_to_id(name)
    }

    /// Whether an id is that of a control token: added to the vocabulary, and not white space.
    pub fn is_control(&self, id: u32) -> bool {
        self.controls.iter().any(|control| control.id == id)
    }

    /// Names of control tokens that text could hold, and whether each is special.
    pub(crate) fn control_names(&self) -> impl Iterator<Item = (&str, bool)> {
        self.controls.iter().map(|control| (control.name.as_str(), control.special))
    }

    /// Ids that the tokenizer puts before every text, like a beginning-of-sequence token.
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// One more than the largest id.
    pub fn vocab_len(&self) -> usize {
        let ids = self.markup.get_vocab(true).into_values();
        ids.max().map_or(0, |id| id as usize + 1)
    }

    fn find_prefix(&self) -> Vec<u32> {
        const PROBE: &str = "a";
        let plain = encode(&self.markup, PROBE);
        let Ok(whole) = self.markup.encode_fast(PROBE, true) else { return Vec::new() };
        let whole = whole.get_ids();
        let at = whole.windows(plain.len().max(1)).position(|window| window == plain);
        whole[..at.unwrap_or(0)].to_vec()
    }
}

/// A tokenizer that was read cannot fail on text; if one does all the same, there are no ids.
fn encode(hub: &Hub, text: &str) -> Vec<u32> {
    hub.encode_fast(text, false).map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default()
}

/// Whether a template knows every token that it puts around a text: the library takes that for granted.
fn templates(processor: &Value) -> std::result::Result<(), String> {
    for inner in processor["processors"].as_array().into_iter().flatten() {
        templates(inner)?;
    }
    let pieces = ["single", "pair"].into_iter().filter_map(|kind| processor[kind].as_array());
    for name in pieces.flatten().filter_map(|piece| piece["SpecialToken"]["id"].as_str()) {
        if processor["special_tokens"].get(name).is_none() {
            let problem =
                format!("`post_processor` names {name}, which is not in its `special_tokens`");
            return Err(problem);
        }
    }
    Ok(())
}

/// The added tokens that are not white space.
fn controls(tokenizer: &Value) -> std::result::Result<Vec<Control>, String> {
    let mut found = Vec::new();
    for (i, token) in tokenizer["added_tokens"].as_array().into_iter().flatten().enumerate() {
        let name = token["content"].as_str().ok_or(format!("added token {i} has no content"))?;
        let id = token["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        let id = id.ok_or(format!("added token {i} has no id"))?;
        if is_control(token) {
            let flag = |name: &str| token[name].as_bool().unwrap_or(false);
            let strips = (flag("lstrip"), flag("rstrip"));
            found.push(Control { name: name.to_string(), id, special: flag("special"), strips });
        }
    }
    found.sort_by_key(|control: &Control| std::cmp::Reverse(control.name.len()));
    Ok(found)
}

/// Runs of white space that some tokenizers add to the vocabulary are ordinary text.
fn is_control(token: &Value) -> bool {
    let special = token["special"].as_bool().unwrap_or(false);
    let name = token["content"].as_str().unwrap_or("");
    !name.is_empty() && (special || !name.chars().all(char::is_whitespace))
}

fn keep_blanks(added: &mut Value) {
    if let Value::Array(tokens) = added {
        tokens.retain(|token| !is_control(token));
    }
}
