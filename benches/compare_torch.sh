#!/usr/bin/env bash
# Times our training step and PyTorch's in turn, A B A B, on the same threads, and prints a table.
# usage: benches/compare_torch.sh PYTHON [ROUNDS] [THREADS] [STEPS]     (PYTHON has torch and transformers)
set -euo pipefail
cd "$(dirname "$0")/.."
python="${1:?usage: benches/compare_torch.sh PYTHON [ROUNDS] [THREADS] [STEPS]}"
rounds="${2:-5}" threads="${3:-2}" steps="${4:-8}"
cargo build --quiet --release -p infuser-benches --bin train_step
lines=$(for _ in $(seq "$rounds"); do
    ./target/release/train_step --threads "$threads" --steps "$steps"
    "$python" benches/torch_step.py --threads "$threads" --steps "$steps"
done)
printf '%s\n' "$lines" | "$python" benches/compare_table.py
