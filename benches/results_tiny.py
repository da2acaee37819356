"""Tables of `docs/results-tiny.md` from the folders that `infuser experiment` made.

    python3 benches/results_tiny.py remainder=DIR sequence=DIR
    python3 benches/results_tiny.py --sweep DIR          the learning rates that `benches/sweep_tiny.sh` tried

Equal compute: every token that a model reads or writes costs one unit forward and two backward. Sampling
is a pass (1); an update computes old log-probabilities and a gradient (4); the target's gradient and the
influence scores take 3 each. A gradient that the scores pass on to the solver costs 1: the weights' products
once more. Prompts are shared among the samples of a group and left out.
"""
import json
import math
import sys
from collections import defaultdict
from pathlib import Path

USEFUL = {"remainder": ["remainder", "product"], "sequence": ["sequence", "addition"]}
BASE = "tiny-fixed"


def t_probability(t, freedom):
    """Chance that Student's t is below t >= 0, by Simpson's rule."""
    def area(end):
        u_end, steps = end / (1 + end), 4000
        def f(u):
            if u >= 1:
                return 0.0
            x = u / (1 - u)
            return (1 + x * x / freedom) ** (-(freedom + 1) / 2) / (1 - u) ** 2
        h = u_end / steps
        return h / 3 * sum(f(i * h) * (1 if i in (0, steps) else 4 if i % 2 else 2) for i in range(steps + 1))
    return 0.5 + 0.5 * area(t) / area(1e9)


def t_quantile(chance, freedom):
    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, freedom) < chance else (low, middle)
    return low


def interval(values):
    n, mean = len(values), sum(values) / len(values)
    if n < 2:
        return mean, 0.0, None
    error = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)
    p = 2 * (1 - t_probability(abs(mean) / error, n - 1)) if error > 0 else (0.0 if mean else 1.0)
    return mean, t_quantile(0.975, n - 1) * error, p


