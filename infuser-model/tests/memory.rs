//! What a plan says a model takes is what it takes.

use infuser_kernels::{Device, testing::emulated};
use infuser_model::{
    Accumulate, Batch, Keep, OutputGradient, Tensors, checkpoint, generate::Cache, memory,
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
        for keep in [Keep::Nothing, Keep::BlockInputs, Keep::Everything] {
            let batch = Batch::sequences(device.clone(), &[vec![1; 9], vec![2; 5]]).unwrap();
            let mut workspace = model.workspace(keep).unwrap();
            model.forward(&batch, 1.0, &mut workspace).unwrap();
            if keep != Keep::Nothing {
                let mut gradients = Tensors::zeros(model.layout(), device.clone()).unwrap();
                let dlogp = vec![1.0; batch.outputs()];
                let gradient = OutputGradient { logp: &dlogp, entropy: None };
                let sink = &mut Accumulate::new(&mut gradients);
                model.backward(&batch, gradient, &mut workspace, sink).unwrap();
            }
            let predicted = memory::workspace_bytes(config, &device, keep, [14, batch.outputs()]);
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
