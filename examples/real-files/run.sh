#!/usr/bin/env bash
# Co-training on real files from nothing but documents, questions and a tokenizer; README.md beside it says what is what.
# usage: examples/real-files/run.sh BOOK MMLU_PRO GSM8K TOKENIZER OUT
#   BOOK       a folder of Markdown
#   MMLU_PRO   a file of the MMLU-Pro questions        GSM8K   a file of the GSM8K questions
#   TOKENIZER  a folder with the tokenizer.json and tokenizer_config.json of Qwen3
#   OUT        a new folder
# INFUSER names the program (default: `infuser`), THREADS its threads (default: 2).
set -euo pipefail
[ $# = 5 ] || { sed -n '3,8s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
book=$(realpath "$1") mmlu_pro=$(realpath "$2") gsm8k=$(realpath "$3") tokenizer=$(realpath "$4")
program=$(command -v "${INFUSER:-infuser}") && program=$(realpath "$program")
threads=${THREADS:-2}

mkdir "$5" && cd "$5"
say() { printf '\n== %s\n' "$*"; }
# Shows the command, runs it, and holds it to the exit code that is expected.
expect() {
    local code=0 expected=$1
    shift
    echo "\$ infuser $*"
    "$program" "$@" --threads "$threads" || code=$?
    [ "$code" = "$expected" ] || { echo "exit code $code, expected $expected" >&2; exit 1; }
    if [ "$code" != 0 ]; then echo "(exit code $code)"; fi
}

say "documents and questions"
mkdir config
cp "$here/config.json" "$tokenizer/tokenizer.json" "$tokenizer/tokenizer_config.json" config
expect 0 docs build "$book" --tokenizer "$tokenizer" --min-tokens 40 --max-tokens 160 --out pool.jsonl
expect 0 sets import --layout "$here/mmlu-pro.toml" --split test --input "$mmlu_pro" --out mmlu_pro.jsonl
expect 0 sets import --layout "$here/gsm8k.toml" --split train --input "$gsm8k" --out gsm8k.jsonl
python3 "$here/demonstrations.py" split .
for set in dev test; do
    expect 0 docs check pool.jsonl --against $set.jsonl --fail-above 0
done

say "a model of fresh weights"
expect 0 pretrain --set model.config=config --set steps=0 --out fresh

say "demonstrations: the prompts of infuser train, each with what should follow"
expect 0 train --config "$here/train.toml" --set models.solver=fresh/model --set data.dev=lessons.jsonl \
    --dry-run --prompts prompts.jsonl > plan.txt
python3 "$here/demonstrations.py" write .
expect 0 parse --input outputs.jsonl --output parsed.jsonl
if grep -q '"reject"' parsed.jsonl; then echo "a demonstration is no question" >&2; exit 1; fi

say "pretraining"
expect 0 pretrain --config "$here/pretrain.toml" --set model.config=config \
    --set 'data.files=["demonstrations.jsonl"]' --out pretrain

train=(train --config "$here/train.toml")
say "co-training from fresh weights: the guard stops it"
expect 1 "${train[@]}" --set models.solver=fresh/model --out run-guarded

say "the same without the guard"
expect 0 "${train[@]}" --set models.solver=fresh/model --set guard.min_valid=0 --set guard.min_answered=0 \
    --set run.iterations=1 --out run-unguarded

say "co-training from the pretrained model, stopped after its first checkpoint"
echo "\$ infuser ${train[*]} --set models.solver=pretrain/model --out run"
"$program" "${train[@]}" --set models.solver=pretrain/model --out run --threads "$threads" &
until [ -e run/checkpoints/000001 ] || ! kill -0 $! 2> /dev/null; do sleep 0.1; done
kill -INT $! || true
code=0; wait $! || code=$?
echo "(exit code $code)"
[ $code = 3 ]
say "and resumed"
expect 0 train --resume --out run
expect 0 report run --out report.html

say "what the runs measured"
python3 "$here/summary.py" run-unguarded run
