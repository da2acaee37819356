"""Times PyTorch's scaled_dot_product_attention on the shapes of `cargo bench --bench cuda` and prints a JSON
line each.

Causal, bf16, 32 query heads and 8 key heads of width 128, 16384 tokens in sequences of 512 to 16384. Events
on the stream, median of 20 after 5. Counts operations as the bench does: 4 and 10 for each pair of tokens,
head and lane. Needs torch with CUDA.
"""
import json
import statistics
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit("skipped: this Python has no torch")
if not torch.cuda.is_available():
    sys.exit("skipped: this torch sees no GPU")

TOKENS, HEADS, KV_HEADS, WIDTH = 16384, 32, 8, 128
torch.manual_seed(0)


def seconds(work):
    times = []
    for _ in range(25):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times[5:])


def tensor(sequences, heads, length):
    # As packed tokens lie in memory: token, then head.
    made = torch.randn(sequences, length, heads, WIDTH, device="cuda", dtype=torch.bfloat16)
    return made.transpose(1, 2).requires_grad_()


for length in (512, 1024, 2048, 4096, 8192, 16384):
    sequences = TOKENS // length
    q = tensor(sequences, HEADS, length)
    k, v = tensor(sequences, KV_HEADS, length), tensor(sequences, KV_HEADS, length)
    dout = torch.randn_like(q)
    attend = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)  # noqa: E731
    with torch.no_grad():
        forward = seconds(attend)
    out = attend()
    backward = seconds(lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True))
    work = sequences * length * (length + 1) // 2 * HEADS * WIDTH
    for way, took, each in (("forward", forward, 4), ("backward", backward, 10)):
        print(json.dumps({
            "bench": "torch_sdpa", "op": f"attention {way}, {sequences} x {length}",
            "gpu": torch.cuda.get_device_name(), "seconds": took, "tflops": each * work / took / 1e12,
            "torch": torch.__version__,
        }), flush=True)
