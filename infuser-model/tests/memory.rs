//! What a plan says a model takes is what it takes.

use infuser_kernels::Device;
use infuser_model::{
    Accumulate, Batch, Keep, OutputGradient, Tensors, checkpoint, generate::Cache, memory,
};

use crate::fixtures::{fixture, folders_with};

#[test]
fn predicted_bytes_are_held_bytes() {
    for folder in folders_with(&fixture("models"), "golden.safetensors") {
        let model = checkpoint::load(&folder, Device::Cpu).unwrap();
        let config = model.config();
        assert_eq!(model.weights().size_bytes() as u128, memory::weights_bytes(config));
        for keep in [Keep::Nothing, Keep::BlockInputs, Keep::Everything] {
            let batch = Batch::sequences(Device::Cpu, &[vec![1; 9], vec![2; 5]]).unwrap();
            let mut workspace = model.workspace(keep).unwrap();
            model.forward(&batch, 1.0, &mut workspace).unwrap();
            if keep != Keep::Nothing {
                let mut gradients = Tensors::zeros(model.layout(), Device::Cpu).unwrap();
                let dlogp = vec![1.0; batch.outputs()];
                let gradient = OutputGradient { logp: &dlogp, entropy: None };
                let sink = &mut Accumulate::new(&mut gradients);
                model.backward(&batch, gradient, &mut workspace, sink).unwrap();
            }
            let predicted = memory::workspace_bytes(config, keep, 14, batch.outputs());
            let held = (workspace.size_bytes() - workspace.table_bytes()) as u128;
            assert_eq!(held, predicted, "{}, {keep:?}", folder.display());
        }
        let cache = Cache::new(config, &Device::Cpu, 3, 64).unwrap();
        assert_eq!(
            cache.size_bytes() as u128,
            192 * memory::cache_bytes_per_token(config, &Device::Cpu)
        );
    }
}
