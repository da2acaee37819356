"""Times greedy generation of the benchmark model with transformers' `generate` and prints one JSON line.

The same model and work as `rollout`: Qwen3 shape (hidden 256, ffn 1536, 6 layers, 4 heads, 2 key heads of width 64,
vocabulary 4096, untied), prompts of 32 tokens, 128 new tokens each, f32, dynamic cache, sdpa attention. Needs
torch and transformers.

usage: torch_generate.py [--threads 2] [--batch 32] [--prompt 32] [--new 128] [--runs 3]
"""
import argparse
import json
import os
import statistics
import time

parser = argparse.ArgumentParser()
for name, default in (("threads", 2), ("batch", 32), ("prompt", 32), ("new", 128), ("runs", 3)):
    parser.add_argument(f"--{name}", type=int, default=default)
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(args.threads)
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(0)
VOCAB = 4096
config = transformers.Qwen3Config(
    vocab_size=VOCAB, hidden_size=256, intermediate_size=1536, num_hidden_layers=6, num_attention_heads=4,
    num_key_value_heads=2, head_dim=64, max_position_embeddings=1024, rope_theta=1e6,
    tie_word_embeddings=False, pad_token_id=None)
model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa").eval()
model.generation_config.eos_token_id = None
prompts = torch.randint(3, VOCAB, (args.batch, args.prompt))


def run(new):
    start = time.perf_counter()
    with torch.no_grad():
        out = model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=new, do_sample=False,
                             pad_token_id=0)
    assert out.shape == (args.batch, args.prompt + new)
    return time.perf_counter() - start


run(8)
seconds = statistics.median(run(args.new) for _ in range(args.runs))
print(json.dumps({
    "bench": "torch_generate", "threads": args.threads, "batch": args.batch, "seconds": seconds,
    "tokens_per_s": args.batch * args.new / seconds,
    "torch": torch.__version__, "transformers": transformers.__version__,
}))
