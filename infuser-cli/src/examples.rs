//! Lines of JSON to learn from, as tokens.

use std::path::{Path, PathBuf};

use infuser_data::{
    chat::{ChatTemplate, Message, Options},
    files,
    tokenizer::Tokenizer,
};
use infuser_model::{ModelConfig, supervised::Example};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::say::say;

/// Turns lines into examples.
struct Reader<'a> {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    config: &'a ModelConfig,
}

/// All examples of the files. Those that are longer than the model's positions are left out, with a
/// message.
///
/// # Errors
/// A file that cannot be read; a line of another form, with its number; nothing to learn from.
pub(crate) fn read(
    paths: &[PathBuf],
    folder: &Path,
    config: &ModelConfig,
) -> Result<Vec<Example>, Failure> {
    let reader = Reader {
        tokenizer: Tokenizer::load(folder)?,
        template: ChatTemplate::load(folder)?,
        config,
    };
    let (mut examples, mut long) = (Vec::new(), 0);
    for path in paths {
        let text = files::read_text(path)?;
        for (number, line) in files::lines(&text) {
            let example = reader.example(line).map_err(|problem| {
                Failure::bad_input(format!("{}, line {number}: {problem}", path.display()))
            })?;
            if example.tokens.len() > config.max_positions {
                long += 1;
            } else {
                examples.push(example);
            }
        }
    }
    if long > 0 {
        let most = config.max_positions;
        say(format_args!(
            "{long} examples are longer than the model's {most} positions and are left out"
        ));
    }
    if examples.is_empty() {
        return Err(Failure::bad_input("data.files holds nothing to learn from"));
    }
    Ok(examples)
}

impl Reader<'_> {
    fn example(&self, line: &str) -> Result<Example, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let Value::Object(fields) = value else { return Err("expected an object".into()) };
        let text = |key: &str| match fields.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => Err(format!("`{key}` is {other}, expected a text")),
        };
        let example =
            match (text("prompt")?, text("completion")?, text("text")?, fields.get("messages")) {
                (Some(prompt), Some(completion), None, None) => {
                    self.ended(self.begun(prompt), &self.tokenizer.encode_text(completion))
                }
                (None, None, Some(text), None) => {
                    let tokens = self.begun(text);
                    let (first, rest) = tokens.split_at(1.min(tokens.len()));
                    self.ended(first.to_vec(), rest)
                }
                (None, None, None, Some(messages)) => self.conversation(messages, &fields)?,
                _ => {
                    return Err(
                        "expected `prompt` and `completion`, or `messages`, or `text`".into()
                    );
                }
            };
        if example.tokens.len() < 2 {
            return Err("nothing to learn: fewer than two tokens".into());
        }
        if let Some(token) =
            example.tokens.iter().find(|token| **token as usize >= self.config.vocab)
        {
            let vocab = self.config.vocab;
            return Err(format!("token {token} is outside the model's vocabulary of {vocab}"));
        }
        Ok(example)
    }

    fn begun(&self, text: &str) -> Vec<u32> {
        let mut tokens = self.tokenizer.prefix().to_vec();
        tokens.extend(self.tokenizer.encode_text(text));
        tokens
    }

    /// What is given, what is learned, and the end of the sequence.
    fn ended(&self, given: Vec<u32>, learned: &[u32]) -> Example {
        let mut example = Example::default();
        example.push(&given, 0.0);
        example.push(learned, 1.0);
        if let Some(end) = self.config.eos_tokens.first() {
            example.push(&[*end], 1.0);
        }
        example
    }

    /// The last turn, which must be the assistant's, is learned.
    fn conversation(
        &self,
        messages: &Value,
        fields: &Map<String, Value>,
    ) -> Result<Example, String> {
        let template = self.template.as_ref().ok_or("the model has no chat template")?;
        let messages: Vec<Message> = serde_json::from_value(messages.clone()).map_err(|error| {
            format!("`messages` is no list of {{\"role\", \"content\"}}: {error}")
        })?;
        let Some((last, before)) =
            messages.split_last().filter(|(last, _)| last.role == "assistant")
        else {
            return Err("the last message is not the assistant's".into());
        };
        let mut variables = fields.clone();
        variables.remove("messages");
        let encode = |messages: &[Message], generation_prompt: bool| {
            let options = Options { generation_prompt, variables: variables.clone() };
            template.encode(&self.tokenizer, messages, &options).map_err(|error| error.to_string())
        };
        let (given, whole) = (encode(before, true)?, encode(&messages, false)?);
        Ok(match whole.strip_prefix(&given[..]) {
            Some(rest) => {
                let mut example = Example::default();
                example.push(&given, 0.0);
                example.push(rest, 1.0);
                example
            }
            // A template that renders finished turns otherwise than it begins them.
            None => {
                let content = last.content.as_deref().unwrap_or("");
                self.ended(given, &self.tokenizer.encode_text(content))
            }
        })
    }
}
