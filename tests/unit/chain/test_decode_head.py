"""Known answers for the protocols that most transactions use, wrapped and bare, in both views."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi import encode
from eth_hash.auto import keccak

from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.signatures import commands, events, functions
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.transaction import Log, Transaction

REGISTRY = TokenRegistry()
ME, YOU, POOL = ("0x" + digit * 40 for digit in "123")
ZERO = "0x" + "0" * 40
ETHER = 10**18
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
ENTRY_POINT = "0x0000000071727de22e5e9d8baf0edac6f37da032"
ONE_INCH = "0x1111111254eeb25477b68fb85ed929f73a960582"
SEAPORT = "0x0000000000000068f116a894984e2db1123eb395"
ROUTER_4 = "0x66a9893cc07d91d95644aedd05d03f95e1dba8af"
POSITIONS_4 = "0xbd216513d74c8cf14cf4747e6aaa6420ff64ee9e"
POOL_MANAGER = "0x000000000004444c5dc75cb358380d2e3de08a90"
METAMASK = "0x881d40237659c251811cec9c364ef91dc08d300c"
ALLOWANCE_HOLDER = "0x0000000000001ff3684f28c67538d4d072c22734"
KYBER = "0x6131b5fae19ea4f9d964eac0408e4408b66337b5"
PANCAKE = "0x13f4ea83d0bd40e75c8222255bc855a974568dd4"
NATIVE = "0x" + "e" * 40
POSITIONS_3 = "0xc36442b4a4522e871399cd717abdd847ab11fe88"
ZERO_EX = "0xdef1c0ded9bec7f1a1670819833240f027b25eff"
LIFI = "0x1231deb6f5749ef6ce6943a275a1d3e7486f4eae"
BLUR = "0x000000000000ad05ccc4f10045630fb830b95127"
ROUTER = "0x" + "0" * 39 + "2"
BLUR_EXECUTE = next(f.canonical for f in functions().values() if "buyOrder" in f.text)


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


def transaction(to, calldata="0x", *, value=0, logs=(), status=1, internal=None) -> Transaction:
    return Transaction(
        "0x" + "f" * 64, ME, to, value, calldata, status, tuple(logs), internal_transfers=internal
    )


def read(given: Transaction) -> dict:
    return decode(describe(given, REGISTRY)).as_dict()


def amounts(*pairs: tuple[str, str]) -> list[dict]:
    return [{"asset": asset, "amount": amount} for asset, amount in pairs]


def blur_order(trader: str, side: int, token_id: int) -> tuple:
    order = (trader, side, ZERO, POOL, token_id, 1, ZERO, ETHER, 1, 9, [], 1, b"")
    return order, 27, bytes(32), bytes(32), b"", 0, 5


def packed(to: str, data: str) -> bytes:
    """One call of a Safe's batch."""
    body = bytes.fromhex(data[2:])
    numbers = (0).to_bytes(32, "big") + len(body).to_bytes(32, "big")
    return b"\0" + bytes.fromhex(to[2:]) + numbers + body


TRANSFER = call("transfer(address,uint256)", YOU, 1_500_000)
APPROVE = call("approve(address,uint256)", YOU, 2**256 - 1)
SAFE_CALL = (
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
)
OPERATION = "(address,uint256,bytes,bytes,bytes32,uint256,bytes32,bytes,bytes)[]"
DONE = log(POOL, "ExecutionSuccess(bytes32,uint256)", b"\1" * 32, 0, topics=1)
POOL_KEY = (ZERO, USDC, 500, 10, ZERO)


def data(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal[2:])


def step(name: str, *values: object) -> tuple[int, bytes]:
    """A command of the router or an action of V4, with its code."""
    named = ((k, s) for k, s in commands().items() if s.name == name)
    code, signature = min(named, key=lambda item: item[0])
    types = [parameter.type for parameter in signature.parameters]
    return int(code.rpartition(".")[2], 16), encode(types, values)


def plan(*steps: tuple[int, bytes]) -> tuple[bytes, list[bytes]]:
    return bytes(code for code, _ in steps), [item for _, item in steps]


