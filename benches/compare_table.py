"""Reads alternating JSON lines of train_step and torch_step.py and prints the table of compare_torch.sh."""
import json
import platform
import statistics
import sys

rows = [json.loads(line) for line in sys.stdin]
ours, torch = rows[0::2], rows[1::2]
cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
           platform.processor())
print(f"machine: {cpu}, {ours[0]['threads']} threads; torch {torch[0]['torch']}, "
      f"transformers {torch[0]['transformers']}")
print(f"{ours[0]['params']:,} parameters, 16 x 256 tokens a step, f32; medians of each process's steps\n")
print("round   ours tok/s   torch tok/s   ratio   ours GFLOP/s (of measured GEMM)   ours MiB   torch MiB")
for i, (a, b) in enumerate(zip(ours, torch), 1):
    print(f"{i:5}   {a['tokens_per_s']:10.0f}   {b['tokens_per_s']:11.0f}   {a['tokens_per_s'] / b['tokens_per_s']:5.2f}"
          f"   {a['gflops']:12.0f} {a['machine_gemm_gflops']:8.0f} ({a['share_of_gemm']:4.0%})"
          f"      {a['peak_rss_bytes'] / 2**20:11.0f} {b['peak_rss_bytes'] / 2**20:11.0f}")
ratios = sorted(a["tokens_per_s"] / b["tokens_per_s"] for a, b in zip(ours, torch))
print(f"\nratio: median {statistics.median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}")
for name in ("forward_s", "backward_s", "adamw_s"):
    a, b = (statistics.median(row[name] for row in rows) for rows in (ours, torch))
    print(f"{name:10}  ours {a:.3f}  torch {b:.3f}  ({b / a:.2f} times)")
