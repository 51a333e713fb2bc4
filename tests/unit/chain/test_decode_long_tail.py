"""Known answers for families of protocols that are told by data: contracts, events, functions."""

from __future__ import annotations

import pytest
from eth_abi import encode

from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.signatures import events, functions
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.transaction import Log, Transaction

REGISTRY = TokenRegistry()
ME, YOU, POOL = ("0x" + digit * 40 for digit in "123")
ZERO = "0x" + "0" * 40
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
ETHER = 10**18
COMET = "0xc3d688b66703497daa19211eedff47f25384cdc3"
DAI = "0x6b175474e89094c44da98b954eedeac495271d0f"
ETH_JOIN = "0x2f0b23f53734252bda2277357e97e1517d6b042a"
DAI_JOIN = "0x9759a6ac90977b93b58547b4a71c78317f391a28"
POT = "0x197e90f9fad81970ba7976f33cbd77088e5d7cf7"
TUB = "0x448a5065aebb8e423f0896e6c5d525c040f59af3"
SAI = "0x89d24a6b4ccb1b6faa2625fe562bdd9a23260359"
TROVES = "0x24179cd81c9e782a4096035f7ec97fb8b783e007"
STABILITY_POOL = "0x66017d22b0f8556afdd19fc67041899eb65a21bb"
LUSD, LQTY = (
    "0x5f98805a4e8be255a32880fdec7f6728c6568ba0",
    "0x6dea81c8171d0ba574754ef6f8b412f2ed88c54d",
)
CVX = "0x4e3fbd56cd56c3e72c1403e103b45db9da5b9d2b"
YV_DAI = "0xda816459f1ab5631232fe5e97a05bbbb94970c95"
AURA_BOOSTER = "0xa57b8d98dae62b26ec3bcc4a365338157060b234"
BASE_PORTAL = "0x49048044d57e1c92a77f79988d21fa8faf74e97e"
EIGEN_STRATEGIES = "0x858646372cc42e1a627fce94aa7a7033e7cf075a"
EIGEN_AIRDROP = "0x035bdaeab85e47710c27eda7fd754ba80ad4ad02"
RAILGUN = "0xfa7093cdd9ee6932b4eb2c9e1cde7ce00b1fa4b9"
DIVA_GOVERNOR = "0xfb6b7c11a55c57767643f1ff65c34c8693a11a70"
PUNKS = "0xb47e3cd837ddf8e4c57f05d70ab865de6e193bbb"
CELER = "0x5427fefa711eff984124bfbb1ab6fbf5e3da1820"
GAS_ZIP = "0x9e22ebec84c7e4c4bd6d4ae7ff6f4d436d6d8390"
IMMUTABLE_X = "0x5fdcca53617f4d2b9134b29090c87d01058e27e9"
JOIN, EXIT = "0x3b4da69f", "0xef693bed"


def call(canonical: str, *values: object) -> str:
    selector = next(s for s, f in functions().items() if f.canonical == canonical)
    types = canonical[canonical.index("(") + 1 : -1]
    return selector + encode(types.split(",") if types else [], values).hex()


def log(address: str, canonical: str, *values: object) -> Log:
    """An event of the table; of several with this signature the one with most topics."""
    found = [key for key, event in events().items() if event.canonical == canonical]
    topic0, _ = key = max(found, key=lambda item: item[1])
    signature = events()[key]
    pairs = list(zip(signature.parameters, values, strict=True))
    topics = [encode([p.type], [v]).hex() for p, v in pairs if p.is_indexed]
    plain = [(p.type, v) for p, v in pairs if not p.is_indexed]
    data = encode([kind for kind, _ in plain], [v for _, v in plain]).hex()
    return Log(address, (topic0, *("0x" + topic for topic in topics)), "0x" + data, 0)


def moved(token: str, sender: str, to: str, value: int) -> Log:
    transfer = next(key for (key, _), e in events().items() if e.name == "Transfer")
    accounts = ("0x" + encode(["address"], [account]).hex() for account in (sender, to))
    return Log(token, (transfer, *accounts), "0x" + encode(["uint256"], [value]).hex(), 0)


def transaction(to: str, calldata: str = "0x", *, value: int = 0, logs=()) -> Transaction:
    return Transaction("0x" + "f" * 64, ME, to, value, calldata, 1, tuple(logs))


