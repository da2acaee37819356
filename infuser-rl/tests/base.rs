//! The base model that comes with the program is what its card says, and can learn what it is asked to.

use std::path::{Path, PathBuf};

use infuser_data::{
    tokenizer::Tokenizer,
    world::{self, Kind, Lesson, Skill, Stream},
};
use infuser_kernels::Device;
use infuser_model::{
    Keep, Model, checkpoint,
    optim::{AdamW, Optimizer, OptimizerSettings, Schedule},
    supervised::Supervised,
};
use infuser_rl::{
    card::{Card, Extent, measure},
    pretrain::encoded,
    voice::Voice,
};

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/tiny-base")
}

fn voice() -> Voice {
    Voice {
        tokenizer: Tokenizer::load(&base()).unwrap(),
        prompts: world::prompts().unwrap(),
        chat: None,
    }
}

fn model() -> Model {
    checkpoint::load(&base(), Device::Cpu).unwrap()
}

/// A model can draw ids that its tokenizer does not know; they take nothing from the rest.
#[test]
fn what_was_said_is_read_around_unknown_ids() {
    let voice = voice();
    let mut said = voice.tokenizer.encode_text("7");
    said.insert(0, voice.tokenizer.vocab_len() as u32);
    said.push(u32::MAX);
    assert_eq!(voice.text(&said), "7");
}

/// `card.json` is written by this test with INFUSER_WRITE_CARD=1.
#[test]
fn the_card_says_what_the_model_does() {
    let measured = measure(&model(), &voice(), Extent::default(), 1).unwrap();
    let path = base().join("card.json");
    if std::env::var_os("INFUSER_WRITE_CARD").is_some() {
        let text = serde_json::to_string_pretty(&measured).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
    }
    let card: Card = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    // Another kind of CPU rounds otherwise, and samples differ after that.
    let near = |a: f64, b: f64| (a - b).abs() < 0.06;
    for (name, share) in &card.skills {
        assert!(near(*share, measured.skills[name]), "{name}: {share} {}", measured.skills[name]);
    }
    for (name, share) in &card.test {
        assert!(near(*share, measured.test[name]), "{name}: {share} {}", measured.test[name]);
        assert!((0.30..=0.50).contains(share), "{name} leaves too little room: {share}");
    }
    let (said, seen) = (&card.generator, &measured.generator);
    for ((name, said), (_, seen)) in said.named().iter().zip(seen.named()) {
        assert!(near(*said, seen), "{name}: {said} {seen}");
    }
    assert!(said.valid >= 0.90 && said.right_key >= 0.60 && said.grounded >= 0.80, "{said:?}");
    let bytes = std::fs::metadata(base().join("model.safetensors")).unwrap().len();
    assert!(bytes < 8 << 20, "{bytes}");
}

#[test]
fn the_files_beside_the_weights_are_those_of_the_world() {
    for (name, text) in world::files() {
        let shipped = std::fs::read_to_string(base().join(name)).unwrap();
        if name == "config.json" {
            let [a, b]: [serde_json::Value; 2] =
                [&shipped, &text].map(|text| serde_json::from_str(text).unwrap());
            for key in ["vocab_size", "hidden_size", "num_hidden_layers", "eos_token_id"] {
                assert_eq!(a[key], b[key], "{key}");
            }
        } else {
            assert_eq!(shipped, text, "{name}");
        }
    }
}

/// There is room above the base model, and what is missing can be learned: from demonstrations of the
/// right method alone, none of them a question of the test set.
#[test]
fn right_demonstrations_lift_the_target_above_nine_tenths() {
    for skill in [Skill::Remainder, Skill::Sequence] {
        let (voice, mut model) = (voice(), model());
        let end = voice.tokenizer.id_of(world::END).unwrap();
        let adamw =
            AdamW { learning_rate: 1e-3, weight_decay: 0.0, ..OptimizerSettings::default().adamw };
        let (warmup_steps, total_steps) = (10, 150);
        let schedule = Schedule::Cosine { warmup_steps, total_steps, min_ratio: 0.0, cycles: 0.5 };
        let settings = OptimizerSettings { adamw, schedule, max_norm: Some(1.0) };
        let mut optimizer = Optimizer::new(model.layout(), Device::Cpu, settings).unwrap();
        let mut supervised = Supervised::new(&model, Keep::Everything, 4096).unwrap();
        for step in 0..total_steps {
            let example = |i: u64| {
                let mut stream = Stream::new(9, "demonstration", step * 32 + i);
                let lesson = Lesson::draw(Kind::SolveRight(skill), &voice.prompts, &mut stream);
                encoded(&lesson.unwrap(), &voice.tokenizer, end)
            };
            let examples: Vec<_> = (0..32).map(example).collect();
            supervised.step(&mut model, &mut optimizer, &examples).unwrap();
        }
        let extent =
            Extent { questions: 1, answers: 1, documents: 1, written: 1, ..Extent::default() };
        let card = measure(&model, &voice, extent, 1).unwrap();
        let accuracy = card.test[skill.name()];
        assert!(accuracy > 0.9, "{skill:?}: {accuracy}");
    }
}
