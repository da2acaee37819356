//! Trains the small model of arithmetic and writes what `infuser influence validate` and
//! `infuser score` take: `small_model FOLDER` makes FOLDER/model, state.safetensors, target.jsonl and
//! questions.jsonl.

use std::{env, error::Error, fs, path::PathBuf};

use infuser_benches::arithmetic::{config, questions, train};
use infuser_influence::Question;
use infuser_kernels::rng::Stream;
use infuser_model::checkpoint::{SaveDtype, SaveOptions, save, save_state};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("usage: small_model FOLDER")?);
    fs::create_dir_all(&folder)?;
    let trained = train(250, 1)?;
    let source = folder.join("source");
    fs::create_dir_all(&source)?;
    fs::write(source.join("config.json"), config())?;
    let options = SaveOptions { dtype: SaveDtype::F32, shard_bytes: usize::MAX, source: &source };
    save(&trained.model, &folder.join("model"), &options)?;
    save_state(&folder.join("state.safetensors"), &trained.model, &trained.optimizer)?;
    let stream = Stream::new(5);
    let sums = questions(&trained.model, 64, |_| false, stream.child(0))?;
    let both = questions(&trained.model, 96, |i| i % 2 == 1, stream.child(1))?;
    fs::write(folder.join("target.jsonl"), lines(&sums))?;
    fs::write(folder.join("questions.jsonl"), lines(&both))?;
    let parameters = trained.model.layout().elements();
    println!("{parameters} parameters, loss {:.3} nats an answer after 250 steps", trained.loss);
    Ok(())
}

/// One question a line, with the reward of each answer.
fn lines(questions: &[Question]) -> String {
    let line = |(i, question): (usize, &Question)| {
        let reward = |advantage: f32| u8::from(advantage > 0.0);
        let responses: Vec<_> = question
            .responses
            .iter()
            .map(
                |response| json!({"tokens": response.tokens, "reward": reward(response.advantage)}),
            )
            .collect();
        format!("{}\n", json!({"id": i, "tokens": question.prompt, "responses": responses}))
    };
    questions.iter().enumerate().map(line).collect()
}