def read(given: Transaction) -> dict:
    return decode(describe(given, REGISTRY)).as_dict()


def noted(address: str, selector: str) -> Log:
    """Maker's contracts log a call under its selector instead of a hash."""
    return Log(address, (selector + "0" * 56, "0x" + "0" * 64), "0x", 0)


def supplied(dst: str = ME) -> Log:
    return log(COMET, "Supply(address,address,uint256)", ME, dst, 3_000_000)


def withdrawn() -> Log:
    return log(COMET, "Withdraw(address,address,uint256)", ME, ME, 3_000_000)


SUPPLY = call("supply(address,uint256)", USDC, 3_000_000)
PROXY_CALL = call("execute(address,bytes)", YOU, b"\1")
USDC_IN, USDC_OUT = moved(USDC, ME, COMET, 3_000_000), moved(USDC, COMET, ME, 3_000_000)

SETTLED = {
    "comet issues shares for what is lent": (
        transaction(COMET, SUPPLY, logs=[USDC_IN, supplied(), moved(COMET, ZERO, ME, 2_999_999)]),
        ("deposit", "compound_v3"),
    ),
    "comet takes a repayment for nothing": (
        transaction(COMET, SUPPLY, logs=[USDC_IN, supplied()]),
        ("repay", "compound_v3"),
    ),
    "comet destroys shares of what is withdrawn": (
        transaction(COMET, "0x", logs=[USDC_OUT, withdrawn(), moved(COMET, ME, ZERO, 3_000_001)]),
        ("withdraw", "compound_v3"),
    ),
    "comet lends": (
        transaction(COMET, SUPPLY, logs=[USDC_OUT, withdrawn()]),
        ("borrow", "compound_v3"),
    ),
    "collateral is a means to a loan": (
        transaction(
            POOL,
            "0xdeadbeef",
            logs=[
                moved(LQTY, ME, COMET, 9),
                log(
                    COMET,
                    "SupplyCollateral(address,address,address,uint256)",
                    POOL,
                    ME,
                    LQTY,
                    9,
                ),
                USDC_OUT,
                withdrawn(),
            ],
        ),
        ("borrow", "compound_v3"),
    ),
    "vault opened with ether": (
        transaction(
            POOL,
            PROXY_CALL,
            value=ETHER,
            logs=[noted(ETH_JOIN, JOIN), noted(DAI_JOIN, EXIT), moved(DAI, ZERO, ME, ETHER)],
        ),
        ("borrow", "makerdao_vault"),
    ),
    "vault paid back": (
        transaction(POOL, PROXY_CALL, logs=[moved(DAI, ME, POOL, ETHER), noted(DAI_JOIN, JOIN)]),
        ("repay", "makerdao_vault"),
    ),
    "dai for savings": (
        transaction(
            POOL,
            PROXY_CALL,
            logs=[moved(DAI, ME, POOL, ETHER), noted(DAI_JOIN, JOIN), noted(POT, "0x049878f3")],
        ),
        ("deposit", "makerdao_dsr"),
    ),
    "dai for another asset is no loan": (
        transaction(
            POOL,
            "0xdeadbeef",
            logs=[moved(LQTY, ME, POOL, 9), noted(DAI_JOIN, EXIT), moved(DAI, POOL, ME, 9)],
        ),
        ("unknown", None),
    ),
    "sai drawn": (
        transaction(
            POOL,
            PROXY_CALL,
            value=ETHER,
            logs=[noted(TUB, "0x049878f3"), noted(TUB, "0x440f19ba"), moved(SAI, ZERO, ME, 5)],
        ),
        ("borrow", "makerdao_sai"),
    ),
    "trove with more debt": (
        transaction(TROVES, "0xdeadbeef", logs=[moved(LUSD, ZERO, ME, 5)]),
        ("borrow", "liquity"),
    ),
    "trove with more collateral": (
        transaction(TROVES, "0xdeadbeef", value=ETHER),
        ("deposit", "liquity"),
    ),
    "trove with less debt": (
        transaction(TROVES, "0xdeadbeef", logs=[moved(LUSD, ME, ZERO, 5)]),
        ("repay", "liquity"),
    ),
    "rewards of a stability pool": (
        transaction(
            STABILITY_POOL, call("withdrawFromSP(uint256)", 0), logs=[moved(LQTY, POOL, ME, 5)]
        ),
        ("claim", "liquity"),
    ),
    "deposit of a stability pool": (
        transaction(
            STABILITY_POOL,
            call("withdrawFromSP(uint256)", 5),
            logs=[moved(LUSD, STABILITY_POOL, ME, 5), moved(LQTY, POOL, ME, 5)],
        ),
        ("unstake", "liquity"),
    ),
    "rewards that a known token was issued for": (
        transaction(
            POOL,
            call("getReward(address,bool)", ME, True),
            logs=[moved(YOU, POOL, ME, 5), moved(CVX, ZERO, ME, 3)],
        ),
        ("claim", "convex"),
    ),
    "shares of a known vault through an unknown contract": (
        transaction(POOL, "0xdeadbeef", logs=[moved(DAI, ME, POOL, 5), moved(YV_DAI, ZERO, ME, 4)]),
        ("deposit", "yearn_v2"),
    ),
    "the emitter on the list, though others speak like it": (
        transaction(
            POOL,
            "0xdeadbeef",
            logs=[
                moved(YOU, ME, POOL, 5),
                log(AURA_BOOSTER, "Deposited(address,uint256,uint256)", ME, 7, 5),
            ],
        ),
        ("stake", "aura_finance"),
    ),
    "ether just sent to a bridge": (
        transaction(BASE_PORTAL, value=ETHER),
        ("bridge", "base_bridge"),
    ),
    "a proxy of its owner is the owner": (
        transaction(POOL, PROXY_CALL, logs=[moved(USDC, ME, COMET, 3_000_000), supplied(POOL)]),
        ("deposit", "compound_v3"),
    ),
    "an airdrop by whatever name": (
        transaction(EIGEN_AIRDROP, "0xdeadbeef", logs=[moved(YOU, POOL, ME, 5)]),
        ("claim", "eigenlayer"),
    ),
    "a locker takes": (
        transaction(RAILGUN, "0xdeadbeef", logs=[moved(USDC, ME, RAILGUN, 5)]),
        ("deposit", "railgun"),
    ),
    "a locker returns": (
        transaction(RAILGUN, "0xdeadbeef", logs=[moved(USDC, RAILGUN, ME, 5)]),
        ("withdraw", "railgun"),
    ),
    "a vote": (
        transaction(
            DIVA_GOVERNOR,
            call("castVote(uint256,uint8)", 7, 1),
            logs=[
                log(
                    DIVA_GOVERNOR,
                    "VoteCast(address,uint256,uint8,uint256,string)",
                    ME,
                    7,
                    1,
                    5,
                    "",
                )
            ],
        ),
        ("governance", "diva"),
    ),
    "withdrawal of restaked tokens": (
        transaction(
            EIGEN_STRATEGIES,
            "0xdeadbeef",
            logs=[
                moved(YOU, POOL, ME, 5),
                log(
                    EIGEN_STRATEGIES,
                    "WithdrawalCompleted(address,uint96,address,bytes32)",
                    ME,
                    1,
                    ME,
                    b"\1" * 32,
                ),
            ],
        ),
        ("unstake", "eigenlayer"),
    ),
}


