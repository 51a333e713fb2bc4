"""Contract creations, and calls to contracts that nobody has described."""

from __future__ import annotations

from ethtune.chain.sample.encoding import Event
from ethtune.chain.sample.world import Draft, StrangeContract, World

_RUNTIME_PREFIX = "6080604052"  # how Solidity begins: set the free memory pointer
_WORD_BITS = 256


def creation(world: World) -> Draft:
    """Init code that copies a short random runtime into place and returns it."""
    length = world.random.randrange(40, 180)
    body = f"{world.random.getrandbits(8 * length):0{2 * length}x}"
    runtime = _RUNTIME_PREFIX + body
    # PUSH1 length, DUP1, PUSH1 offset, PUSH1 0, CODECOPY, PUSH1 0, RETURN, INVALID
    init = f"60{len(runtime) // 2:02x}80600c6000396000f3fe"
    gas = 53_000 + 200 * (len(runtime) // 2) + world.random.randrange(20_000)
    return Draft(world.account(), None, 0, "0x" + init + runtime, gas)


def strange_call(world: World) -> Draft:
    """A function and events that are in no table, on a contract that comes back."""
    sender = world.account()
    contract = world.random.choice(world.strange_contracts)
    words = [_word(world, sender) for _ in range(world.random.randrange(6))]
    events = tuple(
        _strange_event(world, contract, sender) for _ in range(world.random.randrange(3))
    )
    value = world.wei(at_most_usd=500) if world.random.random() < 0.2 else 0
    calldata = world.random.choice(contract.selectors) + "".join(words)
    gas = 40_000 + world.random.randrange(150_000)
    return Draft(sender, contract.address, value, calldata, gas, events)


def _strange_event(world: World, contract: StrangeContract, sender: str) -> Event:
    topics = (contract.topic, "0x" + f"{int(sender, 16):064x}")
    data = "0x" + "".join(_word(world, sender) for _ in range(world.random.randrange(1, 4)))
    return Event(contract.address, topics, data)


def _word(world: World, sender: str) -> str:
    """An argument: the sender, another address, a flag, a count, or an amount."""
    value = world.random.choice(
        (
            int(sender, 16),
            int(world.address(), 16),
            world.random.getrandbits(1),
            world.random.randrange(10_000),
            world.wei(),
        )
    )
    return f"{value:0{_WORD_BITS // 4}x}"
