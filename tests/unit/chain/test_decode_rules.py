"""Known answers: one transaction of each kind, in both views."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi import encode

from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.signatures import events, functions
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.transaction import InternalTransfer, Log, Transaction

REGISTRY = TokenRegistry()
ME, YOU, POOL = ("0x" + digit * 40 for digit in "123")
ZERO = "0x" + "0" * 40
WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
BAYC = "0xbc4ca0eda7647a8ab7c2061c2e118a18a936f13d"
ROUTER_V2 = "0x7a250d5630b4cf539739df2c5dacb4c659f2488d"
ROUTER_V3 = "0x68b3465833fb72a70ecdf485e0e4c7bd8665fc45"
UNIVERSAL = "0x3fc91a3afd70395cd496c647d5a6cc9d4b2b7fad"
ONE_INCH = "0x1111111254eeb25477b68fb85ed929f73a960582"
STARKGATE = "0xae0ee0a63a2ce6baeeffe56e7714fb4efe48d419"
SEAPORT = "0x0000000000000068f116a894984e2db1123eb395"
ENTRY_POINT = "0x0000000071727de22e5e9d8baf0edac6f37da032"
LIDO = "0xae7ab96520de3a18e5e111b5eaab095312d7fe84"
ETHER = 10**18


def call(canonical: str, *values: object) -> str:
    selector = next(s for s, f in functions().items() if f.canonical == canonical)
    types = canonical[canonical.index("(") :]
    if types == "()":
        return selector
    return selector + encode([types], [values]).hex()[64 * _is_dynamic(types) :]


def _is_dynamic(types: str) -> bool:
    return any(mark in types for mark in ("bytes,", "bytes)", "string", "[]"))


def log(address: str, canonical: str, *values: object, topics: int) -> Log:
    found = [k for k, e in events().items() if e.canonical == canonical and k[1] == topics]
    parameters = events()[found[0]].parameters
    pairs = list(zip(parameters, values, strict=True))
    indexed = ["0x" + encode([p.type], [v]).hex() for p, v in pairs if p.is_indexed]
    plain = [(p.type, v) for p, v in pairs if not p.is_indexed]
    data = encode([t for t, _ in plain], [v for _, v in plain]).hex()
    return Log(address, (found[0][0], *indexed), "0x" + data, 0)


def moved(token: str, sender: str, to: str, value: int) -> Log:
    return log(token, "Transfer(address,address,uint256)", sender, to, value, topics=3)


def moved_nft(token: str, sender: str, to: str, token_id: int) -> Log:
    return log(token, "Transfer(address,address,uint256)", sender, to, token_id, topics=4)


def withdrawn(account: str, wei: int) -> Log:
    return log(WETH, "Withdrawal(address,uint256)", account, wei, topics=2)


def deposited(account: str, wei: int) -> Log:
    return log(WETH, "Deposit(address,uint256)", account, wei, topics=2)


def transaction(to, calldata="0x", *, value=0, logs=(), status=1, internal=None) -> Transaction:
    return Transaction(
        "0x" + "f" * 64, ME, to, value, calldata, status, tuple(logs), internal_transfers=internal
    )


def read(given: Transaction) -> dict:
    return decode(describe(given, REGISTRY)).as_dict()


def amounts(*pairs: tuple[str, str]) -> list[dict]:
    return [{"asset": asset, "amount": amount} for asset, amount in pairs]


SWAP_FOR_ETHER = call(
    "swapExactTokensForETH(uint256,uint256,address[],address,uint256)",
    3_000_000, ETHER // 2, [USDC, WETH], ME, 9,
)  # fmt: skip
TRANSFER = call("transfer(address,uint256)", YOU, 1_500_000)
APPROVE = call("approve(address,uint256)", YOU, 2**256 - 1)

SETTLED = {
    "ether": (
        transaction(YOU, value=ETHER),
        {"action": "transfer", "protocol": "ethereum", "sent": amounts(("ETH", "1"))}
        | {"recipient": YOU},
    ),
    "token": (
        transaction(USDC, TRANSFER, logs=[moved(USDC, ME, YOU, 1_500_000)]),
        {"action": "transfer", "protocol": "erc20", "sent": amounts(("USDC", "1.5"))}
        | {"recipient": YOU},
    ),
    "token that moved nothing": (transaction(USDC, TRANSFER), {"action": "unknown"}),
    "unknown token": (
        transaction(POOL, TRANSFER, logs=[moved(POOL, ME, YOU, 1_500_000)]),
        {"action": "transfer", "protocol": "erc20", "sent": amounts((POOL, "1500000"))}
        | {"recipient": YOU},
    ),
    "nft by transferFrom": (
        transaction(
            POOL,
            call("transferFrom(address,address,uint256)", ME, YOU, 7),
            logs=[moved_nft(POOL, ME, YOU, 7)],
        ),
        {"action": "nft_transfer", "protocol": "erc721", "recipient": YOU}
        | {"sent": [{"asset": POOL, "token_id": "7"}]},
    ),
    "unlimited approval": (
        transaction(
            USDC,
            APPROVE,
            logs=[
                log(USDC, "Approval(address,address,uint256)", ME, YOU, 2**256 - 1, topics=3),
            ],
        ),
        {"action": "approve", "protocol": "erc20", "spender": YOU}
        | {"approved": amounts(("USDC", "unlimited"))},
    ),
    "revoked approval": (
        transaction(
            USDC,
            call("approve(address,uint256)", YOU, 0),
            logs=[log(USDC, "Approval(address,address,uint256)", ME, YOU, 0, topics=3)],
        ),
        {"action": "revoke_approval", "protocol": "erc20", "spender": YOU}
        | {"approved": amounts(("USDC", "0"))},
    ),
    "approval for all": (
        transaction(
            BAYC,
            call("setApprovalForAll(address,bool)", YOU, True),
            logs=[log(BAYC, "ApprovalForAll(address,address,bool)", ME, YOU, True, topics=3)],
        ),
        {"action": "approve", "protocol": "erc721", "spender": YOU}
        | {"approved": amounts(("BAYC", "unlimited"))},
    ),
    "wrap by plain payment": (
        transaction(WETH, value=ETHER, logs=[deposited(ME, ETHER)]),
        {"action": "wrap", "protocol": "weth"}
        | {"sent": amounts(("ETH", "1")), "received": amounts(("WETH", "1"))},
    ),
    "unwrap": (
        transaction(WETH, call("withdraw(uint256)", ETHER), logs=[withdrawn(ME, ETHER)]),
        {"action": "unwrap", "protocol": "weth"}
        | {"sent": amounts(("WETH", "1")), "received": amounts(("ETH", "1"))},
    ),
    "tokens for ether, tax of the token in between": (
        transaction(
            ROUTER_V2,
            SWAP_FOR_ETHER,
            logs=[
                withdrawn(ROUTER_V2, 5),  # the token sells its own tax first
                moved(USDC, ME, POOL, 3_000_000),
                withdrawn(ROUTER_V2, ETHER),
            ],
        ),
        {"action": "swap", "protocol": "uniswap_v2"}
        | {"sent": amounts(("USDC", "3")), "received": amounts(("ETH", "1"))},
    ),
    "aggregator by flows": (
        transaction(
            ONE_INCH,
            "0xdeadbeef",
            logs=[moved(USDC, ME, POOL, 3_000_000)],
            internal=(InternalTransfer(ONE_INCH, ME, ETHER),),
        ),
        {"action": "swap", "protocol": "one_inch"}
        | {"sent": amounts(("USDC", "3")), "received": amounts(("ETH", "1"))},
    ),
    "stake": (
        transaction(LIDO, value=ETHER, logs=[moved(LIDO, ZERO, ME, ETHER - 1)]),
        {"action": "stake", "protocol": "lido", "sent": amounts(("ETH", "1"))}
        | {"received": amounts(("stETH", "0.999999999999999999"))},
    ),
    "mint": (
        transaction(POOL, "0xdeadbeef", value=ETHER, logs=[moved_nft(POOL, ZERO, ME, 7)]),
        {"action": "mint", "protocol": "erc721", "sent": amounts(("ETH", "1"))}
        | {"received": [{"asset": POOL, "token_id": "7"}]},
    ),
    "deposit into a copy of Aave": (
        transaction(
            POOL,
            "0xdeadbeef",
            logs=[
                moved(USDC, ME, POOL, 5),
                log(
                    POOL,
                    "Deposit(address,address,address,uint256,uint16)",
                    USDC,
                    ME,
                    ME,
                    5,
                    0,
                    topics=4,
                ),
            ],
        ),
        {"action": "deposit", "sent": amounts(("USDC", "0.000005"))},
    ),
    "stake in a copy of StakingRewards": (
        transaction(
            POOL,
            call("stake(uint256)", 5),
            logs=[moved(USDC, ME, POOL, 5), log(POOL, "Staked(address,uint256)", ME, 5, topics=2)],
        ),
        {"action": "stake", "sent": amounts(("USDC", "0.000005"))},
    ),
    "unsure": (
        transaction(POOL, "0xdeadbeef", value=ETHER, logs=[moved(USDC, POOL, ME, 5)]),
        {"action": "unknown", "sent": amounts(("ETH", "1"))}
        | {"received": amounts(("USDC", "0.000005"))},
    ),
    "share of an unknown vault": (
        transaction(POOL, "0xdeadbeef", logs=[moved(USDC, ME, POOL, 5), moved(POOL, ZERO, ME, 4)]),
        {"action": "deposit", "sent": amounts(("USDC", "0.000005"))}
        | {"received": amounts((POOL, "4"))},
    ),
    "share handed in for two assets": (
        transaction(
            POOL,
            "0xdeadbeef",
            logs=[
                moved(POOL, ME, ZERO, 4),
                moved(USDC, POOL, ME, 5),
                moved(WETH, POOL, ME, ETHER),
            ],
        ),
        {"action": "remove_liquidity", "sent": amounts((POOL, "4"))}
        | {"received": amounts(("USDC", "0.000005"), ("WETH", "1"))},
    ),
    "wrapped ether that its taker unwraps is no share": (
        transaction(
            POOL,
            "0xdeadbeef",
            logs=[moved(WETH, ME, POOL, 9), withdrawn(POOL, 9), moved(USDC, POOL, ME, 5)],
        ),
        {"action": "unknown", "received": amounts(("USDC", "0.000005"))}
        | {"sent": amounts(("WETH", "0.000000000000000009"))},
    ),
    "claim by name": (
        transaction(POOL, call("claim()"), logs=[moved(USDC, YOU, ME, 5)]),
        {"action": "claim", "received": amounts(("USDC", "0.000005"))},
    ),
    "a name that what moved refutes": (
        transaction(POOL, call("claim()"), logs=[moved(USDC, ME, YOU, 5)]),
        {"action": "unknown", "sent": amounts(("USDC", "0.000005"))},
    ),
    "a bot under the selector of a delegation": (
        transaction(POOL, call("delegate(address)", YOU), value=ETHER),
        {"action": "unknown", "sent": amounts(("ETH", "1"))},
    ),
    "reward beside what was unstaked": (
        transaction(
            POOL,
            "0xdeadbeef",
            logs=[
                moved(USDC, POOL, ME, 5),
                log(POOL, "Withdrawn(address,uint256)", ME, 5, topics=2),
                moved(WETH, POOL, ME, 9),
                log(POOL, "RewardPaid(address,uint256)", ME, 9, topics=2),
            ],
        ),
        {"action": "unstake", "secondary": ["claim"]}
        | {"received": amounts(("USDC", "0.000005"), ("WETH", "0.000000000000000009"))},
    ),
    "farm that only paid the reward": (
        transaction(
            POOL,
            call("deposit(uint256,uint256)", 3, 0),
            logs=[
                moved(USDC, POOL, ME, 5),
                log(POOL, "Deposit(address,uint256,uint256)", ME, 3, 0, topics=3),
            ],
        ),
        {"action": "claim", "received": amounts(("USDC", "0.000005"))},
    ),
    "bridge under any name": (
        transaction(STARKGATE, call("deposit(uint256,uint256)", 5, 6), value=ETHER),
        {"action": "bridge", "protocol": "starkgate", "sent": amounts(("ETH", "1"))},
    ),
    "aggregator that pays someone else": (
        transaction(
            ONE_INCH,
            call("uniswapV3SwapTo(address,uint256,uint256,uint256[])", YOU, ETHER, 1, [2]),
            value=ETHER,
            logs=[moved(USDC, POOL, YOU, 5)],
        ),
        {"action": "swap", "protocol": "one_inch", "recipient": YOU}
        | {"sent": amounts(("ETH", "1"))},
    ),
    "protocol of an unknown action": (
        transaction(ONE_INCH, "0xdeadbeef"),
        {"action": "unknown", "protocol": "one_inch"},
    ),
    "contract creation": (
        transaction(None, "0x60806040"),
        {"action": "deploy_contract", "protocol": "ethereum"},
    ),
}


@pytest.mark.parametrize("name", SETTLED)
def test_settled(name):
    given, expected = SETTLED[name]
    assert read(given) == expected | {"outcome": "success"}


PATH = bytes.fromhex(USDC[2:] + "0001f4" + WETH[2:])
V3_SINGLE = call(
    "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))",
    (USDC, WETH, 500, "0x" + "0" * 39 + "2", 3_000_000, 7, 0),
)
PLANNED = {
    "claim by name": (transaction(POOL, call("claim()")), {"action": "claim"}),
    "deposit with a token and an amount": (
        transaction(POOL, call("deposit(address,uint256)", USDC, 5)),
        {"action": "deposit", "sent": amounts(("USDC", "0.000005"))},
    ),
    "market with ether": (
        transaction(SEAPORT, "0xdeadbeef", value=ETHER),
        {"action": "nft_trade", "protocol": "seaport"}
        | {"sent": [{"asset": "ETH", "amount": "1", "bound": "max"}]},
    ),
    "bridge by another name": (
        transaction(STARKGATE, call("deposit(uint256,uint256)", 5, 6), value=ETHER),
        {"action": "bridge", "protocol": "starkgate", "sent": amounts(("ETH", "1"))},
    ),
    "token": (
        transaction(USDC, TRANSFER),
        {"action": "transfer", "protocol": "erc20", "sent": amounts(("USDC", "1.5"))}
        | {"recipient": YOU},
    ),
    "transferFrom of an unknown token may be either standard": (
        transaction(POOL, call("transferFrom(address,address,uint256)", ME, YOU, 7)),
        {"action": "unknown"},
    ),
    "tokens for ether, at least": (
        transaction(ROUTER_V2, SWAP_FOR_ETHER),
        {"action": "swap", "protocol": "uniswap_v2", "sent": amounts(("USDC", "3"))}
        | {"received": [{"asset": "ETH", "amount": "0.5", "bound": "min"}]},
    ),
    "ether for exact tokens, at most": (
        transaction(
            ROUTER_V2,
            call(
                "swapETHForExactTokens(uint256,address[],address,uint256)", 5, [WETH, USDC], YOU, 9
            ),
            value=ETHER,
        ),
        {"action": "swap", "protocol": "uniswap_v2", "recipient": YOU}
        | {"sent": [{"asset": "ETH", "amount": "1", "bound": "max"}]},
    ),
    "multicall that unwraps": (
        transaction(
            ROUTER_V3,
            call(
                "multicall(uint256,bytes[])",
                9,
                [
                    bytes.fromhex(V3_SINGLE[2:]),
                    bytes.fromhex(call("unwrapWETH9(uint256,address)", 7, ME)[2:]),
                ],
            ),
        ),
        {"action": "swap", "protocol": "uniswap_v3", "via": ["multicall"]}
        | {"sent": amounts(("USDC", "3"))}
        | {"received": [{"asset": "ETH", "amount": "0.000000000000000007", "bound": "min"}]},
    ),
    "universal router": (
        transaction(
            UNIVERSAL,
            call(
                "execute(bytes,bytes[],uint256)",
                b"\x00",
                [
                    encode(
                        ["address", "uint256", "uint256", "bytes", "bool"],
                        ["0x" + "0" * 39 + "1", 3_000_000, ETHER, PATH, True],
                    )
                ],
                9,
            ),
        ),
        {"action": "swap", "protocol": "uniswap_v3", "via": ["universal_router"]}
        | {"sent": amounts(("USDC", "3"))}
        | {"received": [{"asset": "WETH", "amount": "1", "bound": "min"}]},
    ),
}


@pytest.mark.parametrize("name", PLANNED)
def test_before_signing_and_after_a_failure(name):
    given, expected = PLANNED[name]
    assert read(given.before_signing()) == expected | {"outcome": "unknown"}
    assert read(replace(given, status=0)) == expected | {"outcome": "failed"}


SAFE_CALL = call(
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
    USDC, 0, bytes.fromhex(TRANSFER[2:]), 0, 0, 0, 0, ZERO, ZERO, b"",
)  # fmt: skip


def test_safe_is_the_actor_of_what_it_executes():
    done = log(POOL, "ExecutionSuccess(bytes32,uint256)", b"\1" * 32, 0, topics=1)
    given = transaction(POOL, SAFE_CALL, logs=[moved(USDC, POOL, YOU, 1_500_000), done])
    expected = {"action": "transfer", "protocol": "erc20", "outcome": "success", "via": ["safe"]}
    assert read(given) == expected | {"sent": amounts(("USDC", "1.5")), "recipient": YOU}


def packed(to: str, data: str) -> bytes:
    """One call of a Safe's batch."""
    body = bytes.fromhex(data[2:])
    numbers = (0).to_bytes(32, "big") + len(body).to_bytes(32, "big")
    return b"\0" + bytes.fromhex(to[2:]) + numbers + body


