#!/usr/bin/env bash
# Checks and measures infuser on this machine's first GPU. Needs bash, coreutils, the NVIDIA driver, NVRTC and
# cuBLASLt; no Rust, no network.
#
# usage: run.sh [--python PYTHON] [--only PART,PART…] [--limit SECONDS]
#   --python  a Python in whose environment NVIDIA's wheels or torch are looked for (default: the active one)
#   --only    some of: parity golden influence determinism train memcheck racecheck ops models sdpa
#   --limit   seconds for each part (default 600)
# Logs and results.json go to $OUT (default ./gpu-results). Exit code: 0 all passed, 1 a part failed,
# 2 no GPU here or bad usage.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$here/bin
parts="parity golden influence determinism train memcheck racecheck ops models sdpa"
only=$parts
limit=600
python=

stop() {
    echo "$1" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || stop "run.sh: $1 needs a value, or is unknown (--python, --only, --limit)"
    case $1 in
        --python) python=$2 ;;
        --only) only=${2//,/ } ;;
        --limit) limit=$2 ;;
        *) stop "run.sh: $1 is unknown; expected --python, --only or --limit" ;;
    esac
    shift 2
done
for part in $only; do
    [[ " $parts " == *" $part "* ]] || stop "run.sh: no part is called $part; expected some of: $parts"
done
[[ $limit =~ ^[1-9][0-9]*$ ]] || stop "run.sh: --limit $limit is no number of seconds"

# The program asks the driver itself: its own list of devices says whether there is a GPU.
said=$("$bin/infuser" doctor --json 2>&1) || stop "run.sh: bin/infuser does not run here: ${said##*$'\n'}"
if ! grep -q '"cuda"' <<<"$said"; then
    stop "run.sh: no GPU here that an NVIDIA driver shows; nothing was checked or measured"
fi

OUT=${OUT:-gpu-results}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) || stop "run.sh: cannot make the folder $OUT; set OUT to another"

# --- NVIDIA's libraries -------------------------------------------------------------------------------------

# Folders that may hold them: those given, the toolkit's, and those of wheels in a Python environment.
candidates() {
    local root
    [ -z "${INFUSER_CUDA_LIBRARIES:-}" ] || echo "$INFUSER_CUDA_LIBRARIES"
    for root in ${CUDA_HOME:-} ${CUDA_PATH:-} /usr/local/cuda /usr/local/cuda-13* /opt/cuda; do
        echo "$root/lib64"
        echo "$root/targets/x86_64-linux/lib"
    done
    local one site
    for one in "$python" "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" "${CONDA_PREFIX:+$CONDA_PREFIX/bin/python}" \
        python3; do
        [ -n "$one" ] && command -v "$one" >/dev/null || continue
        "$one" -c 'import site, sys; print("\n".join(sys.path + site.getsitepackages()))' 2>/dev/null |
            while read -r site; do
                [ -d "$site/nvidia" ] || continue
                echo "$site/nvidia/cu13/lib"
                echo "$site/nvidia/cuda_nvrtc/lib"
                echo "$site/nvidia/cublas/lib"
            done
    done
}

# The first candidate that holds a library of this name, in the version that the kernels are tested with if
# there is one.
folder_of() {
    local name found
    for name in "$1.so.13" "$1.so" "$1.so.12"; do
        found=$(candidates | while read -r one; do
            [ -e "$one/$name" ] && echo "$one" && break
        done)
        [ -z "$found" ] || { echo "$found" && return; }
    done
}

# Sets LD_LIBRARY_PATH for all that follows, and says where the libraries are.
find_libraries() {
    local name found
    libraries=
    for name in libnvrtc libcublasLt; do
        found=$(folder_of $name)
        if [ -n "$found" ]; then
            echo "$name: $found"
            [[ ":$libraries:" == *":$found:"* ]] || libraries=$libraries${libraries:+:}$found
        else
            echo "$name: left to the system's loader"
        fi
    done
    [ -z "$libraries" ] || export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    # The path says where they are; a folder named to the programs would have to hold both.
    unset INFUSER_CUDA_LIBRARIES INFUSER_NVRTC
}

# --- the parts ----------------------------------------------------------------------------------------------

# Tests of a binary that a filter names; a filter that names none is a failure.
tests() {
    local log=$OUT/tests-$part.txt
    "$@" --test-threads 1 2>&1 | tee "$log"
    local code=${PIPESTATUS[0]}
    [ "$code" -eq 0 ] || return "$code"
    grep -q 'test result: ok' "$log" && ! grep -q ' 0 passed' "$log"
}

part_parity() { tests "$bin/kernels_tests" cuda::tests::gpu; }
part_golden() { tests "$bin/model_tests" cuda::; }
part_influence() { tests "$bin/influence_tests" cuda::; }

train() { "$bin/infuser" train --device cuda --set run.iterations=2 --out "$1"; }

part_train() {
    rm -rf "$OUT/train"
    train "$OUT/train" && [ -n "$(find "$OUT/train" -name model.safetensors -path '*checkpoints*')" ]
}

