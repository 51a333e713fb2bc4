"""What each family of exports calls the fields of a transaction and its receipt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Names of one family; the defaults are those of plain rows."""

    hash: str = "hash"
    sender: str = "from"
    to: str = "to"
    value: str = "value"
    block_number: str = "block_number"
    timestamp: str = "block_timestamp"
    chain_id: str = "chain_id"
    gas: str = "gas"
    gas_price: str = "gas_price"
    status: str = "status"
    gas_used: str = "gas_used"
    effective_gas_price: str = "effective_gas_price"
    contract_address: str = "contract_address"
    omits_null: bool = False  # no "to" at all where a contract is created
    omits_contract: bool = False  # never says which contract was created


PLAIN = FieldNames()
COOKBOOK = FieldNames(hash="tx_hash")
# Also BigQuery's public dataset, which ethereum-etl fills.
ETHEREUM_ETL = FieldNames(
    sender="from_address",
    to="to_address",
    status="receipt_status",
    gas_used="receipt_gas_used",
    effective_gas_price="receipt_effective_gas_price",
    contract_address="receipt_contract_address",
    omits_null=True,
)
# gas_price is what was paid, for a node answers so once a transaction is in a block.
CRYO = FieldNames(
    hash="transaction_hash",
    sender="from_address",
    to="to_address",
    value="value_string",
    timestamp="timestamp",
    gas="gas_limit",
    status="success",
    omits_contract=True,
)
JSON_RPC = FieldNames(
    block_number="blockNumber",
    timestamp="blockTimestamp",
    chain_id="chainId",
    gas_price="gasPrice",
    gas_used="gasUsed",
    effective_gas_price="effectiveGasPrice",
    contract_address="contractAddress",
)
# isError says the same as the receipt's status, but "0" before the chain said anything.
ETHERSCAN = replace(JSON_RPC, timestamp="timeStamp", status="txreceipt_status")

# How cryo writes a 256-bit integer, exact ones first; its other ways lose digits.
CRYO_EXACT_VALUES = ("value_string", "value_binary", "value_u256binary")


def field_names(names: Collection[str]) -> FieldNames:
    """The family a row belongs to, told from the names that differ between families."""
    if "from_address" in names:
        if "transaction_hash" not in names:
            return ETHEREUM_ETL
        exact = (name for name in (*CRYO_EXACT_VALUES, "value") if name in names)
        return replace(CRYO, value=next(exact, CRYO.value))
    if "timeStamp" in names:
        return ETHERSCAN
    if "tx_hash" in names:
        return COOKBOOK
    return JSON_RPC if "blockNumber" in names or "gasPrice" in names else PLAIN
