//! What a role is told, as tokens, and what it said, as text.

use infuser_data::{
    chat::{ChatTemplate, Message, Options},
    prompt::{Ask, Prompts},
    tokenizer::{Controls, Tokenizer},
};
use serde::Serialize;

use crate::error::Result;

/// A model's language: tokenizer, prompts, and how a prompt is put.
#[derive(Debug)]
pub struct Voice {
    /// The tokenizer of the model.
    pub tokenizer: Tokenizer,
    /// What it is told.
    pub prompts: Prompts,
    /// For a chat model, its template and the template's variables; `None` for a model that continues a
    /// text.
    pub chat: Option<(ChatTemplate, Options)>,
}

/// A prompt as text. It serializes as one field, `messages` or `prompt`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Put {
    /// Turns before the model's own.
    Messages(Vec<Message>),
    /// A text to continue.
    Prompt(String),
}

impl Voice {
    /// The tokens of a prompt, up to where the model goes on.
    ///
    /// # Errors
    /// A template that cannot be filled in.
    pub fn prompt(&self, ask: &Ask<'_>) -> Result<Vec<u32>> {
        Ok(self.put(ask)?.1)
    }

    /// A prompt before it is tokens, as `infuser pretrain` and its like read it to learn what should
    /// follow it; and its tokens.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt).
    pub fn put(&self, ask: &Ask<'_>) -> Result<(Put, Vec<u32>)> {
        if let Some((template, options)) = &self.chat {
            let messages = self.prompts.chat(ask)?;
            let tokens = template.encode(&self.tokenizer, &messages, options)?;
            return Ok((Put::Messages(messages), tokens));
        }
        let text = self.prompts.text(ask)?;
        let mut tokens = self.tokenizer.prefix().to_vec();
        tokens.extend(self.tokenizer.encode_text(&text));
        Ok((Put::Prompt(text), tokens))
    }

    /// The text of what was said; tokens that the tokenizer does not know are left out.
    pub fn text(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode_known(tokens, Controls::Hide).unwrap_or_default()
    }
}