@pytest.mark.parametrize("name", SETTLED)
def test_on_record(name):
    given, (action, protocol) = SETTLED[name]
    intent = read(given)
    assert (intent["action"], intent.get("protocol")) == (action, protocol)


def test_a_contract_that_speaks_like_one_protocol_alone_belongs_to_it():
    """Pods are one contract an owner: no list has them."""
    created = log(POOL, "CheckpointCreated(uint64,bytes32,uint256)", 5, b"\1" * 32, 3)
    intent = read(transaction(POOL, "0xdeadbeef", logs=[created]))
    assert (intent["action"], intent["protocol"]) == ("unknown", "eigenlayer")


def test_plain_payment_to_a_bridge_before_signing():
    given = transaction(BASE_PORTAL, value=ETHER).before_signing()
    assert read(given) == {
        "action": "bridge",
        "protocol": "base_bridge",
        "outcome": "unknown",
        "sent": [{"asset": "ETH", "amount": "1"}],
    }


RECORDED = {
    "a punk, older than any standard": (
        transaction(
            PUNKS,
            call("buyPunk(uint256)", 7),
            value=ETHER,
            logs=[
                moved(PUNKS, YOU, ME, 1),
                log(PUNKS, "PunkBought(uint256,uint256,address,address)", 7, ETHER, YOU, ME),
            ],
        ),
        {"action": "nft_trade", "protocol": "cryptopunks"}
        | {"sent": [{"asset": "ETH", "amount": "1"}]}
        | {"received": [{"asset": PUNKS, "token_id": "7"}]},
    ),
    "rewards along with a stake that is given back": (
        transaction(
            POOL,
            call("withdrawAndHarvest(uint256,uint256,address)", 0, 5, ME),
            logs=[
                moved(USDC, POOL, ME, 2),
                moved(USDC, POOL, ME, 5),
                log(POOL, "Harvest(address,uint256,uint256)", ME, 0, 2),
            ],
        ),
        {"action": "unstake", "received": [{"asset": "USDC", "amount": "0.000007"}]}
        | {"secondary": ["claim"]},
    ),
    "rewards that only accrue": (
        transaction(
            POOL,
            call("deposit(uint256)", 5),
            logs=[
                log(
                    YOU, "DistributedSupplierComp(address,address,uint256,uint256)", POOL, ME, 0, 9
                ),
                moved(USDC, ME, POOL, 5),
                moved(POOL, ZERO, ME, 7),
            ],
        ),
        {"action": "deposit", "sent": [{"asset": "USDC", "amount": "0.000005"}]}
        | {"received": [{"asset": POOL, "amount": "7"}]},
    ),
    "no farm counts as many pools": (
        transaction(
            POOL,
            call("withdrawAll(uint256)", ETHER),
            logs=[
                moved(POOL, ME, ZERO, ETHER),
                moved(USDC, POOL, ME, 1),
                moved(DAI, POOL, ME, ETHER),
            ],
        ),
        {"action": "remove_liquidity", "sent": [{"asset": POOL, "amount": str(ETHER)}]}
        | {
            "received": [
                {"asset": "DAI", "amount": "1"},
                {"asset": "USDC", "amount": "0.000001"},
            ]
        },
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_whole_record(name):
    given, expected = RECORDED[name]
    assert read(given) == expected | {"outcome": "success"}


PLANNED = {
    "a vote that costs ether": (
        transaction(POOL, call("delegate(address)", YOU), value=1),
        {"action": "unknown", "sent": [{"asset": "ETH", "amount": "0.000000000000000001"}]},
    ),
    "a bridge's own pool": (
        transaction(CELER, call("addLiquidity(address,uint256)", USDC, 5)),
        {"action": "add_liquidity", "protocol": "celer"}
        | {"sent": [{"asset": "USDC", "amount": "0.000005"}]},
    ),
    "pool numbers that are addresses": (
        transaction(POOL, call("withdraw(uint256,uint256)", int(ME, 16), 5)),
        {"action": "unknown"},
    ),
    "a bridge's owner in the place of a pool": (
        transaction(IMMUTABLE_X, call("withdraw(uint256,uint256)", 2**250, 2**249)),
        {"action": "bridge", "protocol": "immutable_x"},
    ),
    "nothing staked fetches rewards": (
        transaction(POOL, call("deposit(uint256,uint256)", 3, 0)),
        {"action": "claim"},
    ),
    "rewards or new NFTs": (transaction(POOL, call("claim(uint256)", 3)), {"action": "unknown"}),
    "arguments of another layout": (
        transaction(POOL, "0x00000000" + "01" * 16, value=ETHER),
        {"action": "unknown", "sent": [{"asset": "ETH", "amount": "1"}]},
    ),
    "a bridge that looks like a vault": (
        transaction(GAS_ZIP, call("deposit(uint256,address)", 57, ME), value=ETHER),
        {"action": "bridge", "protocol": "gas_zip"} | {"sent": [{"asset": "ETH", "amount": "1"}]},
    ),
}


@pytest.mark.parametrize("name", PLANNED)
def test_before_signing(name):
    given, expected = PLANNED[name]
    assert read(given.before_signing()) == expected | {"outcome": "unknown"}
