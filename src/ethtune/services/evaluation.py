"""A run and a split in, how well its model reads transactions out.

The tuned model, and the base model beside it when asked, answer the same prompts greedily; each
answer is parsed strictly and compared with the reference field by field.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ethtune.core.atomic import write_text
from ethtune.core.errors import DataError, MachineError
from ethtune.core.events import SILENT, Emit, Message, PhaseStarted, Progress
from ethtune.core.intent import Intent
from ethtune.core.runfolder import write_json
from ethtune.dataset.reading import read_split, split_path
from ethtune.scoring.baselines import majority
from ethtune.scoring.compare import judge
from ethtune.scoring.decoding import DEFAULT_BATCH_SIZE, DEFAULT_MAX_NEW_TOKENS
from ethtune.scoring.intervals import PairedTest, mcnemar
from ethtune.scoring.markdown import to_markdown
from ethtune.scoring.metrics import score
from ethtune.scoring.parse import parse_text
from ethtune.scoring.report import Contender, EvaluationReport, Judged
from ethtune.services.tuned import TunedModel, find_tuned, opened

if TYPE_CHECKING:
    from ethtune.core.example import Example
    from ethtune.model.generate import Generator

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What to evaluate. ``run`` is a run folder or one of its checkpoints.

    ``dataset`` None is the folder that the run trained on; ``limit`` rows are taken evenly spread
    over the split; ``output`` None is ``evaluation/<split>`` in the run.
    """

    run: Path
    split: Split = "test"
    dataset: Path | None = None
    limit: int | None = None
    compare_base: bool = False
    batch_size: int = DEFAULT_BATCH_SIZE
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS
    output: Path | None = None
    save: bool = True


@dataclass(frozen=True, slots=True)
class _Row:
    """An example whose reference is an intent."""

    example: Example
    expected: Intent


def evaluate(request: EvaluationRequest, *, events: Emit = SILENT) -> EvaluationReport:
    """Generate, judge, score, and write the report into its folder.

    Raises RunError without an adapter, DataError without rows.
    """
    tuned = find_tuned(request.run, events=events)
    dataset = _dataset(request, tuned)
    rows, num_skipped = _rows(dataset, request.split, events)
    rows = _spread(rows, request.limit)
    with opened(tuned, events=events) as generator:
        device = generator.device.name
        contenders = [_contend("tuned", generator, rows, request, events)]
    if request.compare_base:
        with opened(tuned, events=events, is_base=True) as generator:
            contenders.append(_contend("base", generator, rows, request, events))
    report = EvaluationReport(
        run=str(request.run),
        adapter=str(tuned.adapter),
        step=tuned.step,
        base_model=tuned.config.model.base_model,
        device=device,
        dataset=str(dataset),
        split=request.split,
        max_new_tokens=request.max_new_tokens,
        num_skipped=num_skipped,
        contenders=(*contenders, *_majority(dataset, rows)),
    )
    if request.compare_base:
        report = replace(report, paired=_paired(*contenders))
    return _saved(report, _report_folder(request, tuned)) if request.save else report


def _dataset(request: EvaluationRequest, tuned: TunedModel) -> Path:
    if request.dataset is not None:
        return request.dataset
    if tuned.config.data.dataset is None:
        raise DataError(
            f"the config of {tuned.run.path} names no dataset",
            hint="ethtune evaluate RUN --dataset FOLDER",
        )
    return Path(tuned.config.data.dataset)


def _rows(dataset: Path, split: Split, events: Emit) -> tuple[list[_Row], int]:
    """Rows with an intent as their reference, and how many have none."""
    rows: list[_Row] = []
    num_skipped = 0
    for example in read_split(dataset, split):
        expected = parse_text(example.output).intent
        if expected is None:
            num_skipped += 1
        else:
            rows.append(_Row(example, expected))
    if not rows:
        raise DataError(
            f"{dataset}: the {split} split has no row whose output is an intent",
            hint=f"ethtune validate-data {dataset}",
        )
    if num_skipped:
        text = f"{num_skipped} rows are left out: their output is no intent"
        events(Message("warning", text))
    return rows, num_skipped


def _spread(rows: list[_Row], limit: int | None) -> list[_Row]:
    """``limit`` rows evenly over the split, which is ordered by time; the same ones every time."""
    if limit is None or limit >= len(rows):
        return rows
    return [rows[index * len(rows) // limit] for index in range(limit)]


def _contend(
    name: str,
    generator: Generator,
    rows: Sequence[_Row],
    request: EvaluationRequest,
    events: Emit,
) -> Contender:
    """Let one model answer every row."""
    events(PhaseStarted("evaluating", len(rows)))
    judged: dict[int, Judged] = {}
    num_tokens = 0
    began = time.perf_counter()
    answers = generator.generate(
        [row.example.prompt for row in rows],
        max_new_tokens=request.max_new_tokens,
        batch_size=request.batch_size,
    )
    for index, answer in answers:
        row = rows[index]
        verdict = judge(row.example.id, row.expected, answer.text, is_finished=answer.finished)
        judged[index] = Judged(verdict, answer.text)
        num_tokens += answer.num_tokens
        events(Progress(f"evaluating the {name} model", len(judged), len(rows)))
    seconds = time.perf_counter() - began
    ordered = tuple(judged[index] for index in range(len(rows)))
    scores = score([each.verdict for each in ordered])
    return Contender(name, ordered, scores, seconds, num_tokens)


def _majority(dataset: Path, rows: Sequence[_Row]) -> Iterator[Contender]:
    """The baseline, where the folder has a training split to count."""
    if not split_path(dataset, "train").is_file():
        return
    intents = (parse_text(example.output).intent for example in read_split(dataset, "train"))
    answer = majority(intent for intent in intents if intent is not None)
    if answer is not None:
        text = answer.to_json()
        judged = tuple(Judged(judge(r.example.id, r.expected, text), text) for r in rows)
        yield Contender("majority", judged, score([each.verdict for each in judged]))


def _paired(first: Contender, second: Contender) -> PairedTest:
    pairs = zip(first.judged, second.judged, strict=True)
    return mcnemar((a.verdict.is_exact, b.verdict.is_exact) for a, b in pairs)


def _report_folder(request: EvaluationRequest, tuned: TunedModel) -> Path:
    if request.output is not None:
        return request.output
    suffix = "" if tuned.step is None else f"-checkpoint-{tuned.step}"
    return tuned.run.path / "evaluation" / f"{request.split}{suffix}"


def _saved(report: EvaluationReport, folder: Path) -> EvaluationReport:
    """Write report.json, report.md and one predictions file a model; say where."""
    report = replace(report, folder=str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be made: {error.strerror or error}", hint="choose another --output"
        ) from error
    for each in report.contenders:
        if each.num_generated_tokens is not None:
            name = "predictions.jsonl" if each is report.tuned else f"predictions_{each.name}.jsonl"
            write_text(folder / name, _json_lines(row.as_dict() for row in each.judged))
    write_text(folder / "report.md", to_markdown(report) + "\n")
    write_json(folder / "report.json", report.as_dict())
    return report


def _json_lines(rows: Iterable[object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
