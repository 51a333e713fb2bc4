"""The log under a writer that dies, a disk that refuses, and readers that look at any moment."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core import eventlog
from ethtune.core.eventlog import EventReader, EventWriter, LoggedEvent
from ethtune.core.events import (
    EVENT_KINDS,
    CheckpointSaved,
    Evaluated,
    Message,
    PhaseStarted,
    Progress,
    RunEnded,
    RunStarted,
    StepLogged,
    event_fields,
    event_from_fields,
)
from ethtune.core.runstate import RunState, fold

STARTED = RunStarted("ethtune train", 7, "smollm2-135m", "cpu")


def step(number, loss=1.0):
    return StepLogged(number, 0.1, loss, 1e-4, None, 1, 100, 1.0, 0.1, None, None, 10**9)


def read(path):
    return [logged.event for logged in EventReader(path).poll()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def write(path, *events):
    writer = EventWriter(path)
    for event in events:
        writer.emit(event)
    writer.close()
    return writer


def test_events_come_back_as_they_were(path):
    events = [
        STARTED,
        PhaseStarted("training", 3),
        step(1, math.inf),
        Evaluated(1, 0.4, 0.9, 2.0),
        CheckpointSaved(1, "checkpoint-1", 10, 0.1),
        Message("warning", "nan"),
        Message("info", "Größe\n漢字 \udc80 \x1b"),
        RunEnded("finished", 1, 3.0),
    ]
    write(path, *events)
    assert read(path) == events


def test_numbers_that_are_none_are_valid_json_and_come_back(path):
    write(path, step(1, math.nan))

    def refuse(name):
        raise AssertionError(name)

    json.loads(path.read_text(), parse_constant=refuse)
    assert math.isnan(read(path)[0].loss)


@given(st.text(), st.floats())
def test_any_text_and_number_survives(text, number):
    for event in (Message("info", text), Evaluated(1, number, 0.5, 1.0)):
        line = json.dumps(event_fields(event), allow_nan=False)
        restored = event_from_fields(event.kind, json.loads(line))
        assert event_fields(restored) == event_fields(event)


def test_progress_is_not_kept(path):
    write(path, Progress("tokenizing", 1, 2))
    assert read(path) == []


def test_envelope_counts_up_across_writers(path):
    write(path, STARTED, step(1))
    write(path, step(2))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["seq"] for row in rows] == [1, 2, 3]
    assert {row["v"] for row in rows} == {1}
    assert all(list(row)[:4] == ["v", "seq", "time", "kind"] for row in rows)


def test_reader_waits_for_the_rest_of_a_torn_line(path):
    write(path, STARTED, step(1))
    content = path.read_bytes()
    reader = EventReader(path)
    seen = []
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        seen += [logged.event for logged in reader.poll()]
    assert seen == [STARTED, step(1)]
    assert reader.skipped == 0


@pytest.mark.parametrize("torn", [b"{", b'{"v":1,"seq":3,"kind":"st', b'{"v":1}', b"\xff\xfe"])
def test_reader_that_saw_a_torn_line_misses_nothing_of_the_resumed_run(path, torn):
    write(path, STARTED)
    with path.open("ab") as handle:
        handle.write(torn)
    reader = EventReader(path)
    assert [logged.event for logged in reader.poll()] == [STARTED]
    write(path, step(1))  # cuts the torn line, then writes a longer one over it
    assert [logged.event for logged in reader.poll()] == [step(1)]
    assert (reader.skipped, reader.restarts) == (0, 1)


def test_replaced_or_truncated_log_is_read_anew(path):
    write(path, STARTED, step(1), step(2))
    reader = EventReader(path)
    list(reader.poll())
    path.write_bytes(b"")
    assert list(reader.poll()) == []
    write(path, step(5))
    assert [logged.event for logged in reader.poll()] == [step(5)]
    fresh = path.with_name("fresh")
    write(fresh, step(6), step(7), step(8))
    os.replace(fresh, path)
    assert [logged.event.step for logged in reader.poll()] == [6, 7, 8]
    assert reader.restarts == 3


def test_missing_and_deleted_files_have_no_events(path):
    reader = EventReader(path)
    assert list(reader.poll()) == []
    write(path, STARTED)
    assert len(list(reader.poll())) == 1
    path.unlink()
    assert list(reader.poll()) == []


def test_lines_of_other_versions_are_skipped_and_counted(path):
    rows = [
        {"v": 2, "seq": 1, "time": 1, "kind": "from_the_future", "x": 1},
        {"v": 1, "seq": 2, "time": 1, "kind": "evaluated", "step": 1},  # fields missing
        ["no", "object"],
        "text",
        {"v": 1, "seq": "x", "time": 1, "kind": "message", "level": "info", "text": ""},
        {"v": 1, "seq": 3, "time": 1, "kind": "message", "level": "info", "text": "", "new": 1},
    ]
    lines = [json.dumps(row) for row in rows] + ["", "[" * 100_000, "{}"]
    path.write_text("\n".join(lines) + "\n")
    reader = EventReader(path)
    assert [logged.event for logged in reader.poll()] == [Message("info", "")]
    assert reader.skipped == len(lines) - 1


def test_a_line_longer_than_a_read_is_whole(path, monkeypatch):
    monkeypatch.setattr(eventlog, "_READ_BYTES", 16)
    write(path, STARTED, Message("info", "x" * 1000), step(1))
    assert read(path) == [STARTED, Message("info", "x" * 1000), step(1)]


def test_a_reader_that_stops_midway_goes_on_there(path):
    write(path, step(1), step(2), step(3))
    reader = EventReader(path)
    assert next(reader.poll()).event.step == 1
    assert [logged.event.step for logged in reader.poll()] == [2, 3]


def test_full_disk_loses_events_but_never_raises(path, monkeypatch):
    writer = EventWriter(path)
    writer.emit(STARTED)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: real(fd, content[:20]))
    writer.emit(step(1))
    monkeypatch.setattr(os, "write", real)
    writer.emit(step(2))
    writer.close()
    assert writer.lost == 1
    assert read(path) == [STARTED, step(2)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_refusing_device_never_raises():
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = EventWriter.__new__(EventWriter)
    writer._seq, writer._descriptor, writer._is_torn, writer.lost = 0, descriptor, False, 0
    writer.emit(STARTED)
    writer.close()
    assert writer.lost == 1


def test_closed_writer_does_not_write_into_the_next_file(path, tmp_path):
    writer = write(path, STARTED)
    other = tmp_path / "other"
    with other.open("w"):
        writer.emit(step(1))
    assert other.read_bytes() == b""
    assert writer.lost == 1


def test_readers_beside_a_killed_writer_see_whole_events_only(path):
    code = (
        "import sys; from pathlib import Path\n"
        "from ethtune.core.eventlog import EventWriter\n"
        "from ethtune.core.events import Message\n"
        "writer = EventWriter(Path(sys.argv[1]))\n"
        "while True: writer.emit(Message('info', 'x' * 3000))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], env=environment)
    reader = EventReader(path)
    seen = []
    try:
        while len(seen) < 300:
            seen += [logged.seq for logged in reader.poll()]
    finally:
        writer.kill()
        writer.wait()
    seen += [logged.seq for logged in reader.poll()]
    write(path, step(1))
    seen += [logged.seq for logged in reader.poll()]
    assert seen == list(range(1, len(seen) + 1))
    assert (reader.skipped, reader.restarts) == (0, 1)


@pytest.mark.parametrize("torn", [b"", b"{", b"x" * 300])
def test_writer_reads_the_end_of_a_long_log_alone(path, monkeypatch, torn):
    monkeypatch.setattr(eventlog, "_READ_BYTES", 64)
    write(path, *map(step, range(20)))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    write(path, step(20))
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [*range(1, 22)]


def test_line_without_end_takes_no_memory_and_costs_no_event(path, monkeypatch):
    monkeypatch.setattr(eventlog, "_READ_BYTES", 64)
    monkeypatch.setattr(eventlog, "_LINE_BYTES_MAX", 1024)
    write(path, STARTED)
    with path.open("ab") as handle:
        handle.write(b"x" * 10_000)
    reader = EventReader(path)
    assert [logged.event for logged in reader.poll()] == [STARTED]
    assert path.stat().st_size - reader._offset <= 1024 + 64
    with path.open("ab") as handle:
        handle.write(b"x" * 5_000 + b"\n")
    with path.open("ab") as handle:
        line = b'{"v":1,"seq":2,"time":1.0,"kind":"message","level":"info","text":"go on"}\n'
        handle.write(line)
    assert [logged.event for logged in reader.poll()] == [Message("info", "go on")]
    assert reader.skipped == 1


def test_who_leaves_off_early_gets_the_rest_later(path):
    write(path, *map(step, range(100)))
    reader = EventReader(path)
    seen = []
    for _ in range(10):
        for logged in reader.poll():
            seen.append(logged.event.step)
            if len(seen) % 30 == 0:
                break
    assert seen == list(range(100))
    assert reader.unread_share == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(st.data())
def test_no_content_of_a_line_breaks_a_reader(data):
    """Whatever stands in the fields: an event whose fields are of their types, or none."""
    kind = data.draw(st.sampled_from(sorted(EVENT_KINDS)))
    good = {field.name: 1 for field in fields(EVENT_KINDS[kind])}
    names = data.draw(st.sets(st.sampled_from(sorted(good))))
    event = event_from_fields(kind, good | {name: data.draw(_JSON) for name in names})
    if event is not None:
        json.dumps(event_fields(event), allow_nan=False)
        fold(RunState(), LoggedEvent(1, 1.0, event))
