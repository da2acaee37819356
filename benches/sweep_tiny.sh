#!/usr/bin/env bash
# Chooses the solver's learning rate of three recipes alike: on the dev set, with seeds that are not reported.
# usage: benches/sweep_tiny.sh DIR      (then: python3 benches/results_tiny.py --sweep DIR)
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:?usage: benches/sweep_tiny.sh DIR}"
cargo build --quiet --release -p infuser-cli
infuser=target/release/infuser
"$infuser" world --out "$out/world"
for rate in 1.5e-4 3e-4 4.5e-4 6e-4 9e-4; do
    "$infuser" experiment --arms tiny,tiny-fixed,tiny-shared --seeds 101,102 --jobs 2 --out "$out/rate-$rate" \
        --set "solver.update.learning_rate=$rate" --set "data.test=$out/world/dev.jsonl" --set evaluation.samples=8
done
