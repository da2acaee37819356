"""What a small model is taught before co-training: the form of a question and of an answer.

    demonstrations.py split OUT     dev, test and lesson questions from the imported sets and the pool
    demonstrations.py write OUT     completions to the prompts that `infuser train --dry-run --prompts` wrote

Questions of lessons are never in the dev or test set.
"""

import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

SEED = 1
# Questions by set: for dev, test and lessons.
COUNTS = {"mmlu_pro": (24, 48, 400), "gsm8k": (8, 16, 150)}
# Longer questions, in characters, are left out: the model reads few tokens a second.
LONGEST = 500
# Cloze questions of a document, at most.
CLOZES = 3
# How often a demonstrated letter is the right one; the rest are drawn, so that answers vary.
RIGHT = 0.7
# Terms that are asked for, and frequent words of headings that are none.
TERMS = 40
PLAIN = set(
    "which using other their these those there about first might where while without instead because"
    " different example change write named".split()
)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORD = re.compile(r"\b[a-z]{5,}\b")
# A sentence that leans on its surroundings: no question for someone who does not see them.
LEANS = re.compile(r"\b(chapter|section|book|text|listing|figure|table|example|above|below)s?\b", re.I)


def read(path):
    # Not splitlines(): a text may hold other separators than the end of a line.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def write(path, records):
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text("".join(lines), encoding="utf-8")


def prose(markdown):
    """The sentences of a document without code, headings, lists and marks."""
    text = re.sub(r"```.*?(```|\Z)", " ", markdown, flags=re.S)
    text = re.sub(r"<[^>]*>", " ", text)
    text = re.sub(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])?", r"\1", text)
    text = re.sub(r"^[#>|\-].*$", " ", text, flags=re.M)
    return re.sub(r"\s+", " ", re.sub(r"[`*_]", "", text)).strip()


def vocabulary(pool, texts, tokenizer):
    """Terms to ask for, and other words to offer beside them.

    Both are single tokens that stand in several documents, so that the model sees each often. Terms also stand in headings.
    """
    counts = Counter(word for text in texts for word in set(WORD.findall(text)))
    common = {word for word, count in counts.items() if count >= 12 and word in tokenizer}
    headings = {word for document in pool for word in WORD.findall(document.get("title_path", "").lower())}
    terms = sorted(common & headings - PLAIN, key=lambda word: (-counts[word], word))[:TERMS]
    return set(terms), common - set(terms)


def cloze(text, terms, common, rng):
    """Sentences with a term left out, the term, and three other words of the same document."""
    sentences = re.findall(r"[A-Z][^.?!:\"]*\.", text)
    sentences = [s for s in sentences if 5 <= len(s.split()) <= 14 and not LEANS.search(s)]
    words = sorted(set(WORD.findall(text)) & common)
    rng.shuffle(sentences)
    for sentence in sentences:
        hidden = [word for word in WORD.findall(sentence) if word in terms]
        others = [word for word in words if word not in sentence]
        if hidden and len(others) >= 3:
            word = rng.choice(hidden)
            gap = re.sub(rf"\b{word}\b", "____", sentence, count=1)
            yield f"Which word is missing? {gap}", word, rng.sample(others, 3)


def clozes(pool, tokenizer, rng):
    texts = [prose(document["content"]) for document in pool]
    terms, common = vocabulary(pool, texts, tokenizer)
    for document, text in zip(pool, texts):
        for number, (question, word, others) in zip(range(CLOZES), cloze(text, terms, common, rng)):
            options = [word, *others]
            rng.shuffle(options)
            yield {
                "id": f"{document['doc_id']}/{number}",
                "set": "cloze",
                "split": "lessons",
                "type": "mcq",
                "question": question,
                "options": options,
                "answer_index": options.index(word),
                "answer": LETTERS[options.index(word)],
            }


def length(item):
    return len(item["question"]) + sum(map(len, item["options"] or []))


def split(out):
    rng = random.Random(SEED)
    parts = [], [], []
    for name, counts in COUNTS.items():
        items = [item for item in read(out / f"{name}.jsonl") if length(item) <= LONGEST]
        rng.shuffle(items)
        for part, count in zip(parts, counts):
            part.extend(items[:count])
            items = items[count:]
    dev, test, lessons = parts
    tokenizer = json.loads((out / "config/tokenizer.json").read_text(encoding="utf-8"))
    lessons += clozes(read(out / "pool.jsonl"), tokenizer["model"]["vocab"], rng)
    for name, part in [("dev", dev), ("test", test), ("lessons", lessons)]:
        write(out / f"{name}.jsonl", part)
        print(f"{len(part):>6} questions in {name}.jsonl")


def question_object(item):
    """What the generator's prompt asks for, less four notes that nothing reads: each token costs a row of the head.

    The right choice is named by its letter, which `infuser` reads too: to repeat a word is more than a model this small
    learns in minutes.
    """
    return {
        "question_text": item["question"],
        "choices": item["options"],
        "ground_truth": item["answer"],
        "difficulty": "hard",
    }


def solution(item, rng):
    if item["type"] != "mcq":
        return f" The total is \\boxed{{{item['answer']}}}"
    options = item["options"]
    chosen = item["answer_index"] if rng.random() < RIGHT else rng.randrange(len(options))
    begin = " ".join(options[chosen].split()[:3])
    return f" {begin} fits best, so \\boxed{{{LETTERS[chosen]}}}"


def demonstrations(prompts, lessons, rng):
    """Prompts as `infuser train` puts them, each with what should follow."""
    by_id = {item["id"]: item for item in lessons}
    for line in prompts:
        if line["role"] == "solver":
            item = by_id.get(line["id"])
            if item and (item["set"] != "cloze" or rng.random() < 0.5):
                yield line, solution(item, rng)
            continue
        for number in range(CLOZES):
            item = by_id.get(f"{line['id']}/{number}")
            if item:
                yield line, " " + json.dumps(question_object(item), ensure_ascii=False)


def write_all(out):
    rng = random.Random(SEED)
    lessons = read(out / "lessons.jsonl")
    lines = list(demonstrations(read(out / "prompts.jsonl"), lessons, rng))
    pairs = [{"prompt": line["prompt"], "completion": text} for line, text in lines]
    write(out / "demonstrations.jsonl", pairs)
    written = [(n, line, text) for n, (line, text) in enumerate(lines) if line["role"] == "generator"]
    outputs = [{"id": n, "source": line["id"], "text": text} for n, line, text in written]
    write(out / "outputs.jsonl", outputs)
    print(f"{len(pairs):>6} demonstrations, {len(outputs)} of them questions")


if __name__ == "__main__":
    command, folder = sys.argv[1:]
    {"split": split, "write": write_all}[command](Path(folder))
