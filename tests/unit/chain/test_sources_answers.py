"""Answers of nodes and of Etherscan's API, however they are wrapped, ordered and laid out."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from ethtune.chain.sources import Rejected, read_transactions
from ethtune.core.errors import DataError
from ethtune.core.transaction import Log, Transaction

HASH, SENDER, TOKEN, TOPIC = "0x" + "ab" * 32, "0x" + "11" * 20, "0x" + "22" * 20, "0x" + "cd" * 32
CALLDATA = "0xa9059cbb" + "00" * 64
TIME = 1_621_898_262
TRANSACTION = Transaction(
    hash=HASH, sender=SENDER, to=TOKEN, value_wei=2**100 + 1, calldata=CALLDATA, status=1,
    logs=(Log(TOKEN, (TOPIC, TOPIC), "0x01", 7),), block_number=12_500_000, timestamp=TIME, nonce=3,
    gas=90_000, gas_used=50_000, gas_price_wei=4,
)  # fmt: skip
SENT = {
    "blockHash": TOPIC, "blockNumber": "0xbebc20", "from": SENDER, "gas": "0x15f90",
    "gasPrice": "0x5", "hash": HASH, "input": CALLDATA, "nonce": "0x3", "to": TOKEN,
    "transactionIndex": "0x9", "value": hex(2**100 + 1), "type": "0x2", "chainId": "0x1",
}  # fmt: skip
RECEIPT = {
    "blockHash": TOPIC, "blockNumber": "0xbebc20", "contractAddress": None,
    "cumulativeGasUsed": "0x11170", "effectiveGasPrice": "0x4", "from": SENDER, "gasUsed": "0xc350",
    "logs": [{"address": TOKEN, "topics": [TOPIC, TOPIC], "data": "0x01", "logIndex": "0x7",
              "transactionHash": HASH, "blockNumber": "0xbebc20", "removed": False}],
    "logsBloom": "0x00", "status": "0x1", "to": TOKEN, "transactionHash": HASH,
    "transactionIndex": "0x9", "type": "0x2",
}  # fmt: skip
BLOCK = {
    "hash": TOPIC, "number": "0xbebc20", "parentHash": TOPIC, "timestamp": hex(TIME),
    "transactions": [SENT],
}  # fmt: skip


def answer(result: object, number: int = 1) -> dict:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def read(path: Path) -> list:
    return list(read_transactions(path))


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "pair",
    [
        {"transaction": SENT, "receipt": RECEIPT, "block_timestamp": TIME},
        {"receipt": RECEIPT, "transaction": {**SENT, "blockTimestamp": hex(TIME)}},
        {"transaction": SENT, "receipt": {**RECEIPT, "blockTimestamp": hex(TIME)}},
        {"hash": HASH, "tx": answer(SENT), "receipt": answer(RECEIPT), "block_timestamp": TIME},
        {
            "transaction": SENT,
            "receipt": {**RECEIPT, "logs": [{**RECEIPT["logs"][0], "blockTimestamp": hex(TIME)}]},
        },
    ],
)
def test_a_pair_is_a_whole_transaction(tmp_path: Path, pair: dict) -> None:
    assert read(written(tmp_path / "pairs.jsonl", pair, pair)) == [TRANSACTION] * 2


def test_a_pair_may_say_which_chain_it_is_of(tmp_path: Path) -> None:
    unsaid = {key: value for key, value in SENT.items() if key != "chainId"}
    pair = {"transaction": unsaid, "receipt": RECEIPT, "block_timestamp": TIME, "chain_id": 10}
    assert read(written(tmp_path / "pairs.jsonl", pair)) == [replace(TRANSACTION, chain_id=10)]


def test_a_pair_without_time_or_receipt(tmp_path: Path) -> None:
    untimed = {"transaction": SENT, "receipt": RECEIPT}
    pending = {"transaction": {**SENT, "blockNumber": None, "blockHash": None}, "receipt": None}
    first, second = read(written(tmp_path / "pairs.jsonl", untimed, pending))
    assert first == replace(TRANSACTION, timestamp=None)
    assert second == replace(
        TRANSACTION, timestamp=None, status=None, logs=None, gas_used=None, gas_price_wei=5,
        block_number=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ({"transaction": None, "receipt": None}, "the node does not know it"),
        ({"transaction": SENT, "receipt": {**RECEIPT, "transactionHash": TOPIC}}, "receipt is of"),
        ({"transaction": SENT, "receipt": {"jsonrpc": "2.0", "error": {"code": -32000,
          "message": "history pruned"}}}, "receipt: the node answered with error -32000: history"),
        ({"transaction": "0xabc", "receipt": None}, "transaction is '0xabc', expected an object"),
        ({"transaction": SENT, "receipt": {**RECEIPT, "logs": 5}}, "logs cannot be read"),
        ({"transaction": SENT, "receipt": []}, "receipt is '[]', expected an object or null"),
        ({"transaction": {**SENT, "value": "0x"}, "receipt": RECEIPT}, "value is '0x'"),
        ({"transaction": [1], "receipt": {}}, "transaction is"),
    ],
)  # fmt: skip
def test_a_bad_pair_costs_only_itself(tmp_path: Path, pair: dict, reason: str) -> None:
    good = {"transaction": SENT, "receipt": RECEIPT, "block_timestamp": TIME}
    first, rejected, last = read(written(tmp_path / "pairs.jsonl", good, pair, good))
    assert first == last == TRANSACTION
    assert reason in rejected.reason
    assert rejected.where == f"{tmp_path / 'pairs.jsonl'}:2"


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("wrap", [answer, lambda result: result], ids=["wrapped", "bare"])
def test_answers_in_any_order(tmp_path: Path, order: tuple, wrap) -> None:
    parts = [SENT, RECEIPT, {**BLOCK, "transactions": []}]
    path = written(tmp_path / "answers.jsonl", *(wrap(parts[place]) for place in order))
    assert read(path) == [TRANSACTION]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "bodies",
    [
        [answer(BLOCK), answer([RECEIPT], 2)],
        [[answer(BLOCK), answer([RECEIPT], 2)]],
        [BLOCK, RECEIPT],
        [[BLOCK], [RECEIPT]],
        [answer([SENT]), answer([RECEIPT]), answer({**BLOCK, "transactions": []})],
    ],
    ids=["block and receipts", "batch", "bare", "arrays", "lists"],
)
def test_block_dumps_in_files_of_their_own(tmp_path: Path, bodies: list, indent: object) -> None:
    for number, body in enumerate(bodies):
        (tmp_path / f"{number}.json").write_text(json.dumps(body, indent=indent))
    assert read(tmp_path) == [TRANSACTION]


def test_pretty_bodies_one_after_another(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text("\n".join(json.dumps(answer(part), indent=4) for part in (BLOCK, [RECEIPT])))
    assert read(path) == [TRANSACTION]
    path.write_text("".join(json.dumps(answer(part)) for part in (BLOCK, [RECEIPT])))
    assert read(path) == [TRANSACTION]


def test_what_a_node_did_not_answer_is_said(tmp_path: Path) -> None:
    error = {"jsonrpc": "2.0", "id": 2, "error": {"code": -32005, "message": "limit exceeded"}}
    hashes = {**BLOCK, "transactions": [HASH, HASH]}
    records = read(
        written(tmp_path / "a", answer(SENT), error, answer(None), answer(5), answer(hashes))
    )
    reasons = [record.reason for record in records if isinstance(record, Rejected)]
    assert reasons[0] == "the node answered with error -32005: limit exceeded"
    assert "the answer is null" in reasons[1]
    assert "expected an object, found int" in reasons[2]
    assert "the hashes of its 2 transactions only" in reasons[3]
    assert records[-1] == replace(
        TRANSACTION, status=None, logs=None, gas_used=None, gas_price_wei=5
    )


LISTED = {
    "blockNumber": "12500000", "blockHash": TOPIC, "timeStamp": str(TIME), "hash": HASH,
    "nonce": "3", "transactionIndex": "9", "from": SENDER, "to": TOKEN, "value": str(2**100 + 1),
    "gas": "90000", "gasPrice": "4", "input": CALLDATA, "methodId": "0xa9059cbb",
    "functionName": "transfer(address _to, uint256 _value)", "contractAddress": "",
    "cumulativeGasUsed": "70000", "txreceipt_status": "1", "gasUsed": "50000",
    "confirmations": "7951867", "isError": "0",
}  # fmt: skip
MOVED = {
    "blockNumber": "12500000", "timeStamp": str(TIME), "hash": HASH, "nonce": "3",
    "blockHash": TOPIC, "from": SENDER, "contractAddress": TOKEN, "to": TOKEN, "value": "5",
    "tokenName": "T", "tokenSymbol": "T", "tokenDecimal": "6", "transactionIndex": "9",
    "gas": "90000", "gasPrice": "4", "gasUsed": "50000", "input": "deprecated",
    "confirmations": "1",
}  # fmt: skip
LOGGED = {
    "address": TOKEN, "topics": [TOPIC], "data": "0x", "blockNumber": "0xbebc20",
    "timeStamp": hex(TIME), "gasPrice": "0x4", "gasUsed": "0xc350", "logIndex": "0x",
    "transactionHash": HASH, "transactionIndex": "0x",
}  # fmt: skip
INSIDE = {
    "blockNumber": "12500000", "timeStamp": str(TIME), "hash": HASH, "from": TOKEN, "to": SENDER,
    "value": "9", "contractAddress": "", "input": "", "type": "call", "gas": "2300",
    "gasUsed": "0", "traceId": "0", "isError": "0", "errCode": "",
}  # fmt: skip


def body(result: object, status: str = "1", message: str = "OK") -> dict:
    return {"status": status, "message": message, "result": result}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "content",
    [body([LISTED]), [LISTED], LISTED, [body([LISTED])]],
    ids=["body", "list", "row", "bodies"],
)
def test_etherscan_transactions_have_no_logs(tmp_path: Path, content: object, indent: int) -> None:
    path = tmp_path / "txlist"
    path.write_text(json.dumps(content, indent=indent))
    assert read(path) == [replace(TRANSACTION, logs=None)]


def test_etherscan_failed_early_and_created(tmp_path: Path) -> None:
    failed = {**LISTED, "txreceipt_status": "0", "isError": "1"}
    early = {**LISTED, "txreceipt_status": "", "blockNumber": "4369999"}
    created = {**LISTED, "to": "", "contractAddress": TOKEN}
    records = read(written(tmp_path / "txlist", body([failed, early, created])))
    assert [record.status for record in records] == [0, None, 1]
    assert (records[2].to, records[2].contract_address) == (None, TOKEN)


@pytest.mark.parametrize("row", [MOVED, LOGGED, INSIDE], ids=["tokentx", "getLogs", "internal"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_lists_of_one_account_are_never_taken_for_receipts(
    tmp_path: Path, row: dict, wrapped: bool
) -> None:
    written(tmp_path / "a", body([LISTED]) if wrapped else LISTED)
    path = written(tmp_path / "b", body([row, row]) if wrapped else row)
    records = read(tmp_path)
    assert [r for r in records if isinstance(r, Transaction)] == [replace(TRANSACTION, logs=None)]
    [left_out] = [r for r in records if isinstance(r, Rejected)]
    assert left_out.where.startswith(str(path))
    assert "are not the whole receipt" in left_out.reason


def test_an_explorers_list_takes_receipts_from_a_node(tmp_path: Path) -> None:
    written(tmp_path / "a", body([LISTED]))
    written(tmp_path / "b", answer(RECEIPT))
    assert read(tmp_path) == [TRANSACTION]


LIMITED = body("Max rate limit reached", "0", "NOTOK")
REFUSED = {"jsonrpc": "2.0", "id": 1, "error": {"code": 5, "message": "no"}}


@pytest.mark.parametrize(
    ("content", "text"),
    [(LIMITED, "Etherscan answered 'Max rate limit reached' (NOTOK)"), (REFUSED, "error 5: no")],
)
def test_a_body_that_is_an_error_is_refused_with_its_text(
    tmp_path: Path, content: dict, text: str
) -> None:
    path = written(tmp_path / "body.json", content)
    with pytest.raises(DataError) as caught:
        read_transactions(path)
    assert text in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


DOWNLOADS = (
    "Txhash,Blockno,UnixTimestamp,DateTime (UTC),From,To,ContractAddress,Value_IN(ETH),"
    "Value_OUT(ETH),CurrentValue @ $3525.11740105424/ETH,TxnFee(ETH),TxnFee(USD),"
    "Historical $Price/Eth,Status,ErrCode,Method",
    '"Transaction Hash","Status","Method","Blockno","DateTime (UTC)","From","From_Nametag","To",'
    '"To_Nametag","Amount","Value (USD)","Txn Fee"',
    "Txhash,Blockno,UnixTimestamp,DateTime,From,To,TokenValue,USDValueDayOfTx,ContractAddress,"
    "TokenName,TokenSymbol",
)


@pytest.mark.parametrize("header", DOWNLOADS)
def test_an_explorers_csv_download_is_refused_with_the_reason(tmp_path: Path, header: str) -> None:
    path = tmp_path / "export-0xabc.csv"
    path.write_text("\ufeff" + header + "\n")
    with pytest.raises(DataError) as caught:
        read_transactions(path)
    assert "transactions without calldata and without logs" in caught.value.message
    assert ("$3525.11740105424/ETH" in caught.value.message) == ("3525" in header)
    assert "ethtune fetch --input" in str(caught.value.hint)
    written(tmp_path / "pairs", {"transaction": SENT, "receipt": RECEIPT, "block_timestamp": TIME})
    rejected, transaction = read(tmp_path)
    assert "file skipped: an explorer's CSV download" in rejected.reason
    assert transaction == TRANSACTION


@pytest.mark.parametrize(("chain_id", "status"), [("0x1", None), ("0x7a69", 0)])
def test_an_early_block_hides_failures_on_mainnet_only(
    tmp_path: Path, chain_id: str, status: int | None
) -> None:
    sent = SENT | {"blockNumber": "0x5", "chainId": chain_id}
    pair = {"transaction": sent, "receipt": RECEIPT | {"blockNumber": "0x5", "status": "0x0"}}
    (transaction,) = read(written(tmp_path / "rows.jsonl", pair))
    assert transaction.status == status


def test_what_fetch_could_not_get_is_no_rejected_row(tmp_path: Path) -> None:
    written(tmp_path / "rows.jsonl", {"transaction": SENT, "receipt": RECEIPT})
    failures = ({"hash": "0x" + "0" * 64, "error": "not found"}, {"block": 7, "error": "not found"})
    written(tmp_path / "rows.failed.jsonl", *failures)
    assert [record.hash for record in read(tmp_path)] == [TRANSACTION.hash]


def test_recorded_exchanges_are_opened(tmp_path: Path) -> None:
    exchange = {"params": {"address": SENDER}, "body": body([LISTED])}
    path = written(tmp_path / "recorded.json", [exchange])
    assert [record.hash for record in read(path)] == [LISTED["hash"]]
