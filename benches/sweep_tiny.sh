#!/usr/bin/env bash
# Chooses the solver's learning rate of three recipes alike: on the dev set, with seeds that are not reported.
# usage: benches/sweep_tiny.sh DIR [UNRELIABLE]      then: python3 benches/results_tiny.py --sweep DIR
# UNRELIABLE is the share of facts in the documents from the unreliable source, a half if left out.
set -euo pipefail
out="$(realpath -m "${1:?usage: benches/sweep_tiny.sh DIR [UNRELIABLE]}")" unreliable="${2:-0.5}"
cd "$(dirname "$0")/.."
cargo build --quiet --release -p infuser-cli
infuser=target/release/infuser
"$infuser" world --out "$out/world"
for rate in 7.5e-5 1.5e-4 3e-4 4.5e-4 6e-4 9e-4; do
    "$infuser" experiment --arms tiny,tiny-fixed,tiny-shared --seeds 101,102 --jobs 2 --out "$out/rate-$rate" \
        --set "solver.update.learning_rate=$rate" --set "data.documents=embedded:4096:$unreliable" \
        --set "data.test=$out/world/dev.jsonl" --set evaluation.samples=8
done
