"""A run folder and a generator that answers from a table: everything but the model is real."""

import sys
from dataclasses import dataclass
from types import SimpleNamespace

from ethtune.core.example import Example
from ethtune.core.intent import Intent, Movement

INTENTS = (
    Intent("transfer", "ethereum", "success", sent=(Movement("ETH", "1"),)),
    Intent("wrap", "weth", "success", sent=(Movement("ETH", "2"),)),
    Intent("approve", "erc20", "success", approved=(Movement("DAI", "unlimited"),)),
    Intent("transfer", "erc20", "failed", sent=(Movement("DAI", "3.5"),)),
)


def example(number, intent):
    return Example(f"0x{number:064x}", "Read it.", f'{{"number":{number}}}', intent.to_json())


def write_run(folder):
    """A finished run and the dataset it was trained on; the rows of each split are INTENTS."""
    run, dataset = folder / "run", folder / "data"
    run.mkdir()
    dataset.mkdir()
    rows = "".join(example(n, intent).to_json() + "\n" for n, intent in enumerate(INTENTS))
    for split in ("train", "validation", "test"):
        (dataset / f"{split}.jsonl").write_text(rows, encoding="utf-8")
    (run / "manifest.json").write_text("{}", encoding="utf-8")
    (run / "config.yaml").write_text(f"data:\n  dataset: '{dataset}'\n", encoding="utf-8")
    (run / "adapter_model.safetensors").write_bytes(b"")
    return run


@dataclass(frozen=True)
class Generation:
    text: str
    num_tokens: int
    finished: bool


class TableGenerator:
    """Answers a prompt from ``table``, others with ``otherwise``; longest prompt first."""

    device = SimpleNamespace(name="a table")

    def __init__(self, table, otherwise):
        self._table, self._otherwise = table, otherwise

    def generate(self, prompts, *, max_new_tokens, batch_size):
        assert max_new_tokens > 0
        assert batch_size > 0
        for index in sorted(range(len(prompts)), key=lambda index: -len(prompts[index])):
            text = self._table.get(prompts[index], self._otherwise)
            yield index, Generation(text, len(text), finished=True)

    def close(self):
        self._table = None


def answer_from(monkeypatch, tuned, otherwise="I cannot tell."):
    """Let the tuned model answer from a table; the base model knows nothing."""
    opened = []

    def open_generator(*, config, adapter, emit):
        opened.append({"config": config, "adapter": adapter})
        return TableGenerator(tuned if adapter else {}, otherwise)

    module = SimpleNamespace(open_generator=open_generator)
    monkeypatch.setitem(sys.modules, "ethtune.model.generate", module)
    return opened
