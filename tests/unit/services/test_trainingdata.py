"""How much there is to train on, without loading anything."""

import json

import pytest

from ethtune.core.compose import compose
from ethtune.core.errors import DataError
from ethtune.core.tokens import TokenRow
from ethtune.services.rows import TrainingRows
from ethtune.services.trainingdata import dataset_amount, packed_amount, rows_amount


def config(**changes):
    given = {key.replace("__", "."): (value, "test") for key, value in changes.items()}
    return compose(profile="cpu", overrides=given).config


def write(folder, count, *, characters=400, name="train"):
    row = {"instruction": "i" * 100, "input": "x" * (characters - 150), "output": "o" * 50}
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text((json.dumps(row) + "\n") * count)
    return folder


def test_without_a_tokenizer_characters_stand_for_tokens(tmp_path):
    amount = dataset_amount(write(tmp_path, 100), config())
    low, high = amount.num_tokens
    assert 100 * 400 * 0.45 < low < 100 * 400 * 0.65 < high < 100 * 400 * 0.9
    packing = amount.packing
    assert 1 / 10 < packing.labelled_fraction < 1 / 7
    assert "0.5 to 0.8 tokens a character" in amount.assumption


def test_packing_is_that_of_the_trainer(tmp_path):
    packing = dataset_amount(write(tmp_path, 100), config()).packing
    length = packing.num_tokens // 100
    assert packing.longest == 1024 // length * length
    assert packing.num_sequences == -(-100 // (1024 // length))
    unpacked = dataset_amount(tmp_path, config(data__packing=False)).packing
    assert (unpacked.num_sequences, unpacked.longest) == (100, length)


def test_the_models_own_tokenizer_counts_when_it_is_here(tmp_path, tiny_model):
    write(tmp_path / "data", 10)
    write(tmp_path / "data", 4, name="validation")
    amount = dataset_amount(tmp_path / "data", config(model__base_model=str(tiny_model)))
    # the tiny model's tokens are bytes: instruction, newline, input, answer, chat turns
    assert amount.num_tokens == (10 * (401 + 15),) * 2
    assert amount.packing.num_validation_tokens == 4 * (401 + 15)
    assert "tokens counted" in amount.assumption


def test_of_many_rows_a_sample_is_counted(tmp_path, tiny_model):
    write(tmp_path / "data", 2500)
    amount = dataset_amount(tmp_path / "data", config(model__base_model=str(tiny_model)))
    assert amount.packing.num_tokens == pytest.approx(2500 * (401 + 15), rel=0.01)
    assert "1,000 of them" in amount.assumption


def test_rows_above_the_limit_are_left_out(tmp_path):
    write(tmp_path, 3)
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write(json.dumps({"instruction": "i", "input": "x" * 9000, "output": "o"}) + "\n")
    amount = dataset_amount(tmp_path, config())
    assert amount.packing.num_left_out == 1
    assert "1 longer than 1024 tokens left out" in amount.assumption
    with pytest.raises(DataError, match="none of the 4"):
        dataset_amount(tmp_path, config(data__max_seq_length=64))


def test_finished_packs_are_counted_as_they_are():
    rows = [TokenRow(str(n), (*range(n), 0), n - 2, 0) for n in (10, 20, 30)]
    packed = TrainingRows(
        train=[rows[:2], rows[2:]], validation=[], too_long=(), prompt_versions=()
    )
    amount = packed_amount(packed)
    assert amount.num_tokens == (63, 63)
    assert (amount.packing.longest, amount.packing.most_labels) == (32, 6)
    assert amount.packing.mean_length == 31.5


def test_a_number_of_rows_is_a_range():
    low, high = rows_amount(1000).num_tokens
    assert 100_000 < low < 400_000 < high


@pytest.mark.parametrize("content", ["", "not json\n", '{"input": 1}\n'])
def test_a_folder_that_is_none_says_so(tmp_path, content):
    (tmp_path / "train.jsonl").write_text(content)
    with pytest.raises(DataError, match=r"train\.jsonl"):
        dataset_amount(tmp_path, config())
