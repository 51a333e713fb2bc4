from ethtune.core.intent import Intent
from ethtune.scoring.baselines import majority


def test_names_what_is_most_frequent_key_by_key():
    intents = [
        Intent("swap", "uniswap_v2", "success"),
        Intent("swap", "uniswap_v3", "failed"),
        Intent("transfer", "uniswap_v3", "success"),
    ]
    assert majority(intents) == Intent("swap", "uniswap_v3", "success")


def test_a_tie_does_not_depend_on_the_order_of_rows():
    intents = [Intent("swap"), Intent("approve", "erc20")]
    assert majority(intents) == majority(reversed(intents))


def test_nothing_to_count_is_no_baseline():
    assert majority([]) is None