def read(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    curve, cost, total = [], defaultdict(float), 0.0
    shares = defaultdict(list)
    for line in lines:
        m, stage = line["metrics"], line["stage"]
        tokens = lambda family: m[f"{family}/num_generated_answers"] * m[f"{family}/response_length_tokens/mean"]
        if stage == "dev":
            total += tokens("dev_rollout")
            cost["dev"] = tokens("dev_rollout") * m["dev_rollout/frac_diverse_questions"]
        elif stage == "target":
            total += 3 * cost["dev"]
            cost["influence"] = 3
        elif stage == "questions":
            total += m["gen_question_rollout/num_generated_questions"] * m["gen_question_rollout/response_length_tokens/mean"]
            for key in m:
                if key.startswith("world/"):
                    shares[key].append(m[key])
        elif stage == "answers":
            total += tokens("gen_answer_rollout")
            if cost["influence"]:
                total += 3 * tokens("gen_answer_rollout") * m["gen_answer_rollout/frac_diverse_questions"]
        elif stage in ("generator", "solver"):
            role = "gen" if stage == "generator" else "solver"
            passes = 1 if m.get(f"{role}_actor/shared_gradient") else 4
            total += passes * m.get(f"{role}_actor/num_tokens", 0)
        elif stage == "evaluation":
            curve.append((line["iteration"], total, m["test/accuracy_strict"]))
    return curve, shares


def at_cost(curve, budget):
    """Accuracy at a cost, on the line between the tests around it; the last if the run cost less."""
    for (_, c0, a0), (_, c1, a1) in zip(curve, curve[1:]):
        if c0 <= budget <= c1 and c1 > c0:
            return a0 + (a1 - a0) * (budget - c0) / (c1 - c0)
    return curve[-1][2]


def shown(values, sign=""):
    mean, half, _ = interval(values)
    return f"{mean:{sign}.3f} ± {half:.3f}"


def chance(p):
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"


def table(target, folder):
    arms = {}
    for arm in sorted(folder.iterdir()):
        runs = {p.name: read(p) for p in sorted(arm.glob("seed-*")) if (p / "summary.json").exists()}
        if runs:
            arms[arm.name] = runs
    base = arms.get(BASE)
    order = sorted(arms, key=lambda a: (a != "tiny", a != BASE, a))
    print(f"## Target: {target}\n")
    seeds = ", ".join(sorted({seed[5:] for runs in arms.values() for seed in runs}, key=int))
    print(f"Seeds {seeds}. Mean ± half of the 95 % interval (Student's t) over seeds; differences are paired by seed.\n")
    print("| recipe | runs | before | after 30 iterations | less the fixed generator | p | at the cost of the fixed run | less the fixed generator | p |")
    print("|---|---:|---|---|---|---:|---|---|---:|")
    for arm in order:
        runs = arms[arm]
        before = [curve[0][2] for curve, _ in runs.values()]
        after = [curve[-1][2] for curve, _ in runs.values()]
        row = [arm, str(len(runs)), shown(before), shown(after)]
        common = [seed for seed in runs if base and seed in base]
        budget = {seed: base[seed][0][-1][1] for seed in common}
        equal = {seed: at_cost(runs[seed][0], budget[seed]) for seed in common}
        final = {seed: base[seed][0][-1][2] for seed in common}
        for values in ({s: runs[s][0][-1][2] for s in common}, equal):
            if values is equal:
                row.append(shown(list(equal.values())))
            if arm == BASE:
                row += ["", ""]
                continue
            differences = [values[s] - final[s] for s in common]
            row += [shown(differences, "+"), chance(interval(differences)[2]) if len(common) > 1 else ""]
        print("| " + " | ".join(row) + " |")
    print("\nWhat the generator asks about: mean of the first and of the last five iterations.\n")
    print("| recipe | unreliable source | " + " | ".join(USEFUL[target]) + " | right keys | in the document | cost of a run |")
    print("|---|---|" + "---|" * len(USEFUL[target]) + "---|---|---:|")
    for arm in order:
        runs = arms[arm]
        cost = sum(curve[-1][1] for curve, _ in runs.values()) / len(runs) / 1e6
        if not any(shares for _, shares in runs.values()):
            continue
        def change(key):
            first = [sum(s[key][:5]) / 5 for _, s in runs.values()]
            last = [sum(s[key][-5:]) / 5 for _, s in runs.values()]
            return f"{sum(first) / len(first):.2f} to {sum(last) / len(last):.2f}"
        keys = ["world/draft"] + [f"world/skill/{k}" for k in USEFUL[target]] + ["world/right_key", "world/grounded"]
        print(f"| {arm} | " + " | ".join(change(k) for k in keys) + f" | {cost:.2f} M |")
    print()


def sweep(folder):
    """Accuracy on the dev set, mean over seeds: after the last iteration, and at the cost of the fixed run."""
    places = sorted(folder.glob("rate-*"), key=lambda place: float(place.name[5:]))
    print("| recipe | " + " | ".join(place.name[5:] for place in places) + " |")
    print("|---|" + "---|" * len(places))
    for arm in ("tiny-fixed", "tiny", "tiny-shared"):
        row = []
        for place in places:
            runs = {p.name: read(p)[0] for p in sorted((place / arm).glob("seed-*")) if (p / "summary.json").exists()}
            fixed = {seed: place / BASE / seed for seed in runs}
            if not runs or not all((p / "summary.json").exists() for p in fixed.values()):
                row.append("")
                continue
            last = [curve[-1][2] for curve in runs.values()]
            equal = [at_cost(runs[seed], read(fixed[seed])[0][-1][1]) for seed in runs]
            row.append(f"{sum(last) / len(last):.3f}, {sum(equal) / len(equal):.3f}")
        print(f"| {arm} | " + " | ".join(row) + " |")


if sys.argv[1:2] == ["--sweep"]:
    sweep(Path(sys.argv[2]))
else:
    for argument in sys.argv[1:]:
        name, place = argument.split("=", 1)
        table(name, Path(place))
