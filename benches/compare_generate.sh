#!/usr/bin/env bash
# Times our rollout engine and transformers' generate in turn, A B A B, on the same threads, and prints a table.
# usage: benches/compare_generate.sh PYTHON [ROUNDS] [THREADS]     (PYTHON has torch and transformers)
set -euo pipefail
cd "$(dirname "$0")/.."
python="${1:?usage: benches/compare_generate.sh PYTHON [ROUNDS] [THREADS]}"
rounds="${2:-5}" threads="${3:-2}"
cargo build --quiet --release -p infuser-benches --bin rollout
for batch in 1 32; do
    lines=$(for _ in $(seq "$rounds"); do
        ./target/release/rollout --threads "$threads" --batch "$batch"
        "$python" benches/torch_generate.py --threads "$threads" --batch "$batch"
    done)
    printf '%s\n' "$lines" | "$python" benches/compare_generate.py
done
echo "a batch of 64, ours alone:"
./target/release/rollout --threads "$threads" --batch 64
echo "eight samples of one prompt:"
./target/release/rollout --threads "$threads" --shared 1
