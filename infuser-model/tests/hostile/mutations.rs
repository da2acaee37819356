use std::fs;

use infuser_kernels::Device;
use infuser_model::checkpoint;
use proptest::prelude::*;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// One change of a file's first part.
#[derive(Debug, Clone)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Delete(prop::sample::Index),
    Truncate(prop::sample::Index),
    Length(u64),
}

impl Mutation {
    /// Changes `file`, whose header ends at `end`; returns where it ends then.
    fn apply(&self, file: &mut Vec<u8>, end: usize) -> usize {
        match self {
            Self::Set(at, byte) => file[at.index(end)] = *byte,
            Self::Insert(at, byte) => {
                file.insert(at.index(end), *byte);
                return end + 1;
            }
            Self::Delete(at) => {
                file.remove(at.index(end));
                return end - 1;
            }
            Self::Truncate(at) => {
                file.truncate(at.index(end));
                return file.len();
            }
            Self::Length(length) => {
                let field = end.min(8);
                file[..field].copy_from_slice(&length.to_le_bytes()[..field]);
            }
        }
        end
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    // Mostly bytes that mean something in a header, so that not every case ends at the JSON parser.
    let byte = || prop_oneof![3 => prop::sample::select(&b"0123456789{}[]\":, -eFBIU"[..]), 1 => any::<u8>()];
    prop_oneof![
        6 => (at(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        2 => (at(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => at().prop_map(Mutation::Delete),
        1 => at().prop_map(Mutation::Truncate),
        1 => prop_oneof![any::<u64>(), 0..2000u64].prop_map(Mutation::Length),
    ]
}

/// A folder with a model of 2 rows a tensor, and the bytes of its weights file.
fn tiny_model() -> (TempDir, Vec<u8>) {
    let config = json!({"model_type": "llama", "vocab_size": 3, "hidden_size": 2,
        "intermediate_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1,
        "tie_word_embeddings": true});
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
    let config = infuser_model::ModelConfig::read(folder.path()).unwrap();
    let layout = infuser_model::Layout::new(&config);
    let data: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let views = layout.params().iter().map(|param| {
        let bytes = &data[..4 * param.elements() as usize];
        (&param.name, TensorView::new(Dtype::F32, param.axes.clone(), bytes).unwrap())
    });
    let file = safetensors::serialize(views, None).unwrap();
    (folder, file)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn mutated_headers_load_equal_values_or_fail(
        mutations in prop::collection::vec(mutation(), 1..5)
    ) {
        let (folder, mut file) = tiny_model();
        let path = folder.path().join(WEIGHTS);
        fs::write(&path, &file).unwrap();
        let intact = checkpoint::load(folder.path(), Device::Cpu).unwrap();
        let mut end = file.len() - split(&file).1.len();
        for mutation in &mutations {
            if end > 0 {
                end = mutation.apply(&mut file, end);
            }
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, &file).unwrap();
        match checkpoint::load(folder.path(), Device::Cpu) {
            Ok(model) => prop_assert_eq!(model.weights(), intact.weights()),
            Err(error) => prop_assert!(error.is_bad_input(), "{}", error),
        }
        prop_assert_eq!(checkpoint::inventory(folder.path()).is_ok(),
            checkpoint::load(folder.path(), Device::Cpu).is_ok());
    }
}