def test_the_call_that_matters_in_a_batch_of_a_safe():
    batch = packed(USDC, APPROVE) + packed(USDC, TRANSFER)
    data = call(
        "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
        YOU, 0, bytes.fromhex(call("multiSend(bytes)", batch)[2:]), 1, 0, 0, 0, ZERO, ZERO, b"",
    )  # fmt: skip
    done = log(POOL, "ExecutionSuccess(bytes32,uint256)", b"\1" * 32, 0, topics=1)
    given = transaction(POOL, data, logs=[moved(USDC, POOL, YOU, 1_500_000), done])
    expected = {"action": "transfer", "protocol": "erc20", "outcome": "success", "via": ["safe"]}
    assert read(given) == expected | {
        "sent": amounts(("USDC", "1.5")), "recipient": YOU, "secondary": ["approve"],
    }  # fmt: skip


def test_the_account_behind_a_user_operation_is_the_actor():
    inner = call("execute(address,uint256,bytes)", USDC, 0, bytes.fromhex(TRANSFER[2:]))
    operation = (POOL, 1, b"", bytes.fromhex(inner[2:]), bytes(32), 0, bytes(32), b"", b"")
    types = "(address,uint256,bytes,bytes,bytes32,uint256,bytes32,bytes,bytes)[]"
    data = "0x765e827f" + encode([types, "address"], [[operation], ME]).hex()
    done = log(
        ENTRY_POINT, "UserOperationEvent(bytes32,address,address,uint256,bool,uint256,uint256)",
        b"\1" * 32, POOL, ZERO, 1, True, 5, 5, topics=4,
    )  # fmt: skip
    gas = (InternalTransfer(POOL, ENTRY_POINT, 9), InternalTransfer(ENTRY_POINT, ME, 5))
    logs = [moved(USDC, POOL, YOU, 1_500_000), done]
    given = transaction(ENTRY_POINT, data, logs=logs, internal=gas)
    expected = {"action": "transfer", "protocol": "erc20", "outcome": "success"}
    assert read(given) == expected | {
        "via": ["erc4337"], "sent": amounts(("USDC", "1.5")), "recipient": YOU,
    }  # fmt: skip


def test_other_chains_know_no_mainnet_contracts():
    given = replace(transaction(WETH, value=ETHER), chain_id=10)
    assert read(given)["action"] == "transfer"
