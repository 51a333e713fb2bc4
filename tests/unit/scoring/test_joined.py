from ethtune.core.described import DescribedTransaction, Token
from ethtune.core.intent import Intent, Movement
from ethtune.core.transaction import Transaction
from ethtune.scoring.joined import resolved_intent, transaction_facts

USDC = Token("0x" + "a0" * 20, "USDC", 6, name_is_unique=True)
TWIN = Token("0x" + "b1" * 20, "TWIN", 2)
UNKNOWN = "0x" + "c2" * 20
TRANSACTION = Transaction(
    hash="0x" + "1" * 64,
    sender="0x" + "2" * 40,
    to="0x" + "3" * 40,
    value_wei=0,
    calldata="0x",
    gas_used=21_000,
    gas_price_wei=20_000_000_000,
)
DESCRIBED = DescribedTransaction(
    TRANSACTION, tokens={token.address: token for token in (USDC, TWIN)}
)


def resolved(asset, amount=None, **more):
    intent = Intent("transfer", sent=(Movement(asset, amount, **more),))
    return resolved_intent(intent, DESCRIBED)["sent"][0]


def test_movements_gain_address_decimals_and_raw_amount():
    assert resolved("ETH", "0.5") == {
        "asset": "ETH",
        "amount": "0.5",
        "decimals": 18,
        "raw_amount": "500000000000000000",
    }
    assert resolved("USDC", "1.5") == {
        "asset": "USDC",
        "amount": "1.5",
        "address": USDC.address,
        "decimals": 6,
        "raw_amount": "1500000",
    }
    assert resolved(TWIN.address, "1.25")["raw_amount"] == "125"
    assert resolved(UNKNOWN, "77") == {
        "asset": UNKNOWN,
        "amount": "77",
        "address": UNKNOWN,
        "raw_amount": "77",
    }


def test_what_is_not_known_is_absent():
    assert "raw_amount" not in resolved("USDC", "unlimited")
    assert "raw_amount" not in resolved("USDC", "0.0000001")
    assert "address" not in resolved("NOSUCH", "1")
    assert resolved(UNKNOWN, token_id="7") == {
        "asset": UNKNOWN,
        "token_id": "7",
        "address": UNKNOWN,
    }


def test_facts_of_the_transaction_need_no_model():
    facts = transaction_facts(TRANSACTION)
    assert facts["fee_eth"] == "0.00042"
    assert facts["hash"] == TRANSACTION.hash
    assert "block_number" not in facts
