"""Reads alternating JSON lines of rollout and torch_generate.py and prints a table of compare_generate.sh."""
import json
import statistics
import sys

rows = [json.loads(line) for line in sys.stdin]
ours, torch = rows[0::2], rows[1::2]
first = ours[0]
print(f"batch {first['batch']}, {first['prompt']} prompt tokens, {first['new']} new ones, {first['threads']} threads; "
      f"torch {torch[0]['torch']}, transformers {torch[0]['transformers']}")
print("round   ours tok/s   generate tok/s   ratio   of memory limit   of GEMM limit")
for i, (a, b) in enumerate(zip(ours, torch), 1):
    print(f"{i:5}   {a['tokens_per_s']:10.0f}   {b['tokens_per_s']:14.0f}   {a['tokens_per_s'] / b['tokens_per_s']:5.2f}"
          f"   {a['share_of_memory_limit']:15.0%}   {a['share_of_gemm_limit']:13.0%}")
ratios = sorted(a["tokens_per_s"] / b["tokens_per_s"] for a, b in zip(ours, torch))
print(f"ratio: median {statistics.median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}\n")
