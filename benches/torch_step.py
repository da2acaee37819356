"""Times training steps of the benchmark model in PyTorch eager mode and prints one JSON line.

The same model and work as `train_step`: Qwen3 shape (hidden 256, ffn 1536, 6 layers, 4 heads, 2 key heads
of width 64, vocabulary 4096, untied), 16 sequences of 256 tokens, mean negative log-likelihood, backward,
torch.optim.AdamW, f32. Needs torch and transformers.

usage: torch_step.py [--threads 2] [--steps 12] [--warmup 3]
"""
import argparse
import json
import os
import resource
import statistics
import time

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--steps", type=int, default=12)
parser.add_argument("--warmup", type=int, default=3)
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(args.threads)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(0)
SEQUENCES, LENGTH, VOCAB = 16, 256, 4096
config = transformers.Qwen3Config(
    vocab_size=VOCAB, hidden_size=256, intermediate_size=1536, num_hidden_layers=6, num_attention_heads=4,
    num_key_value_heads=2, head_dim=64, max_position_embeddings=1024, rope_theta=1e6,
    tie_word_embeddings=False, pad_token_id=None)
model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)


def step():
    ids = torch.randint(0, VOCAB, (SEQUENCES, LENGTH))
    start = time.perf_counter()
    logits = model(input_ids=ids, use_cache=False).logits
    loss = F.cross_entropy(logits[:, :-1].reshape(-1, VOCAB), ids[:, 1:].reshape(-1))
    forward = time.perf_counter()
    loss.backward()
    backward = time.perf_counter()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    end = time.perf_counter()
    return end - start, forward - start, backward - forward, end - backward


for _ in range(args.warmup):
    step()
total, forward, backward, adamw = map(statistics.median, zip(*(step() for _ in range(args.steps))))
print(json.dumps({
    "bench": "torch_train_step", "threads": args.threads, "params": sum(p.numel() for p in model.parameters()),
    "step_s": total, "forward_s": forward, "backward_s": backward, "adamw_s": adamw,
    "tokens_per_s": SEQUENCES * LENGTH / total,
    "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "torch": torch.__version__, "transformers": transformers.__version__,
}))
