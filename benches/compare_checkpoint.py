"""Compares a folder that infuser saved with what transformers makes of it.

    PYTHON benches/compare_checkpoint.py INFUSER FOLDER...

PYTHON has torch and transformers. Log-probabilities of random sequences by `infuser logprobs` and by
transformers in f32 are compared token by token; exit code 1 if any differs by more than 1e-4.
"""
import json
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> int:
    infuser, folders = sys.argv[1], sys.argv[2:]
    worst = 0.0
    for folder in folders:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        generator = torch.Generator().manual_seed(1)
        sequences = [torch.randint(0, model.config.vocab_size, (n,), generator=generator) for n in (3, 40, 200)]
        lines = "".join(json.dumps({"id": i, "tokens": s.tolist()}) + "\n" for i, s in enumerate(sequences))
        command = [infuser, "logprobs", "--model", folder, "--input", "-"]
        output = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
        largest = 0.0
        for line, sequence in zip(output.splitlines(), sequences):
            with torch.no_grad():
                logits = model(sequence[None]).logits[0, :-1]
            expected = torch.log_softmax(logits, -1).gather(-1, sequence[1:, None])[:, 0]
            got = torch.tensor(json.loads(line)["logprobs"])
            largest = max(largest, (got - expected).abs().max().item())
        text = "47 mod 5 = ?\nA: 2\nB: 9"
        same = tokenizer.decode(tokenizer.encode(text)) == text
        print(f"{folder}: largest difference of a log-probability {largest:.2e}, tokenizer returns the text: {same}")
        worst = max(worst, largest if same else 1.0)
    return int(worst > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
