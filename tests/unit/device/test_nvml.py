"""Readings through the real binding and a scripted driver library."""

import os

import pytest

READ = """
import dataclasses, json
from ethtune.device import cards, nvml
print(json.dumps({
    "gpus": [dataclasses.asdict(gpu) for gpu in nvml.readings()],
    "problem": nvml.nvml_problem(),
    "driver": dataclasses.asdict(cards.driver()),
    "cards": [dataclasses.asdict(card) for card in cards.card_details()],
}))
"""
MIB = 1024**2


def test_all_fields_of_a_healthy_card(fake_driver, with_driver):
    seen = with_driver(fake_driver, READ)
    (gpu,) = seen["gpus"]
    assert gpu["name"] == "NVIDIA GeForce RTX 3060"
    assert gpu["memory_total_bytes"] == 12288 * MIB
    assert gpu["memory_used_bytes"] == (1024 + 256) * MIB, "what the driver reserves is not free"
    assert (gpu["temperature_celsius"], gpu["utilization_percent"]) == (61, 98)
    assert (gpu["power_watts"], gpu["power_limit_watts"]) == (168.0, 170.0)
    assert gpu["throttle_reasons"] == ["power cap"]
    assert gpu["compute_capability"] == [8, 6]
    assert seen["driver"] == {"version": "570.86", "cuda_version": [12, 8]}
    assert seen["problem"] is None


def test_an_older_driver_without_the_newer_calls_reads_the_same(old_driver, with_driver):
    (gpu,) = with_driver(old_driver, READ)["gpus"]
    assert gpu["memory_used_bytes"] == 1024 * MIB
    assert gpu["temperature_celsius"] == 61
    assert gpu["throttle_reasons"] == ["power cap"]


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("total", "memory_total_bytes"),
        ("temp", "temperature_celsius"),
        ("util", "utilization_percent"),
        ("power", "power_watts"),
        ("reasons", "throttle_reasons"),
        ("cc", "compute_capability"),
    ],
)
def test_one_silent_field_is_none_and_hides_no_other(fake_driver, with_driver, key, field):
    (gpu,) = with_driver(fake_driver, READ, **{key: "err:3"})["gpus"]
    assert gpu[field] is None
    others = {"temperature_celsius", "utilization_percent"} - {field}
    assert all(gpu[other] is not None for other in others)


def test_shared_memory_reported_as_zero_is_unknown(fake_driver, with_driver):
    (gpu,) = with_driver(fake_driver, READ, total="0")["gpus"]
    assert gpu["memory_total_bytes"] is None


def test_a_lost_card_leaves_the_other_readable(fake_driver, with_driver):
    first, second = with_driver(fake_driver, READ, count="2", gpu0__lost="1")["gpus"]
    assert first["name"] == "GPU 0"
    assert first["temperature_celsius"] is None
    assert second["temperature_celsius"] == 61


def test_unknown_throttle_bits_are_kept_by_number(fake_driver, with_driver):
    (gpu,) = with_driver(fake_driver, READ, reasons="0x1040")["gpus"]
    assert gpu["throttle_reasons"] == ["hardware thermal", "reason 0x1000"]


@pytest.mark.parametrize(
    ("code", "words"),
    [("9", "no NVIDIA driver"), ("18", "different versions"), ("77", "NVML error 77")],
)
def test_a_driver_that_does_not_start_says_why(fake_driver, with_driver, code, words):
    seen = with_driver(fake_driver, READ, init=code)
    assert seen["gpus"] == []
    assert words in seen["problem"]
    assert seen["driver"] == {"version": None, "cuda_version": None}


def test_who_holds_memory_and_who_draws(fake_driver, with_driver):
    own = os.getpid()
    (card,) = with_driver(
        fake_driver, READ, process=f"{own}:900", graphics="4000000:300", display="1"
    )["cards"]
    by_pid = {item["pid"]: item for item in card["processes"]}
    assert by_pid[own]["used_bytes"] == 900 * MIB
    assert "python" in by_pid[own]["name"] or "pytest" in by_pid[own]["name"]
    assert by_pid[4000000] == {"pid": 4000000, "used_bytes": 300 * MIB, "name": None}
    assert card["has_display"] is True


def test_a_card_cut_into_parts(fake_driver, with_driver):
    seen = with_driver(
        fake_driver, READ, mig="1", mig__count="2", util="err:3", mig0__total="20096",
        mig0__used="96", mig1__total="20096", mig1__used="0",
    )  # fmt: skip
    (card,), (gpu,) = seen["cards"], seen["gpus"]
    assert gpu["utilization_percent"] is None
    assert [part["uuid"] for part in card["mig"]] == ["MIG-00000000", "MIG-00000001"]
    assert card["mig"][0]["memory_total_bytes"] == 20096 * MIB


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ({"lost": "1"}, "it fell off the bus"),
        ({"total": "err:4"}, "no permission to query it"),
        ({"nohandle": "15"}, "the driver gives no access to it"),
        ({"total": "err:3"}, None),
        ({}, None),
    ],
)
def test_a_card_that_does_not_answer_says_why(fake_driver, with_driver, script, fault):
    seen = with_driver(fake_driver, READ, **script)
    assert [card["fault"] for card in seen["cards"]] == [fault]
    assert len(seen["gpus"]) == 1


def test_a_card_that_falls_off_the_bus_while_we_look(fake_driver, with_driver):
    """The second reading of the same process."""
    source = """
import json, os
from ethtune.device import nvml
before = nvml.readings()[0].temperature_celsius
with open(os.environ["FAKE_NVML_SCRIPT"], "a") as script: script.write("lost=1\\n")
after = nvml.readings()[0]
print(json.dumps([before, after.temperature_celsius, after.memory_total_bytes, after.name]))
"""
    assert with_driver(fake_driver, source) == [61, None, None, "GPU 0"]
