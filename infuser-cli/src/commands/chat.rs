//! `infuser chat`.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use infuser_data::chat::Message;
use infuser_model::{
    ModelConfig, checkpoint,
    generate::{Engine, FinishReason, Options, Request, Sample},
    memory,
};
use rustyline::{Config, DefaultEditor, error::ReadlineError};
use serde_json::Map;

use crate::{
    args::Chat,
    device,
    encoder::{Decoder, Encoder},
    failure::Failure,
    say::say,
};

/// What a line asks for.
enum Line {
    Say(String),
    New,
    Quit,
}

/// A conversation, and what it needs to go on.
struct Talk<'a> {
    encoder: &'a Encoder,
    engine: Engine<'a>,
    /// Of every answer, but for id and prompt.
    request: Request,
    system: Option<&'a str>,
    messages: Vec<Message>,
    answers: u64,
    /// Set by Ctrl-C while an answer is on its way.
    stop: Arc<AtomicBool>,
}

pub(crate) fn run(args: &Chat) -> Result<(), Failure> {
    let config = ModelConfig::read(&args.model)?;
    let request = args.decoding.request(&config, args.max_tokens)?;
    let encoder = Encoder::open(&args.model, false)?;
    let Some(tokenizer) = encoder.tokenizer() else {
        let place = args.model.display();
        return Err(Failure::bad_input(format!("{place} has no tokenizer.json, which chat needs")));
    };
    let model = checkpoint::load(&args.model, device::open(args.on)?)?;
    let room = args.decoding.cache_bytes() as u128
        / memory::cache_bytes_per_token(&config, &model.device()).max(1);
    let cache_tokens = room.min(config.max_positions as u128) as usize;
    let decoder = Decoder(tokenizer);
    let engine = Engine::new(&model, Options { cache_tokens, ..Options::default() })?;
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::failed("cannot listen for Ctrl-C", error))?;
    let mut talk = Talk {
        encoder: &encoder,
        engine: engine.with_text(&decoder),
        request,
        system: args.system.as_deref(),
        messages: Vec::new(),
        answers: 0,
        stop,
    };
    if !talk.encoder.has_template() {
        say("no chat template: each line is continued as a text of its own");
    }
    let mut editor = DefaultEditor::with_config(Config::default())
        .map_err(|error| Failure::failed("cannot read lines", error))?;
    talk.start();
    loop {
        match read(&mut editor)? {
            Line::Quit => break,
            Line::New => talk.start(),
            Line::Say(text) => talk.answer(&text)?,
        }
    }
    if let Some(note) = device::graph_note(&model.device()) {
        say(&note);
    }
    Ok(())
}

fn read(editor: &mut DefaultEditor) -> Result<Line, Failure> {
    loop {
        let text = match editor.readline("> ") {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => {
                say("(Ctrl-D or /quit leaves)");
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(Line::Quit),
            Err(error) => return Err(Failure::failed("cannot read a line", error)),
        };
        match text.trim() {
            "" => continue,
            "/quit" | "/exit" => return Ok(Line::Quit),
            "/new" => return Ok(Line::New),
            command if command.starts_with('/') => {
                say(format_args!("{command} is no command; there are /new and /quit"));
            }
            _ => {
                // A line that cannot be remembered can still be answered.
                let _ = editor.add_history_entry(&text);
                return Ok(Line::Say(text));
            }
        }
    }
}

impl Talk<'_> {
    fn start(&mut self) {
        self.messages = self.system.map(|text| Message::new("system", text)).into_iter().collect();
    }

    /// The prompt of the next answer.
    fn prompt(&self, text: &str) -> Result<Vec<u32>, String> {
        if self.encoder.has_template() {
            self.encoder.conversation(&self.messages, &mut Map::new())
        } else {
            self.encoder.text(text)
        }
    }

    /// Says `text` to the model and prints what it answers.
    fn answer(&mut self, text: &str) -> Result<(), Failure> {
        self.messages.push(Message::new("user", text));
        let submitted = self.prompt(text).and_then(|prompt| {
            let request = Request { id: self.answers, prompt, ..self.request.clone() };
            self.engine.submit(request).map_err(|error| error.to_string())
        });
        if let Err(problem) = submitted {
            say(format_args!("{problem} (/new starts a new conversation)"));
            self.messages.pop();
            return Ok(());
        }
        let (started, before) = (Instant::now(), self.engine.counters());
        let text = self.stream()?;
        self.messages.push(Message::new("assistant", &text));
        self.answers += 1;
        if io::stderr().is_terminal() {
            let counters = self.engine.counters();
            let new = counters.new_tokens - before.new_tokens;
            let reused = counters.shared_tokens - before.shared_tokens;
            let seconds = started.elapsed().as_secs_f64();
            let rate = new as f64 / seconds.max(1e-9);
            say(format_args!(
                "({new} tokens in {seconds:.1} s, {rate:.0} a second; {reused} reused)"
            ));
        }
        Ok(())
    }

    /// Prints the answer as it comes; the whole of it.
    fn stream(&mut self) -> Result<String, Failure> {
        self.stop.store(false, Ordering::Relaxed);
        let mut printed = String::new();
        loop {
            let finished = self.engine.step()?;
            if let Some(sample) = finished.into_iter().next() {
                let Sample { text, finish_reason, .. } = sample;
                let text = text.unwrap_or_default();
                print_rest(&mut printed, &text)?;
                end_line(&printed)?;
                if let FinishReason::Error(problem) = finish_reason {
                    say(format_args!("{problem} (/new starts a new conversation)"));
                }
                return Ok(text);
            }
            if let Some((_, Some(text))) = self.engine.partial(self.answers, 0) {
                let text = text.to_owned();
                print_rest(&mut printed, &text)?;
            }
            if self.stop.swap(false, Ordering::Relaxed) {
                self.engine.cancel(self.answers);
                end_line(&printed)?;
                say("(stopped)");
                return Ok(printed);
            }
        }
    }
}

/// Prints what of `text` is not printed yet.
fn print_rest(printed: &mut String, text: &str) -> Result<(), Failure> {
    let Some(rest) = text.strip_prefix(printed.as_str()).filter(|rest| !rest.is_empty()) else {
        return Ok(());
    };
    printed.push_str(rest);
    let mut out = io::stdout().lock();
    write!(out, "{rest}").and_then(|()| out.flush()).map_err(to_output)
}

fn end_line(printed: &str) -> Result<(), Failure> {
    if printed.ends_with('\n') {
        return Ok(());
    }
    writeln!(io::stdout()).map_err(to_output)
}

fn to_output(error: io::Error) -> Failure {
    Failure::output("standard output", error)
}
