"""One protocol family a file: from a case to the intent it surely is, or None.

``RULES`` lists them from the particular to the general; the first that answers decides.
"""

from __future__ import annotations

from collections.abc import Callable

from ethtune.chain.case import Case
from ethtune.chain.intents import (
    aggregators,
    approvals,
    balancer,
    bridges,
    curve,
    ens,
    farming,
    governance,
    lending,
    lido,
    native,
    nfts,
    pools,
    token_transfers,
    uniswap_v2,
    uniswap_v3,
    universal_router,
    vaults,
    weth,
)
from ethtune.core.intent import Intent

Rule = Callable[[Case], Intent | None]

RULES: tuple[Rule, ...] = (
    native.deployment,
    weth.wrapping,
    lido.staking,
    native.transfer,
    token_transfers.transfer,
    approvals.approval,
    uniswap_v2.swap,
    uniswap_v2.liquidity,
    uniswap_v3.swap,
    uniswap_v3.liquidity,
    universal_router.swap,
    aggregators.swap,
    lending.lending,
    curve.liquidity,
    balancer.liquidity,
    vaults.vault,
    farming.staking,
    farming.claim,
    bridges.bridge,
    ens.name_service,
    governance.governance,
    nfts.trade,
    nfts.mint,
    pools.swap,
)