# The same command twice: samples, log-probabilities and trained weights must have the same bits.
part_determinism() {
    local stories=$here/infuser-model/fixtures/stories260k round
    for round in 1 2; do
        rm -rf "$OUT/same-$round" && mkdir -p "$OUT/same-$round"
        "$bin/infuser" generate --device cuda --model "$stories" --input "$here/examples/prompts.jsonl" \
            --max-tokens 60 --temperature 1 --seed 7 -n 4 >"$OUT/same-$round/samples.jsonl" || return 1
        "$bin/infuser" logprobs --device cuda --model "$stories" --input "$here/examples/prompts.jsonl" \
            >"$OUT/same-$round/logprobs.jsonl" || return 1
        train "$OUT/same-$round/run" || return 1
        (cd "$OUT/same-$round" && find . -name '*.jsonl' -not -name metrics.jsonl -o -name '*.safetensors' |
            sort | xargs sha256sum) >"$OUT/same-$round.txt" || return 1
    done
    grep -q checkpoints "$OUT/same-1.txt" && diff "$OUT/same-1.txt" "$OUT/same-2.txt" && echo "same bits"
}

# A reduced set, since these slow kernels down many times. Findings are the sanitizer's exit code.
sanitizer() {
    local tool
    tool=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -1)
    if [ -z "$tool" ]; then
        echo "skipped: there is no compute-sanitizer"
        return 77
    fi
    tests "$tool" --tool "$1" --error-exitcode 9 "$bin/kernels_tests" cuda::tests::gpu &&
        tests "$tool" --tool "$1" --error-exitcode 9 "$bin/model_tests" cuda::logits_match_pytorch
}

part_memcheck() { sanitizer memcheck; }
part_racecheck() { sanitizer racecheck; }

part_ops() { "$bin/cuda_ops" --bench; }
part_models() { "$bin/gpu_step"; }

part_sdpa() {
    local one
    for one in "$python" python3 python; do
        [ -n "$one" ] && command -v "$one" >/dev/null || continue
        "$one" -c 'import torch' 2>/dev/null || continue
        "$one" "$here/torch_sdpa.py"
        return
    done
    echo "skipped: no Python here has torch"
    return 77
}

# --- the run ------------------------------------------------------------------------------------------------

# A part is a process of this script, so that a time limit ends all of it.
if [ -n "${INFUSER_PART:-}" ]; then
    part=$INFUSER_PART
    "part_$part"
    exit
fi

find_libraries
export INFUSER_REQUIRE_GPU=1 INFUSER_TEST_GPU=1 CARGO_MANIFEST_DIR=$here/infuser-model
lines=$OUT/lines.jsonl
: >"$lines"
failed=0
table=
rows=
for part in $only; do
    log=$OUT/$part.log
    echo "== $part (at most $limit s; $log)"
    start=$(date +%s.%N)
    INFUSER_PART=$part OUT=$OUT timeout --kill-after 10 "$limit" "$0" --limit "$limit" \
        ${python:+--python "$python"} >"$log" 2>&1
    code=$?
    took=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
    note=
    case $code in
        0) state=passed ;;
        77) state=skipped note=$(grep -a '^skipped' "$log" | tail -1) ;;
        124 | 137) state="timed out" failed=1 ;;
        *)
            state=failed failed=1
            # A panic says where, and on the next line what.
            note=$(grep -aA1 -m1 'panicked at' "$log" | tr '\n' ' ' ||
                grep -aE 'error|FAILED|ERROR SUMMARY' "$log" | tail -1)
            ;;
    esac
    grep -a '^{"bench"' "$log" >>"$lines"
    note=$(tr -d '\000-\037"\\' <<<"$note" | cut -c 1-160 | sed 's/ *$//')
    table+=$(printf '%-12s %-9s %8s s  %s' "$part" "$state" "$took" "$note")$'\n'
    rows+="${rows:+, }{\"part\": \"$part\", \"state\": \"$state\", \"exit_code\": $code, \"seconds\": $took, \"note\": \"$note\"}"
done

gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader -i 0 2>/dev/null |
    tr -d '\000-\037"\\')
{
    echo "{\"gpu\": \"$gpu\", \"date\": \"$(date -u +%FT%TZ)\", \"libraries\": \"$libraries\","
    echo "\"bundle\": $(cat "$here/bundle.json"),"
    echo "\"parts\": [$rows],"
    echo "\"measured\": [$(paste -sd, "$lines")]}"
} >"$OUT/results.json"

echo
if [ -s "$lines" ]; then
    # One line a measurement: its name, then what it reached.
    awk '
        function field(name,   at, rest) {
            at = index($0, "\"" name "\":")
            if (!at) return ""
            rest = substr($0, at + length(name) + 3)
            sub(/^ */, "", rest)
            if (rest ~ /^"/) { rest = substr(rest, 2); sub(/".*/, "", rest) } else sub(/[,}].*/, "", rest)
            return rest
        }
        {
            name = field("bench") " " field("op") field("model") " " field("batch")
            shown = ""
            wanted = "tokens_per_s gbytes_per_s share_of_copy tflops share_of_gemm mfu_of_gemm error"
            if (field("bench") == "cuda_card") wanted = "copy_gbytes_per_s gemm_tflops"
            count = split(wanted, keys, " ")
            for (i = 1; i <= count; i++) {
                value = field(keys[i])
                if (value == "") continue
                if (value ~ /^[0-9.e+-]+$/) value = sprintf(value + 0 < 10 ? "%.3f" : "%.0f", value)
                shown = shown "  " keys[i] " " value
            }
            printf "%-58s%s\n", name, substr(shown, 1, 120)
        }' "$lines"
    echo
fi
printf '%s' "$table"
echo "$OUT/results.json"
exit $failed
