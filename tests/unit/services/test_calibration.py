"""What runs took, kept and found again; and what it does to an estimate."""

import dataclasses
import json
import threading
import time

import pytest

from ethtune.core.compose import compose
from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import ModelLoaded, StepLogged
from ethtune.core.runstate import fold_all
from ethtune.core.units import GIB
from ethtune.device.target import Target, named_target
from ethtune.services import calibration
from ethtune.services.calibration import append, nearest, read_records, record_of
from ethtune.services.estimation import Known, estimate
from ethtune.services.trainingdata import Packing, rows_amount

CPU = Target("a CPU (here)", 16 * GIB, on_gpu=False, has_bfloat16=False, cpu_cores=2)
PACKING = Packing(40, 38_000, 1000, 0.25, 300)


def config(**changes):
    given = {key.replace("__", "."): (value, "test") for key, value in changes.items()}
    return compose(profile="cpu", overrides=given).config


def state(*, step_seconds=5.0, peak_bytes=3 * GIB, loaded_bytes=1 * GIB):
    steps = [
        StepLogged(n, 0.1 * n, 2.0, 1e-4, 1.0, 1, 2000, step_seconds + 9 * (n == 1), 0.0,
                   None, None, peak_bytes)
        for n in (1, 2, 3)
    ]  # fmt: skip
    loaded = ModelLoaded(1000, 100_000, loaded_bytes, 1.0)
    return fold_all(LoggedEvent(n, 1.0, event) for n, event in enumerate([loaded, *steps]))


def record(target=CPU, **changes):
    return record_of(config(**changes), PACKING, state(), target)


def test_a_record_is_read_back_as_it_was_written(tmp_path):
    path = tmp_path / "deep" / "calibration.jsonl"
    written = [record(), record(lora__r=4)]
    for item in written:
        append(item, path)
    assert read_records(path) == written
    assert written[0].tokens_per_second == pytest.approx(400), "the first step warms up"
    assert written[0].load.mean == 1000


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b"7", b"\xff\xfe", b'{"v": 1}', b'{"v": 2, "time": 1}',
        b'{"v": 1, "load": 3}',
    ],
)  # fmt: skip
def test_a_damaged_line_costs_that_line_alone(tmp_path, line):
    path = tmp_path / "calibration.jsonl"
    append(record(), path)
    with path.open("ab") as file:
        file.write(line)  # torn: no newline
    append(record(lora__r=4), path)
    assert [item.config.lora.r for item in read_records(path)] == [16, 4]


@pytest.mark.parametrize("field", ["tokens_per_second", "peak_bytes"])
def test_a_figure_that_cannot_be_is_no_record(tmp_path, field):
    path = tmp_path / "calibration.jsonl"
    append(dataclasses.replace(record(), **{field: 0}), path)
    assert read_records(path) == []


def test_many_writers_lose_nothing(tmp_path):
    path, item = tmp_path / "calibration.jsonl", record()
    threads = [
        threading.Thread(target=lambda: [append(item, path) for _ in range(20)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_records(path)) == 80


def test_no_file_is_no_records(tmp_path):
    assert read_records(tmp_path / "calibration.jsonl") == []


def test_a_cache_that_cannot_be_written_does_not_fail_a_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ETHTUNE_CACHE", str(tmp_path / "file"))
    amount = dataclasses.replace(rows_amount(9), packing=PACKING)
    calibration.remember_run(config(), amount, state(), on_gpu=False)


def test_the_nearest_record_is_of_the_same_device_and_the_most_like_settings():
    other = dataclasses.replace(record(), device="another CPU")
    found = nearest([other, record(data__max_seq_length=512), record(lora__r=4)], config(), CPU)
    assert found.config.lora.r == 4
    assert nearest([other], config(), CPU) is None
    late = dataclasses.replace(record(), time=time.time() + 60)
    assert nearest([record(), late, record()], config(), CPU) == late


def test_an_estimate_says_what_a_run_like_it_took():
    amount = dataclasses.replace(rows_amount(9), packing=PACKING)
    plain = estimate(config(), target=CPU, known=Known(amount))
    known = Known(amount, [record()])
    found = estimate(config(), target=CPU, known=known)
    low, high = found.process_bytes
    assert low < 3 * GIB < high < 1.1 * 3 * GIB
    slow, fast = found.tokens_per_second
    assert slow < 400 < fast < 1.1 * 400
    assert "2 steps of smollm2-135m" in found.calibration
    assert plain.calibration is None
    wide = [(high - low) / low for low, high in (plain.process_bytes, found.process_bytes)]
    assert wide[1] < wide[0]


def test_another_config_is_scaled_and_the_report_says_what_differs():
    known = Known(records=[record()])
    found = estimate(config(data__max_seq_length=512), target=CPU, known=known)
    assert "with other data.max_seq_length" in found.calibration
    same = estimate(config(), target=CPU, known=known)
    assert found.process_bytes[1] < same.process_bytes[1]


def test_a_gpu_is_scaled_by_what_its_allocator_reserved():
    card = named_target("RTX 3060", None)
    wanted = compose(profile="guide-12gb").config
    plain = estimate(wanted, target=card)
    measured = record_of(wanted, PACKING, state(peak_bytes=int(5.5 * GIB)), card)
    found = estimate(wanted, target=card, known=Known(records=[measured]))
    assert found.calibration
    assert found.process_bytes != plain.process_bytes
    assert estimate(wanted, target=named_target("RTX 4070", None), known=Known(records=[measured])
                    ).calibration is None  # fmt: skip


def test_a_record_of_a_model_that_is_gone_is_passed_over():
    gone = record()
    settings = json.loads(json.dumps(gone.settings))
    settings["model"]["base_model"] = "/nowhere/model"
    gone = dataclasses.replace(gone, settings=settings)
    assert estimate(config(), target=CPU, known=Known(records=[gone])).calibration is None
