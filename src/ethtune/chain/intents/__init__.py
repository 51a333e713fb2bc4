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
    comet,
    ens,
    lending,
    lido,
    liquity,
    maker,
    named,
    native,
    nfts,
    pools,
    purposes,
    reported,
    shares,
    token_transfers,
    uniswap_v2,
    uniswap_v3,
    uniswap_v4,
    universal_router,
    weth,
)
from ethtune.core.intent import Intent

Rule = Callable[[Case], Intent | None]

RULES: tuple[Rule, ...] = (
    native.deployment,
    weth.wrapping,
    lido.staking,
    bridges.payment,
    native.transfer,
    token_transfers.transfer,
    approvals.approval,
    uniswap_v2.swap,
    uniswap_v2.liquidity,
    uniswap_v3.swap,
    uniswap_v3.liquidity,
    uniswap_v4.liquidity,
    universal_router.swap,
    aggregators.swap,
    lending.lending,
    balancer.liquidity,
    ens.name_service,
    nfts.trade,
    nfts.mint,
    liquity.position,
    comet.debt,
    reported.reported,
    maker.vault,
    pools.swap,
    bridges.bridge,
    named.named,
    shares.share,
    nfts.mint_elsewhere,
    purposes.purpose,
)
