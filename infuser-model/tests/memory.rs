//! What a plan says a model takes is what it takes.

use infuser_kernels::{
    Arena, Device,
    testing::{emulated, emulated_alone},
};
use infuser_model::{
    Accumulate, Batch, Keep, ModelConfig, OutputGradient, Tensors, checkpoint,
    generate::{Cache, Engine, Options, Request},
    memory,
    optim::{Optimizer, OptimizerSettings},
};

use crate::fixtures::{fixture, folders_with};

#[test]
fn predicted_bytes_are_held_bytes() {
    let folders = folders_with(&fixture("models"), "golden.safetensors");
    let both = |folder| [Device::Cpu, emulated()].map(|device| (folder, device));
    for (folder, device) in folders.iter().flat_map(both) {
        let model = checkpoint::load(folder, device.clone()).unwrap();
        let config = model.config();
        assert_eq!(model.weights().size_bytes() as u128, memory::weights_bytes(config, &device));
        let packed = model.pack().unwrap().size_bytes() as u128;
        assert_eq!(packed, memory::packed_bytes(config, &device), "{}", folder.display());
        assert_eq!(packed == 0, device != Device::Cpu);
        for keep in [Keep::Nothing, Keep::BlockInputs, Keep::Everything] {
            let batch = Batch::sequences(device.clone(), &[vec![1; 9], vec![2; 5]]).unwrap();
            let mut workspace = model.workspace(keep).unwrap();
            let outputs = if keep == Keep::Nothing {
                // Where fewer rows are asked for, the tensors of the last block have only those.
                let all = batch.with_output_rows((0..14).collect()).unwrap();
                model.logits(&all, &mut workspace).unwrap();
                all.outputs()
            } else {
                model.forward(&batch, 1.0, &mut workspace).unwrap();
                let mut gradients = Tensors::zeros(model.layout(), device.clone()).unwrap();
                let dlogp = vec![1.0; batch.outputs()];
                let gradient = OutputGradient { logp: &dlogp, entropy: None };
                let sink = &mut Accumulate::new(&mut gradients);
                model.backward(&batch, gradient, &mut workspace, sink).unwrap();
                batch.outputs()
            };
            let predicted = memory::workspace_bytes(config, &device, keep, [14, outputs]);
            let held = (workspace.size_bytes() - workspace.table_bytes()) as u128;
            assert_eq!(held, predicted, "{} on {device}, {keep:?}", folder.display());
        }
        let cache = Cache::new(config, &device, 3, 64).unwrap();
        assert_eq!(
            cache.size_bytes() as u128,
            192 * memory::cache_bytes_per_token(config, &device)
        );
    }
}

/// A config may name sizes that no machine has; what it would take is said, not computed past the end.
#[test]
fn sizes_beyond_all_machines_are_counted() {
    let text = br#"{"model_type": "qwen3", "vocab_size": 2147483648, "hidden_size": 2147483648,
        "intermediate_size": 2147483648, "num_hidden_layers": 4096, "num_attention_heads": 2147483648,
        "num_key_value_heads": 2147483648, "head_dim": 2147483648}"#;
    let config = ModelConfig::parse("config.json".as_ref(), text).unwrap();
    // Keys and values, of 2^31 heads of width 2^31, in 2^12 layers.
    assert_eq!(memory::cache_bytes_per_token(&config, &Device::Cpu), (2 * 4) << (31 + 31 + 12));
    assert_eq!(memory::cache_bytes_per_token(&config, &emulated()), (2 * 2) << (31 + 31 + 12));
    // Four projections of 2^62 rows or columns by 2^31 in each layer, and more.
    let weights = memory::weights_bytes(&config, &Device::Cpu);
    assert!(
        weights > (4 * 4) << (62 + 31 + 12) && weights < (5 * 4) << (62 + 31 + 12),
        "{weights}"
    );
    let packed = memory::packed_bytes(&config, &Device::Cpu);
    assert!(packed > weights / 2 && packed <= weights, "{packed}");
    for keep in [Keep::Nothing, Keep::BlockInputs, Keep::Everything] {
        let bytes = memory::workspace_bytes(&config, &Device::Cpu, keep, [1 << 31; 2]);
        assert!(bytes > 1 << (62 + 31), "{keep:?}: {bytes}");
    }
}

#[test]
fn a_device_counts_what_each_arena_holds() {
    let device = emulated_alone();
    let held = |arena| device.memory_use().unwrap().of(arena);
    let mut model = checkpoint::load(&fixture("models/qwen3_tied"), device.clone()).unwrap();
    let (config, layout) = (model.config().clone(), model.layout().clone());
    let [weights, set] = [memory::weights_bytes(&config, &device), memory::tensors_bytes(&config)];
    assert_eq!(held(Arena::Weights).live_bytes as u128, weights);
    {
        let mut optimizer =
            Optimizer::new(&layout, device.clone(), OptimizerSettings::default()).unwrap();
        let mut gradients = Tensors::zeros(&layout, model.device()).unwrap();
        let mut workspace = model.workspace(Keep::BlockInputs).unwrap();
        let batch = Batch::sequences(device.clone(), &[vec![1; 9], vec![2; 5]]).unwrap();
        model.forward(&batch, 1.0, &mut workspace).unwrap();
        let dlogp = vec![1.0; batch.outputs()];
        let gradient = OutputGradient { logp: &dlogp, entropy: None };
        let sink = &mut Accumulate::new(&mut gradients);
        model.backward(&batch, gradient, &mut workspace, sink).unwrap();
        optimizer.step(model.weights_mut(), &gradients).unwrap();
        let optimizer_bytes = memory::optimizer_bytes(&config, &device);
        assert_eq!(held(Arena::Optimizer).live_bytes as u128, optimizer_bytes);
        assert_eq!(held(Arena::Gradients).live_bytes as u128, set);
        assert!(held(Arena::Activations).live_bytes >= workspace.size_bytes());
        let scratch = held(Arena::Activations);
        assert!(scratch.peak_bytes > scratch.live_bytes, "ops free their scratch");

        // A copy is for what the original is for.
        let copy = optimizer.copy().unwrap();
        assert_eq!(held(Arena::Optimizer).live_bytes as u128, 2 * optimizer_bytes);
        drop(copy);

        let options = Options { cache_tokens: 64, ..Options::default() };
        let mut engine = Engine::new(&model, options).unwrap();
        engine.run(vec![Request::greedy(1, vec![3, 4], 4, &config)]).unwrap();
        let cache = 64 * memory::cache_bytes_per_token(&config, &device);
        assert_eq!(held(Arena::Cache).live_bytes as u128, cache);
    }
    drop(model);
    let all = device.memory_use().unwrap();
    for arena in Arena::ALL {
        let held = all.of(arena);
        assert!(held.live_bytes == 0 && held.peak_bytes > 0, "{}: {held:?}", arena.name());
    }
    assert_eq!(all.total().live_bytes, 0);
    let peaks: usize = Arena::ALL.iter().map(|arena| all.of(*arena).peak_bytes).sum();
    assert!(all.total().peak_bytes <= peaks);
}
