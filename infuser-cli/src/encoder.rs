//! What a line of input says, as token ids.

use std::path::Path;

use infuser_data::{
    chat::{ChatTemplate, Message, Options},
    tokenizer::{Controls, Tokenizer},
};
use infuser_model::generate::Decode;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// The tokenizer and the chat template of a folder, as far as they are there.
pub(crate) struct Encoder {
    tokenizer: Option<Tokenizer>,
    template: Option<ChatTemplate>,
    /// Where they were looked for.
    place: String,
    /// Whether a text is what a user says.
    chat: bool,
}

impl Encoder {
    /// Reads what is there; a folder without a tokenizer can still work on `tokens`.
    pub(crate) fn open(path: &Path, chat: bool) -> Result<Self, Failure> {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let there = !path.is_dir() || path.join("tokenizer.json").exists();
        let tokenizer = if there { Some(Tokenizer::load(path)?) } else { None };
        let template = if there { ChatTemplate::load(folder)? } else { None };
        let encoder = Self { tokenizer, template, place: folder.display().to_string(), chat };
        if chat {
            encoder
                .template()
                .map_err(|problem| Failure::bad_input(format!("--chat: {problem}")))?;
        }
        Ok(encoder)
    }

    /// The tokenizer, if there is one.
    pub(crate) fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// Takes the one of `tokens`, `text` and `messages` that a line has.
    pub(crate) fn tokens(&self, fields: &mut Map<String, Value>) -> Result<Vec<u32>, String> {
        match (fields.remove("tokens"), fields.remove("text"), fields.remove("messages")) {
            (Some(tokens), None, None) => tokens_of(&tokens),
            (None, Some(Value::String(text)), None) if self.chat => {
                self.conversation(&[Message::new("user", &text)], fields)
            }
            (None, Some(Value::String(text)), None) => self.text(&text),
            (None, Some(other), None) => Err(format!("`text` is {other}, expected a string")),
            (None, None, Some(messages)) => {
                let messages: Vec<Message> = serde_json::from_value(messages).map_err(|error| {
                    format!("`messages` is no list of {{\"role\", \"content\"}}: {error}")
                })?;
                self.conversation(&messages, fields)
            }
            (None, None, None) => {
                Err("one of `text`, `messages` and `tokens` (a list of token ids) is missing"
                    .into())
            }
            _ => Err("give one of `text`, `messages` and `tokens`, not several".into()),
        }
    }

    /// A text from its start, with what the tokenizer puts before it.
    pub(crate) fn text(&self, text: &str) -> Result<Vec<u32>, String> {
        let tokenizer = self.needed()?;
        let mut ids = tokenizer.prefix().to_vec();
        ids.extend(tokenizer.encode_text(text));
        Ok(ids)
    }

    /// Whether conversations can be encoded.
    pub(crate) fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// Takes the one of `tokens` and `text` that an answer has; nothing is put before a text.
    pub(crate) fn answer(&self, fields: &mut Map<String, Value>) -> Result<Vec<u32>, String> {
        match (fields.remove("tokens"), fields.remove("text")) {
            (Some(tokens), None) => tokens_of(&tokens),
            (None, Some(Value::String(text))) => Ok(self.needed()?.encode_text(&text)),
            (None, Some(other)) => Err(format!("`text` is {other}, expected a string")),
            (None, None) => Err("one of `text` and `tokens` is missing".into()),
            _ => Err("give one of `text` and `tokens`, not both".into()),
        }
    }

    /// The assistant is to speak next, unless it spoke last.
    pub(crate) fn conversation(
        &self,
        messages: &[Message],
        fields: &mut Map<String, Value>,
    ) -> Result<Vec<u32>, String> {
        let template = self.template()?;
        let variables = match fields.remove("variables") {
            None => Map::new(),
            Some(Value::Object(variables)) => variables,
            Some(other) => return Err(format!("`variables` is {other}, expected an object")),
        };
        let generation_prompt = messages.last().is_none_or(|last| last.role != "assistant");
        let options = Options { generation_prompt, variables };
        template.encode(self.needed()?, messages, &options).map_err(|error| error.to_string())
    }

    fn needed(&self) -> Result<&Tokenizer, String> {
        let missing = || {
            format!(
                "a text needs a tokenizer, and {} has no tokenizer.json; give `tokens`",
                self.place
            )
        };
        self.tokenizer.as_ref().ok_or_else(missing)
    }

    fn template(&self) -> Result<&ChatTemplate, String> {
        self.needed()?;
        let missing = || {
            format!(
                "{} has no chat template (chat_template.jinja, or in tokenizer_config.json)",
                self.place
            )
        };
        self.template.as_ref().ok_or_else(missing)
    }
}

/// The tokenizer, for an engine that returns texts; control tokens are not shown.
pub(crate) struct Decoder<'a>(pub(crate) &'a Tokenizer);

impl Decode for Decoder<'_> {
    fn decode(&self, tokens: &[u32]) -> Option<String> {
        self.0.decode_known(tokens, Controls::Hide).ok()
    }
}

/// A JSON list of token ids.
pub(crate) fn tokens_of(tokens: &Value) -> Result<Vec<u32>, String> {
    let Value::Array(list) = tokens else {
        return Err("`tokens` is not a list of token ids".into());
    };
    let token = |value: &Value| {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| format!("`tokens` holds {value}, expected token ids"))
    };
    list.iter().map(token).collect()
}