def routed(*steps: tuple[int, bytes]) -> str:
    return call("execute(bytes,bytes[],uint256)", *plan(*steps), 9)


def in_safe(to: str, inner: str, operation: int = 0) -> str:
    values = (to, 0, data(inner), operation, 0, 0, 0, ZERO, ZERO, b"")
    return call(SAFE_CALL, *values)


def batched(*calls: bytes) -> str:
    return in_safe(YOU, call("multiSend(bytes)", b"".join(calls)), 1)


def operated(*accounts_and_calls: tuple[str, str]) -> str:
    operations = [
        (account, 1, b"", data(inner), bytes(32), 0, bytes(32), b"", b"")
        for account, inner in accounts_and_calls
    ]
    return "0x765e827f" + encode([OPERATION, "address"], [operations, ME]).hex()


def reported(account: str, success: bool) -> Log:
    return log(
        ENTRY_POINT, "UserOperationEvent(bytes32,address,address,uint256,bool,uint256,uint256)",
        b"\1" * 32, account, ZERO, 1, success, 5, 5, topics=4,
    )  # fmt: skip


SINGLE = (POOL_KEY, False, 3_000_000, 7, b"")
V4_SALE = routed(
    step(
        "V4_SWAP",
        *plan(
            step("SWAP_EXACT_IN_SINGLE", SINGLE),
            step("SETTLE_ALL", USDC, 3_000_000),
            step("TAKE_ALL", ZERO, 7),
        ),
    )
)
V4_SWAP = log(
    POOL_MANAGER, "Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)",
    keccak(encode(["address", "address", "uint24", "int24", "address"], POOL_KEY)), ROUTER_4,
    ETHER, -3_000_000, 1, 1, 1, 500, topics=3,
)  # fmt: skip
V4_MINT = plan(
    step("MINT_POSITION", POOL_KEY, -10, 10, 5, ETHER, 3_000_000, ME, b""),
    step("SETTLE_PAIR", ZERO, USDC),
)
ORDER = (
    YOU, ZERO, [(2, POOL, 7, 1, 1)], [(0, ZERO, 0, ETHER, ETHER, YOU), (0, ZERO, 0, 9, 9, POOL)],
    0, 1, 2, bytes(32), 3, bytes(32), 2,
)  # fmt: skip
ADVANCED = (
    "fulfillAdvancedOrder(((address,address,(uint8,address,uint256,uint256,uint256)[],"
    "(uint8,address,uint256,uint256,uint256,address)[],uint8,uint256,uint256,bytes32,uint256,"
    "bytes32,uint256),uint120,uint120,bytes,bytes),(uint256,uint8,uint256,uint256,bytes32[])[],"
    "bytes32,address)"
)
BOUGHT_NFT = call(ADVANCED, (ORDER, 1, 1, b"", b""), [], bytes(32), ZERO)
FEE = call("BASIC(address,uint256,address,uint256,bytes)", NATIVE, 100, YOU, 0, b"")
SETTLER = call(
    "execute((address,address,uint256),bytes[],bytes32)", (ME, NATIVE, 5), [data(FEE)], bytes(32)
)
HELD = call("exec(address,address,uint256,address,bytes)", POOL, USDC, 3, POOL, data(SETTLER))
METAMASK_SALE = call(
    "swap(string,address,uint256,bytes)", "oneInchV5FeeDynamic", USDC, 3_000_000,
    encode(["address", "address", "uint256", "uint256", "uint256", "uint256"],
           [USDC, ZERO, 3_000_000, 5, 256, 1]),
)  # fmt: skip
ONE_INCH_SALE = call(
    "swap(address,(address,address,address,address,uint256,uint256,uint256),bytes,bytes)",
    POOL, (USDC, NATIVE, POOL, ME, 3_000_000, 5, 0), b"", b"",
)  # fmt: skip
SOLD = amounts(("USDC", "3"))

