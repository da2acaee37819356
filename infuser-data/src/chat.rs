//! Chat templates: a conversation to the text that a model was trained to go on from.
//!
//! Templates are Jinja, rendered as `transformers` renders them, under a bound on the work. What people
//! and documents say in a conversation is text: [`ChatTemplate::encode`] never lets it become a
//! control token.

use std::path::Path;

use minijinja::{
    Environment, Error as Fault, ErrorKind, UndefinedBehavior,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde, Value as Jinja},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Error, Result, files, json, tokenizer::Tokenizer};

/// Instructions that one rendering may take.
const FUEL: u64 = 20_000_000;
/// The largest template file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// Names of the special tokens that templates see.
const SPECIAL: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`.
    pub role: String,
    /// What is said; null where a turn only calls tools.
    pub content: Option<String>,
    /// Whatever else a template may ask for, as `reasoning_content` or `tool_calls`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Message {
    /// A turn that only says something.
    pub fn new(role: &str, content: &str) -> Self {
        Self { role: role.to_string(), content: Some(content.to_string()), more: Map::new() }
    }
}

/// How a conversation is rendered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// End where the assistant begins to speak.
    pub generation_prompt: bool,
    /// Variables by name, as `enable_thinking` and `tools`.
    pub variables: Map<String, Value>,
}

impl Options {
    /// For a model that is to answer.
    pub fn to_answer() -> Self {
        Self { generation_prompt: true, variables: Map::new() }
    }
}

/// A model's chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Special tokens by name.
    special: Map<String, Value>,
    /// Where it stands, for messages.
    place: String,
}

const NAME: &str = "chat_template";

impl ChatTemplate {
    /// The template of a model folder: `chat_template.jinja`, else the one in `tokenizer_config.json`.
    /// `None` if it has none.
    ///
    /// # Errors
    /// Files that cannot be read, and templates that are none.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let config_path = folder.join("tokenizer_config.json");
        let config: Value = if config_path.exists() {
            let bytes = files::read_at_most(&config_path, MAX_FILE)?;
            let fault = |problem: String| Error::file(&config_path, problem);
            let text = std::str::from_utf8(&bytes).map_err(|error| fault(error.to_string()))?;
            json::value(text).map_err(fault)?
        } else {
            Value::Null
        };
        let own = folder.join("chat_template.jinja");
        if own.exists() {
            let source = files::read_text(&own)?;
            return Self::new(&source, &config, own.display().to_string()).map(Some);
        }
        let source = match &config["chat_template"] {
            Value::String(source) => source,
            Value::Array(named) => {
                let default = named.iter().find(|template| template["name"] == "default");
                let source = default.and_then(|template| template["template"].as_str());
                source.ok_or_else(|| {
                    Error::file(
                        &config_path,
                        "`chat_template` is a list without one named \"default\"",
                    )
                })?
            }
            Value::Null => return Ok(None),
            _ => return Err(Error::file(&config_path, "`chat_template` is not a text")),
        };
        Self::new(source, &config, config_path.display().to_string()).map(Some)
    }

    /// A template from its source; `config` is a `tokenizer_config.json`, for the special tokens.
    ///
    /// # Errors
    /// The source is no template; `place` is named.
    pub fn new(source: &str, config: &Value, place: String) -> Result<Self> {
        let mut environment = environment();
        environment
            .add_template_owned(NAME, without_generation(source))
            .map_err(|fault| said(&place, &fault))?;
        let token = |name: &&str| {
            let value = &config[*name];
            let text = value.as_str().or_else(|| value["content"].as_str())?;
            Some(((*name).to_string(), Value::from(text)))
        };
        Ok(Self { environment, special: SPECIAL.iter().filter_map(token).collect(), place })
    }

    /// The conversation as text.
    ///
    /// # Errors
    /// The template refuses the conversation, or does not come to an end.
    pub fn render(&self, messages: &[Message], options: &Options) -> Result<String> {
        let messages = serde_json::to_value(messages).map_err(|error| {
            Error::Setting(format!("the conversation cannot be rendered: {error}"))
        })?;
        let mut context = self.special.clone();
        // `transformers` passes these always, so that `tools is none` tells whether there are any.
        context.insert("tools".into(), Value::Null);
        context.insert("documents".into(), Value::Null);
        context.insert("messages".into(), messages);
        context.insert("add_generation_prompt".into(), options.generation_prompt.into());
        context.extend(options.variables.clone());
        let template =
            self.environment.get_template(NAME).map_err(|fault| said(&self.place, &fault))?;
        let text = template.render(Serde(&context));
        text.map_err(|fault| said(&self.place, &fault))
    }

    /// The conversation as token ids, in which only the template speaks in control tokens.
    ///
    /// Names of control tokens in what is said are encoded as the text they are. In an assistant's
    /// turns those that the tokenizer does not call special, as `<think>`, keep their meaning:
    /// templates look for them there. Without such names this is
    /// [`render`](Self::render) then [`Tokenizer::encode_markup`].
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        options: &Options,
    ) -> Result<Vec<u32>> {
        let mut said = json!({ "messages": messages, "variables": options.variables });
        let mut marks = '\u{fdd0}'..='\u{fdef}';
        let Some(mark) = marks.find(|mark| !holds(&said, *mark)) else {
            return Err(Error::Setting(
                "the conversation holds every non-character of Unicode".into(),
            ));
        };
        if !neutralise(&mut said, tokenizer, mark) {
            return Ok(tokenizer.encode_markup(&self.render(messages, options)?));
        }
        let fault = |error: serde_json::Error| {
            Error::Setting(format!("the conversation cannot be rendered: {error}"))
        };
        let messages: Vec<Message> =
            serde_json::from_value(said["messages"].take()).map_err(fault)?;
        let variables = serde_json::from_value(said["variables"].take()).map_err(fault)?;
        let options = Options { variables, ..options.clone() };
        Ok(tokenizer.encode_marked(&self.render(&messages, &options)?, mark))
    }
}

/// Whether the character stands in any text.
fn holds(value: &Value, mark: char) -> bool {
    match value {
        Value::String(text) => text.contains(mark),
        Value::Array(items) => items.iter().any(|item| holds(item, mark)),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(mark) || holds(value, mark))
        }
        _ => false,
    }
}

/// Puts the mark into every name of a control token; whether there was one.
fn neutralise(said: &mut Value, tokenizer: &Tokenizer, mark: char) -> bool {
    let all: Vec<&str> = tokenizer.control_names().map(|(name, _)| name).collect();
    let special = tokenizer.control_names().filter(|(_, special)| *special);
    let special: Vec<&str> = special.map(|(name, _)| name).collect();
    let mut found = false;
    for message in said["messages"].as_array_mut().into_iter().flatten() {
        let names = if message["role"] == "assistant" { &special } else { &all };
        for (field, value) in message.as_object_mut().into_iter().flatten() {
            if field != "role" {
                found |= marked(value, names, mark);
            }
        }
    }
    found | marked(&mut said["variables"], &all, mark)
}

fn marked(value: &mut Value, names: &[&str], mark: char) -> bool {
    match value {
        Value::String(text) => {
            let mut found = false;
            for name in names.iter().filter(|name| text.contains(**name)).collect::<Vec<_>>() {
                let first = name.chars().next().map_or(0, char::len_utf8);
                let broken = format!("{}{mark}{}", &name[..first], &name[first..]);
                *text = text.replace(*name, &broken);
                found = true;
            }
            found
        }
        Value::Array(items) => {
            items.iter_mut().fold(false, |found, item| found | marked(item, names, mark))
        }
        Value::Object(fields) => {
            fields.iter_mut().fold(false, |found, (_, value)| found | marked(value, names, mark))
        }
        _ => false,
    }
}

/// A template's complaint in one line.
fn said(place: &str, fault: &Fault) -> Error {
    let line = fault.line().map_or(String::new(), |line| format!(", line {line}"));
    let detail = fault.detail().map_or(String::new(), |detail| format!(": {detail}"));
    Error::Setting(format!("chat template {place}{line}: {}{detail}", fault.kind()))
}

/// `{% generation %}` marks what an assistant said, for training; the text is that of a plain block.
fn without_generation(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let inside = tag[..end].trim_start_matches("{%").trim_end_matches("%}");
        let name = inside.trim_matches(|next: char| next.is_whitespace() || "-+".contains(next));
        let plain = match name {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => name,
        };
        if plain == name {
            out.push_str("{%");
            rest = &tag[2..];
        } else {
            out.push_str(&tag[..end].replacen(name, plain, 1));
            rest = &tag[end..];
        }
    }
    out + rest
}

/// Jinja as `transformers` sets it up. There is no clock: templates that ask for the date use the one
/// they have for that case, or take it as a variable.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_fuel(Some(FUEL));
    environment.add_function(
        "raise_exception",
        |message: String| -> std::result::Result<Jinja, Fault> {
            Err(Fault::new(ErrorKind::InvalidOperation, message))
        },
    );
    environment.add_filter(
        "tojson",
        |value: Jinja, options: Kwargs| -> std::result::Result<Jinja, Fault> {
            let style = style(&options)?;
            let value = serde_json::to_value(&value)
                .map_err(|error| Fault::new(ErrorKind::BadSerialization, error.to_string()))?;
            Ok(Jinja::from_safe_string(style.write(&value)))
        },
    );
    environment
}

/// The arguments of `tojson`.
fn style(options: &Kwargs) -> std::result::Result<json::Style, Fault> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let separators = separators.map(<[String; 2]>::try_from).transpose().map_err(|given| {
        let said = format!("`separators` are two texts, not {}", given.len());
        Fault::new(ErrorKind::InvalidOperation, said)
    })?;
    let style = json::Style {
        indent: indent.map(|indent| indent.min(16)),
        separators: separators.map(Into::into),
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    Ok(style)
}
