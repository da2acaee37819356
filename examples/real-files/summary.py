"""A table of each run: summary.py RUN…, from its metrics.jsonl and summary.json."""

import json
import sys
from pathlib import Path

# Label, stage and metric.
ROWS = [
    ("outputs of the generator", "questions", "gen_question_rollout/num_generated_questions"),
    ("valid share", "questions", "gen_question_rollout/frac_valid_questions"),
    ("cut off at max_tokens", "questions", "gen_question_rollout/frac_truncated"),
    ("solver accuracy, dev", "dev", "dev_rollout/accuracy_strict"),
    ("solver accuracy, questions", "answers", "gen_answer_rollout/accuracy_strict"),
    ("questions whose answers differ", "answers", "gen_answer_rollout/frac_diverse_questions"),
    ("influence, mean", "scores", "influence_sim/score/mean"),
    ("influence, deviation", "scores", "influence_sim/score/std"),
    ("generator reward, mean", "generator", "gen_critic/rewards/mean"),
    ("generator reward, deviation", "generator", "gen_critic/rewards/std"),
    ("generator rows learned from", "generator", "train/gen_num_training_samples"),
    ("generator gradient norm", "generator", "gen_actor/grad_norm/mean"),
    ("solver answers learned from", "solver", "train/solver_num_training_samples"),
    ("solver gradient norm", "solver", "solver_actor/grad_norm/mean"),
    ("test accuracy", "evaluation", "test/accuracy_strict"),
]
REJECT = "gen_question_rollout/reject/"


def table(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    values, seconds = {}, {}
    for line in lines:
        at = line["iteration"]
        seconds.setdefault(line["stage"], {})[at] = line["secs"]
        for name, value in line["metrics"].items():
            values.setdefault((line["stage"], name), {})[at] = value
    rejects = sorted(name for _, name in values if name.startswith(REJECT))
    rows = ROWS[:3] + [(f"  {name.removeprefix(REJECT)}", "questions", name) for name in rejects] + ROWS[3:]
    last = max(line["iteration"] for line in lines)
    heads = "".join(f"{at:>10}" for at in range(last + 1))
    print(f"{str(run):<34}{heads}")
    for label, stage, name in rows:
        show(label, values.get((stage, name), {}), last)
    for stage, secs in seconds.items():
        show(f"seconds: {stage}", secs, last)
    kept = ("test_accuracy_before", "test_accuracy_after", "solver_updates", "generator_updates", "seconds")
    path = run / "summary.json"
    # A run that was stopped has none yet.
    summary = json.loads(path.read_text()) if path.exists() else {}
    print("  ".join(f"{key} {summary[key]:.4g}" for key in kept if summary.get(key) is not None) + "\n")


def show(label, by_iteration, last):
    cells = [by_iteration.get(at) for at in range(last + 1)]
    print(f"{label:<34}" + "".join(f"{'-' if cell is None else f'{cell:.4g}':>10}" for cell in cells))


for argument in sys.argv[1:]:
    table(Path(argument))
