//! `infuser tokenize`.

use infuser_data::tokenizer::Controls;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    args::Tokenize,
    encoder::{Encoder, tokens_of},
    failure::Failure,
    jsonl::{self, Output},
};

#[derive(Serialize)]
struct Tokens<'a> {
    #[serde(skip_serializing_if = "Value::is_null")]
    id: &'a Value,
    tokens: &'a [u32],
    count: usize,
}

#[derive(Serialize)]
struct Text<'a> {
    id: &'a Value,
    text: &'a str,
}

pub(crate) fn run(args: &Tokenize) -> Result<(), Failure> {
    let encoder = Encoder::open(&args.tokenizer, args.chat)?;
    let Some(tokenizer) = encoder.tokenizer() else {
        let place = args.tokenizer.display();
        return Err(Failure::bad_input(format!("{place} has no tokenizer.json")));
    };
    if args.decode {
        let path = args.input.as_deref().unwrap_or("-".as_ref());
        let texts = jsonl::read(path, |mut fields| {
            let id = jsonl::id(&mut fields)?;
            let tokens = tokens_of(&fields.remove("tokens").ok_or("`tokens` is missing")?)?;
            let text = tokenizer.decode(&tokens, Controls::Show);
            Ok((id, text.map_err(|error| error.to_string())?))
        })?;
        let mut output = Output::open(args.output.as_deref())?;
        for (id, text) in &texts {
            output.line(&Text { id, text })?;
        }
        return output.finish();
    }
    let encoded = match (&args.text, &args.input) {
        (Some(text), _) => {
            let mut fields = Map::from_iter([("text".to_string(), Value::from(text.as_str()))]);
            vec![(Value::Null, encoder.tokens(&mut fields).map_err(Failure::bad_input)?)]
        }
        (None, path) => jsonl::read(path.as_deref().unwrap_or("-".as_ref()), |mut fields| {
            Ok((jsonl::id(&mut fields)?, encoder.tokens(&mut fields)?))
        })?,
    };
    let mut output = Output::open(args.output.as_deref())?;
    for (id, tokens) in &encoded {
        output.line(&Tokens { id, tokens, count: tokens.len() })?;
    }
    output.finish()
}
