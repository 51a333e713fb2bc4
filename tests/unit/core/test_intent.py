"""The text form: what is written comes back, what is anything else is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.intent import (
    ACTIONS,
    BOUNDS,
    OUTCOMES,
    Intent,
    InvalidIntent,
    Movement,
    intent_from_dict,
    parse_intent,
)

ALICE = "0x" + "a1" * 20

amounts = st.one_of(
    st.just("unlimited"),
    st.integers(0, 2**256).map(str),
    st.decimals(0, 10**6, places=6).map(lambda value: f"{value.normalize():f}"),
)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
movements = st.builds(
    Movement,
    asset=st.sampled_from(["ETH", "USDC", "Ξ"]) | addresses,
    amount=amounts,
    token_id=st.none() | st.integers(0, 2**256).map(str),
    bound=st.none() | st.sampled_from(BOUNDS),
)
slugs = st.sampled_from(["erc20", "uniswap_v3", "1inch"])
intents = st.builds(
    Intent,
    action=st.sampled_from(ACTIONS),
    protocol=st.none() | slugs,
    outcome=st.sampled_from(OUTCOMES),
    via=st.lists(slugs, max_size=2).map(tuple),
    sent=st.lists(movements, max_size=2).map(tuple),
    received=st.lists(movements, max_size=2).map(tuple),
    approved=st.lists(movements, max_size=1).map(tuple),
    recipient=st.none() | addresses,
    spender=st.none() | addresses,
    secondary=st.lists(st.sampled_from(ACTIONS), max_size=2).map(tuple),
)


@given(intents)
def test_what_is_written_comes_back(intent):
    text = intent.to_json()
    assert parse_intent(text) == intent
    assert parse_intent(json.dumps(json.loads(text), indent=3)) == intent
    assert intent_from_dict(intent.as_dict()).to_json() == text


def test_the_text_is_small_and_in_fixed_order():
    intent = Intent(
        "swap",
        "uniswap_v3",
        "success",
        received=(Movement("LDO", "1000"),),
        sent=(Movement("ETH", "0.5"),),
    )
    assert intent.to_json() == (
        '{"action":"swap","protocol":"uniswap_v3","outcome":"success",'
        '"sent":[{"asset":"ETH","amount":"0.5"}],"received":[{"asset":"LDO","amount":"1000"}]}'
    )
    assert Intent("unknown").to_json() == '{"action":"unknown","outcome":"unknown"}'


SENT = '{"action":"transfer","sent":[%s]}'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "not JSON"),
        ("a swap", "not JSON"),
        ('{"action":"swap"} and more', "not JSON"),
        ('{"action":"swap"', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "found list"),
        ("null", "found NoneType"),
        ('"swap"', "found str"),
        ("{}", 'no key "action"'),
        ('{"action":"swap","action":"wrap"}', "a key stands twice"),
        ('{"action":"swap","mood":"good"}', "unknown key ['mood']"),
        ('{"action":"buy"}', "action is 'buy'"),
        ('{"action":null}', "action is None"),
        ('{"action":["swap"]}', "action is ['swap']"),
        ('{"action":"swap","outcome":"maybe"}', "outcome is 'maybe'"),
        ('{"action":"swap","outcome":{}}', "outcome is {}"),
        ('{"action":"swap","protocol":"Uniswap V3"}', "protocol is 'Uniswap V3'"),
        ('{"action":"swap","protocol":3}', "protocol is 3"),
        ('{"action":"swap","via":"safe"}', "via is 'safe'"),
        ('{"action":"swap","via":[1]}', "via is [1]"),
        ('{"action":"swap","sent":{}}', "sent is {}"),
        ('{"action":"swap","sent":["ETH"]}', "sent holds 'ETH'"),
        ('{"action":"swap","recipient":"vitalik.eth"}', "recipient is 'vitalik.eth'"),
        ('{"action":"swap","spender":"0x' + "A1" * 20 + '"}', "spender is '0xA1"),
        (SENT % "{}", 'no key "asset"'),
        (SENT % '{"asset":"ETH"}', "neither amount nor token_id"),
        (SENT % '{"asset":"","amount":"1"}', "asset is ''"),
        (SENT % '{"asset":1,"amount":"1"}', "asset is 1"),
        (SENT % '{"asset":"ETH","amount":1}', "amount is 1"),
        (SENT % '{"asset":"ETH","amount":0.5}', "amount is 0.5"),
        (SENT % '{"asset":"ETH","amount":"1.0"}', "amount is '1.0'"),
        (SENT % '{"asset":"ETH","amount":"01"}', "amount is '01'"),
        (SENT % '{"asset":"ETH","amount":".5"}', "amount is '.5'"),
        (SENT % '{"asset":"ETH","amount":"1e3"}', "amount is '1e3'"),
        (SENT % '{"asset":"ETH","amount":"-1"}', "amount is '-1'"),
        (SENT % '{"asset":"ETH","amount":"1\\n"}', "amount is '1\\n'"),
        (SENT % '{"asset":"ETH","amount":"1٣"}', "amount is '1٣'"),
        (SENT % '{"asset":"ETH","amount":"1","unit":"wei"}', "unknown key ['unit']"),
        (SENT % '{"asset":"ETH","amount":"1","bound":"exact"}', "bound is 'exact'"),
        (SENT % '{"asset":"ETH","amount":"1","bound":[]}', "bound is []"),
        (SENT % '{"asset":"APE","token_id":7}', "token_id is 7"),
        (SENT % '{"asset":"APE","token_id":"7a"}', "token_id is '7a'"),
        (SENT % '{"asset":"APE","token_id":"²"}', "token_id is '²'"),
    ],
)
def test_anything_else_is_refused_by_name(text, named):
    with pytest.raises(InvalidIntent) as caught:
        parse_intent(text)
    assert named in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["action", "sent", "via", "asset"]), inner)
    ),
)


@given(json_values)
def test_no_json_value_breaks_the_reader(plain):
    with pytest.raises(InvalidIntent):
        parse_intent(json.dumps(plain))