SETTLED = {
    "v4 pool pays ether": (
        transaction(ROUTER_4, V4_SALE, logs=[V4_SWAP, moved(USDC, ME, POOL_MANAGER, 3_000_000)]),
        {"action": "swap", "protocol": "uniswap_v4", "via": ["universal_router"]}
        | {"sent": SOLD, "received": amounts(("ETH", "1"))},
    ),
    "what 0x settler pays after its fee": (
        transaction(
            ALLOWANCE_HOLDER, HELD, logs=[moved(USDC, ME, POOL, 3_000_000), withdrawn(POOL, 1000)]
        ),
        {"action": "swap", "protocol": "zero_ex", "sent": SOLD}
        | {"received": amounts(("ETH", "0.00000000000000099"))},
    ),
    "metamask keeps the fee that the call names": (
        transaction(
            METAMASK, METAMASK_SALE, logs=[moved(USDC, ME, POOL, 3_000_000), withdrawn(POOL, 11)]
        ),
        {"action": "swap", "protocol": "metamask_swap", "sent": SOLD}
        | {"received": amounts(("ETH", "0.00000000000000001"))},
    ),
    "1inch helper unwraps": (
        transaction(
            ONE_INCH, ONE_INCH_SALE, logs=[moved(USDC, ME, POOL, 3_000_000), withdrawn(POOL, 11)]
        ),
        {"action": "swap", "protocol": "one_inch", "sent": SOLD}
        | {"received": amounts(("ETH", "0.000000000000000011"))},
    ),
    "less than was asked for is not what was paid": (
        transaction(
            ONE_INCH, ONE_INCH_SALE, logs=[moved(USDC, ME, POOL, 3_000_000), withdrawn(POOL, 4)]
        ),
        {"action": "unknown", "protocol": "one_inch", "sent": SOLD},
    ),
    "kyber reports what it paid": (
        transaction(
            KYBER,
            "0xdeadbeef",
            logs=[
                moved(USDC, ME, POOL, 3_000_000),
                log(
                    KYBER, "Swapped(address,address,address,address,uint256,uint256)",
                    ME, USDC, NATIVE, ME, 3_000_000, ETHER, topics=1,
                ),
            ],
        ),
        {"action": "swap", "protocol": "kyberswap", "sent": SOLD}
        | {"received": amounts(("ETH", "1"))},
    ),
    "a safe's batch of transfers to two": (
        transaction(
            POOL,
            batched(
                packed(USDC, TRANSFER),
                packed(USDC, call("transfer(address,uint256)", ME, 500_000)),
            ),
            logs=[moved(USDC, POOL, YOU, 1_500_000), moved(USDC, POOL, ME, 500_000), DONE],
        ),
        {"action": "transfer", "protocol": "erc20", "via": ["safe"]}
        | {"sent": amounts(("USDC", "2"))},
    ),
    "an operation of a smart account": (
        transaction(
            ENTRY_POINT,
            operated(
                (POOL, call("executeBatch((address,uint256,bytes)[])",
                            [(USDC, 0, data(APPROVE)), (USDC, 0, data(TRANSFER))])),
            ),
            logs=[moved(USDC, POOL, YOU, 1_500_000), reported(POOL, True)],
        ),
        {"action": "transfer", "protocol": "erc20", "via": ["erc4337"], "recipient": YOU}
        | {"sent": amounts(("USDC", "1.5")), "secondary": ["approve"]},
    ),
    "a bundle has several actors": (
        transaction(
            ENTRY_POINT,
            operated((POOL, "0x"), (YOU, "0x")),
            logs=[reported(POOL, True), reported(YOU, True)],
        ),
        {"action": "unknown", "protocol": "erc4337"},
    ),
    "nft bought by one call": (
        transaction(
            SEAPORT, BOUGHT_NFT, value=ETHER + 9, logs=[moved_nft(POOL, YOU, ME, 7)]
        ),
        {"action": "nft_trade", "protocol": "seaport"}
        | {"sent": amounts(("ETH", "1.000000000000000009"))}
        | {"received": [{"asset": POOL, "token_id": "7"}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTLED)
def test_settled(name):
    given, expected = SETTLED[name]
    assert read(given) == expected | {"outcome": "success"}


PLANNED = {
    "v4 pool": (
        transaction(ROUTER_4, V4_SALE),
        {"action": "swap", "protocol": "uniswap_v4", "via": ["universal_router"], "sent": SOLD}
        | {"received": [{"asset": "ETH", "amount": "0.000000000000000007", "bound": "min"}]},
    ),
    "v4 position": (
        transaction(
            POSITIONS_4,
            call("modifyLiquidities(bytes,uint256)", encode(["bytes", "bytes[]"], V4_MINT), 9),
            value=ETHER,
        ),
        {"action": "add_liquidity", "protocol": "uniswap_v4"}
        | {"sent": [
            {"asset": "ETH", "amount": "1", "bound": "max"},
            {"asset": "USDC", "amount": "3", "bound": "max"},
        ]},
    ),
    "split over two pools and joined again": (
        transaction(
            ROUTER_4,
            routed(
                step("V2_SWAP_EXACT_IN", ME, 1_000_000, 3, [USDC, WETH], True),
                step("V3_SWAP_EXACT_IN", ME, 2_000_000, 4,
                     data(USDC + "0001f4" + WETH[2:]), True),
            ),
        ),
        {"action": "swap", "protocol": "uniswap", "via": ["universal_router"], "sent": SOLD}
        | {"received": [{"asset": "WETH", "amount": "0.000000000000000007", "bound": "min"}]},
    ),
    "a copy keeps its own name": (
        transaction(
            PANCAKE,
            call(
                "multicall(uint256,bytes[])", 9,
                [data(call("exactInputSingle((address,address,uint24,address,uint256,uint256,"
                           "uint160))", (USDC, WETH, 500, ME, 3_000_000, 7, 0)))],
            ),
        ),
        {"action": "swap", "protocol": "pancakeswap", "via": ["multicall"], "sent": SOLD}
        | {"received": [{"asset": "WETH", "amount": "0.000000000000000007", "bound": "min"}]},
    ),
    "aggregator within a safe": (
        transaction(POOL, in_safe(ONE_INCH, ONE_INCH_SALE.replace(ME[2:], POOL[2:]))),
        {"action": "swap", "protocol": "one_inch", "via": ["safe"], "sent": SOLD}
        | {"received": [{"asset": "ETH", "amount": "0.000000000000000005", "bound": "min"}]},
    ),
    "0x through the contract that holds allowances": (
        transaction(ALLOWANCE_HOLDER, HELD),
        {"action": "swap", "protocol": "zero_ex", "sent": amounts(("USDC", "0.000003"))}
        | {"received": [{"asset": "ETH", "amount": "0.000000000000000005", "bound": "min"}]},
    ),
    "nft for ether": (
        transaction(SEAPORT, BOUGHT_NFT, value=ETHER + 9),
        {"action": "nft_trade", "protocol": "seaport"}
        | {"sent": amounts(("ETH", "1.000000000000000009"))}
        | {"received": [{"asset": POOL, "token_id": "7"}]},
    ),
    "v4 position for someone else": (
        transaction(
            POSITIONS_4,
            call("modifyLiquidities(bytes,uint256)", encode(["bytes", "bytes[]"], plan(
                step("MINT_POSITION", POOL_KEY, -10, 10, 5, 0, 3_000_000, YOU, b""))), 9),
        ),
        {"action": "add_liquidity", "protocol": "uniswap_v4", "recipient": YOU}
        | {"sent": [{"asset": "USDC", "amount": "3", "bound": "max"}]},
    ),
    "v3 position for someone else": (
        transaction(POSITIONS_3, call(
            "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,"
            "uint256))", (USDC, WETH, 500, -10, 10, 3_000_000, 0, 0, 0, YOU, 9))),
        {"action": "add_liquidity", "protocol": "uniswap_v3", "recipient": YOU}
        | {"sent": [{"asset": "USDC", "amount": "3", "bound": "max"}]},
    ),
    "what is left of the ether unwraps after the promise": (
        transaction(
            ROUTER_4,
            routed(
                step("WRAP_ETH", ROUTER, ETHER),
                step("V2_SWAP_EXACT_OUT", ROUTER, 3_010_000, ETHER, [WETH, USDC], False),
                step("SWEEP", USDC, ME, 3_000_000),
                step("UNWRAP_WETH", ME, 0),
            ),
            value=ETHER,
        ),
        {"action": "swap", "protocol": "uniswap_v2", "via": ["universal_router"]}
        | {"sent": [{"asset": "ETH", "amount": "1", "bound": "max"}]}
        | {"received": [{"asset": "USDC", "amount": "3", "bound": "min"}]},
    ),
    "packed path": (
        transaction(
            ZERO_EX,
            call("sellEthForTokenToUniswapV3(bytes,uint256,address)",
                 data(WETH + "0001f4" + USDC[2:]), 5, ZERO),
            value=ETHER,
        ),
        {"action": "swap", "protocol": "zero_ex", "sent": amounts(("ETH", "1"))}
        | {"received": [{"asset": "USDC", "amount": "0.000005", "bound": "min"}]},
    ),
    "packed path to ether": (
        transaction(ZERO_EX, call(
            "sellTokenForEthToUniswapV3(bytes,uint256,uint256,address)",
            data(USDC + "0001f4" + WETH[2:]), 3_000_000, 5, ZERO)),
        {"action": "swap", "protocol": "zero_ex", "sent": SOLD}
        | {"received": [{"asset": "ETH", "amount": "0.000000000000000005", "bound": "min"}]},
    ),
    "trade that a bridge aggregator carries": (
        transaction(LIFI, call(
            "swapTokensSingleV3ERC20ToERC20(bytes32,string,string,address,uint256,(address,"
            "address,address,address,uint256,bytes,bool))", bytes(32), "a", "b", ME, 5,
            (POOL, POOL, USDC, WETH, 3_000_000, b"", True))),
        {"action": "swap", "protocol": "lifi", "sent": SOLD}
        | {"received": [{"asset": "WETH", "amount": "0.000000000000000005", "bound": "min"}]},
    ),
    "a bid for any of a collection takes the seller's": (
        transaction(BLUR, call(BLUR_EXECUTE, blur_order(ME, 1, 7), blur_order(YOU, 0, 0))),
        {"action": "nft_trade", "protocol": "blur", "sent": [{"asset": POOL, "token_id": "7"}]},
    ),
    "transfers of a batch add up": (
        transaction(POOL, batched(packed(USDC, TRANSFER), packed(USDC, TRANSFER))),
        {"action": "transfer", "protocol": "erc20", "via": ["safe"], "recipient": YOU}
        | {"sent": SOLD},
    ),
    "calls of a batch that differ": (
        transaction(
            POOL, batched(packed(USDC, TRANSFER), packed(POOL, call("claim()")), packed(
                POOL, call("stake(uint256)", 5))),
        ),
        {"action": "unknown", "via": ["safe"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANNED)
def test_before_signing_and_after_a_failure(name):
    given, expected = PLANNED[name]
    assert read(given.before_signing()) == expected | {"outcome": "unknown"}
    assert read(replace(given, status=0)) == expected | {"outcome": "failed"}


@pytest.mark.parametrize(
    "given",
    [
        transaction(
            POOL, in_safe(USDC, TRANSFER), logs=[replace(DONE, topics=(log(
                POOL, "ExecutionFailure(bytes32,uint256)", b"\1" * 32, 0, topics=1).topics[0],))],
        ),
        transaction(
            ENTRY_POINT,
            operated((POOL, call("execute(address,uint256,bytes)", USDC, 0, data(TRANSFER)))),
            logs=[reported(POOL, False)],
        ),
    ],
    ids=["safe", "erc4337"],
)  # fmt: skip
def test_what_an_account_fails_to_do_is_an_attempt(given):
    intent = decode(describe(given, REGISTRY))
    assert (intent.action, intent.outcome, intent.recipient) == ("transfer", "failed", YOU)
    assert [item.amount for item in intent.sent] == ["1.5"]


def test_ether_to_oneself_is_net_nothing():
    assert read(transaction(ME, value=ETHER)) == {
        "action": "transfer", "protocol": "ethereum", "outcome": "success",
    }  # fmt: skip
