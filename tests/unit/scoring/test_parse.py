import pytest

from ethtune.scoring.parse import parse_text

WRAP = '{"action":"wrap","protocol":"weth","outcome":"success"}'


def test_reads_an_intent_and_forgives_only_white_space():
    parsed = parse_text(f" \n{WRAP}\n")
    assert parsed.intent is not None
    assert parsed.intent.action == "wrap"
    assert (parsed.is_json, parsed.reason) == (True, None)


@pytest.mark.parametrize(
    ("text", "is_json", "reason"),
    [
        ("", False, "empty text"),
        ("  \n", False, "empty text"),
        ("This is a swap.", False, "not JSON"),
        (f"```json\n{WRAP}\n```", False, "not JSON"),
        (f"{WRAP} Done.", False, "not JSON"),
        (WRAP[:-1], False, "not JSON"),
        ('{"action":NaN}', False, "action"),
        ("[]", True, "expected a JSON object"),
        ('"swap"', True, "expected a JSON object"),
        ('{"protocol":"weth"}', True, 'no key "action"'),
        ('{"action":"Swap"}', True, "action is 'Swap'"),
        ('{"action":"swap","action":"wrap"}', True, "a key stands twice"),
        ('{"action":"swap","gas":1}', True, "unknown key"),
        ('{"action":"swap","sent":[{"asset":"ETH","amount":0.5}]}', True, "amount is 0.5"),
        ('{"action":"swap","sent":[{"asset":"\\ud800","amount":"1"}]}', True, "surrogate"),
        ("[" * 100_000, False, "not JSON"),
    ],
)
def test_says_why_a_text_is_no_intent(text, is_json, reason):
    parsed = parse_text(text)
    assert parsed.intent is None
    assert parsed.is_json is is_json
    assert reason in parsed.reason
