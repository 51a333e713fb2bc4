"""Known answers by table; identity, symmetry and order by property."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.intent import ACTIONS, OUTCOMES, Intent, Movement
from ethtune.scoring.compare import FIELDS, INVALID, MOVEMENT_FIELDS, judge, wrong_fields
from ethtune.scoring.metrics import SHARES, assets_f1, score
from ethtune.scoring.report import TITLES

ADDRESS = "0x" + "ab" * 20
SWAP = Intent(
    "swap",
    "uniswap_v3",
    "success",
    sent=(Movement("ETH", "0.5"),),
    received=(Movement("LDO", "1000"), Movement("DAI", "2")),
)
TRANSFER = Intent("transfer", "erc20", "success", sent=(Movement("USDC", "7"),), recipient=ADDRESS)

movements = st.builds(
    Movement,
    asset=st.sampled_from(["ETH", "USDC", "DAI"]),
    amount=st.sampled_from(["0", "1.5", "unlimited"]),
    token_id=st.none() | st.sampled_from(["1", "22"]),
    bound=st.none() | st.sampled_from(["min", "max"]),
)
lists = st.lists(movements, max_size=3).map(tuple)
addresses = st.none() | st.sampled_from([ADDRESS, "0x" + "00" * 20])
intents = st.builds(
    Intent,
    action=st.sampled_from(ACTIONS[:6]),
    protocol=st.none() | st.sampled_from(["erc20", "uniswap_v2"]),
    outcome=st.sampled_from(OUTCOMES),
    via=st.lists(st.sampled_from(["safe", "multicall"]), max_size=2).map(tuple),
    sent=lists,
    received=lists,
    approved=lists,
    recipient=addresses,
    spender=addresses,
    secondary=st.lists(st.sampled_from(["wrap", "approve"]), max_size=2).map(tuple),
)


def judged(*pairs):
    return [judge(str(n), expected, text) for n, (expected, text) in enumerate(pairs)]


@given(st.lists(intents, min_size=1, max_size=5))
def test_repeating_the_reference_is_perfect(references):
    scores = score(judged(*((intent, intent.to_json()) for intent in references)))
    assert all(share.value in (1.0, None) for share in scores.shares.values())
    assert all(value in (1.0, None) for value in scores.f1.values())
    assert scores.shares["exact_match"].value == 1.0
    assert scores.confusions == ()


@given(intents, st.randoms())
def test_order_of_movements_means_nothing(intent, random):
    def shuffled(items):
        return tuple(random.sample(items, len(items)))

    mixed = replace(
        intent,
        secondary=shuffled(intent.secondary),
        **{name: shuffled(getattr(intent, name)) for name in MOVEMENT_FIELDS},
    )
    assert wrong_fields(intent, mixed) == ()


@given(intents, intents)
def test_comparison_is_symmetric(first, second):
    assert wrong_fields(first, second) == wrong_fields(second, first)
    there = judged((first, second.to_json()))
    back = judged((second, first.to_json()))
    for field in MOVEMENT_FIELDS:
        assert assets_f1(there, field) == assets_f1(back, field)
    assert score(there).f1["action_macro_f1"] == score(back).f1["action_macro_f1"]


@given(intents, st.text(max_size=30))
def test_what_is_no_intent_is_wrong_everywhere(expected, text):
    verdict = judge("x", expected, "no: " + text)
    assert verdict.wrong == FIELDS
    assert not verdict.is_exact
    assert verdict.action == INVALID


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        (replace(SWAP, action="wrap"), ("action",)),
        (replace(SWAP, protocol=None), ("protocol",)),
        (replace(SWAP, sent=(Movement("ETH", "0.50001"),)), ("sent",)),
        (replace(SWAP, sent=(Movement("ETH", "0.5", bound="max"),)), ("sent",)),
        (replace(SWAP, sent=(Movement("ETH", "0.5"),) * 2), ("sent",)),
        (replace(SWAP, via=("safe",), recipient=ADDRESS), ("via", "recipient")),
        (replace(SWAP, received=SWAP.received[::-1]), ()),
    ],
)
def test_names_the_fields_that_differ(changed, wrong):
    assert wrong_fields(SWAP, changed) == wrong


def test_known_answers():
    half_right = replace(SWAP, received=(Movement("LDO", "1000"), Movement("USDT", "2")))
    scores = score(
        judged(
            (SWAP, SWAP.to_json()),
            (SWAP, half_right.to_json()),
            (TRANSFER, replace(TRANSFER, action="approve").to_json()),
            (TRANSFER, "I cannot tell."),
        )
    )
    shares = {name: (share.right, share.total) for name, share in scores.shares.items()}
    assert shares == {
        "exact_match": (1, 4),
        "action_accuracy": (2, 4),
        "protocol_accuracy": (3, 4),
        "outcome_accuracy": (3, 4),
        "sent_amounts_exact": (3, 4),
        "received_amounts_exact": (1, 2),
        "approved_amounts_exact": (0, 0),
        "recipient_exact": (1, 2),
        "spender_exact": (0, 0),
        "valid_json": (3, 4),
        "valid_schema": (3, 4),
        "finished": (4, 4),
    }
    assert scores.f1 == {
        "sent_assets_f1": pytest.approx(2 * 3 / (4 + 3)),
        "received_assets_f1": pytest.approx(2 * 3 / (4 + 4)),
        "approved_assets_f1": None,
        "action_macro_f1": pytest.approx(1 / 3),  # swap 1, transfer 0, approve 0
    }
    actions = [(a.action, a.support, a.precision, a.recall, a.f1) for a in scores.actions]
    assert actions == [
        ("swap", 2, 1.0, 1.0, 1.0),
        ("transfer", 2, None, 0.0, 0.0),
        ("approve", 0, 0.0, None, 0.0),
    ]
    confusions = [(c.expected, c.predicted, c.count) for c in scores.confusions]
    assert confusions == [("transfer", INVALID, 1), ("transfer", "approve", 1)]


def test_no_rows_have_no_figures():
    scores = score([])
    assert all(share.value is None for share in scores.shares.values())
    assert set(scores.f1.values()) == {None}


def test_every_metric_has_a_title():
    scores = score([])
    assert set(TITLES) == set(SHARES) | set(scores.f1)
