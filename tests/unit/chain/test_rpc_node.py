"""A node that is busy, slow, picky, broken or gone, over real connections on loopback."""

from __future__ import annotations

import contextlib
import gzip
import logging
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from rpc_server import (
    CANARIES,
    Chain,
    RpcServer,
    error_for_first,
    error_in_answer,
    error_object,
    huge,
    missing_answers,
    reset,
    serving,
    stall,
    status,
    truncated,
    wrong_ids,
)

from ethtune.chain.rpc import (
    Endpoint,
    Failure,
    Fetched,
    Node,
    NodeSettings,
    fetch_blocks,
    fetch_transactions,
)
from ethtune.chain.rpc.wire import Call, NodeError
from ethtune.core.errors import MachineError, UsageError

QUICK = NodeSettings(
    batch_size=10, num_threads=3, num_retries=3, backoff_seconds=0.01, timeout_seconds=5,
    max_response_bytes=1 << 20,
)  # fmt: skip
ONE_THREAD = NodeSettings(batch_size=10, num_threads=1, num_retries=3, backoff_seconds=0.01)
SIZES = [3, 0, 5, 1, 4, 7, 2]


@pytest.fixture
def server():
    with serving(Chain(SIZES)) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_key_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    yield
    logged = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert not [canary for canary in CANARIES if canary in logged]


def well(handler, request):
    """No fault; the first request asks for the chain."""
    return False


def fetch(server: RpcServer, settings: NodeSettings = QUICK, hashes: list[str] | None = None):
    """What came for each hash, each once."""
    asked = server.chain.hashes if hashes is None else hashes
    with Node(Endpoint(server.url), settings) as node:
        items = [item for items in fetch_transactions(node, asked) for item in items]
    names = [item.hash if isinstance(item, Fetched) else item.name for item in items]
    assert sorted(names) == sorted(asked)
    return dict(zip(names, items, strict=True))


def failing(server: RpcServer, settings: NodeSettings = QUICK) -> MachineError:
    with pytest.raises(MachineError) as caught:
        fetch(server, settings)
    text = f"{caught.value.message} {caught.value.hint}"
    assert server.host in text
    assert not [canary for canary in CANARIES if canary in text]
    return caught.value


def all_fetched(server: RpcServer, settings: NodeSettings = QUICK) -> None:
    items = fetch(server, settings)
    for hash, item in items.items():
        assert isinstance(item, Fetched), item
        assert item.transaction == server.chain.transactions[hash]
        assert item.receipt == server.chain.receipt(hash)
        block = server.chain.by_hash[item.transaction["blockHash"]]
        assert item.block_timestamp == int(block["timestamp"], 16)
        assert item.chain_id == 1


def test_transactions_come_with_receipt_and_time(server):
    all_fetched(server)
    assert max(server.batch_sizes) <= QUICK.batch_size
    assert server.paths == {f"/v3/{CANARIES[1]}?apikey={CANARIES[2]}"}
    assert server.authorizations == {"Basic dXNlcjpjQW5BcllwQXNT"}


def test_answers_in_another_order_are_put_right(server):
    server.is_shuffled = True
    all_fetched(server)


@pytest.mark.parametrize(
    "fault",
    [
        status(429, retry_after="0"),
        status(500),
        status(500, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal"}}'),
        status(502),
        status(503, retry_after="0"),
        status(522),
        reset,
        truncated,
        status(200, b"<html>be right back</html>"),
        status(200, b""),
        wrong_ids,
        missing_answers,
        status(200, b"no gzip", content_encoding="gzip"),
        error_in_answer(-32005, "limit exceeded"),
        error_in_answer(-32603, "internal error"),
        error_object(429, "too many requests"),
    ],
    ids=lambda fault: getattr(fault, "__qualname__", None),
)
def test_what_passes_is_tried_again(server, fault):
    server.faults.extend([well, fault, fault])
    all_fetched(server)


def test_a_late_answer_is_asked_for_again(server):
    server.faults.extend([well, stall(1.0)])
    all_fetched(server, replace(QUICK, timeout_seconds=0.4))


def test_a_node_that_stays_late_is_given_up(server):
    server.faults.append(well)
    server.always = stall(1.0)
    settings = replace(QUICK, batch_size=1, num_threads=1, num_retries=1, timeout_seconds=0.4)
    assert "no whole answer within 0.4 s, 2 times" in failing(server, settings).message


@pytest.mark.parametrize(
    "refuse",
    [
        error_object(-32600, "batch too large"),
        error_object(-32000, "batch limit 3 exceeded"),
        error_for_first(-32600, "batch too large"),
        error_in_answer(-32003, "response too large"),
        status(400, b"Bad Request"),
        status(405),
        status(413),
        status(403, b'{"error":{"code":-32000,"message":"batches need a paid plan"}}'),
        status(500),
        status(200, b"null"),
        status(200, b"[]"),
        huge,
    ],
    ids=lambda fault: getattr(fault, "__qualname__", None),
)
@pytest.mark.parametrize("limit", [1, 3])
def test_smaller_batches_are_sent_where_larger_ones_are_refused(server, refuse, limit):
    server.batch_limit, server.refuse = limit, refuse
    with Node(Endpoint(server.url), QUICK) as node:
        items = [item for items in fetch_transactions(node, server.chain.hashes) for item in items]
        assert node.batch_size <= limit
    assert sorted(item.hash for item in items) == sorted(server.chain.hashes)


def test_no_call_is_sent_again_that_was_answered(server):
    server.faults.extend([well, error_in_answer(-32005, "limit")])
    all_fetched(server, ONE_THREAD)
    assert set(server.times_answered("eth_getTransactionByHash").values()) == {1}


def test_a_node_that_answers_little_by_little_is_asked_on(server):
    def first_only(handler, request):
        answers = handler.answers(request if isinstance(request, list) else [request])
        for answer in answers[1:]:
            answer.pop("result")
            answer["error"] = {"code": -32005, "message": "limit exceeded"}
        handler.send(answers)
        return True

    server.always = first_only
    all_fetched(server, QUICK)  # batches of ten, three retries


def test_an_answer_that_never_ends_is_cut_off(server):
    def drip(handler, request):
        handler.send_response(200)
        handler.send_header("connection", "close")
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(200):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.05)
        handler.close_connection = True
        return True

    server.faults.append(well)
    server.always = drip
    begin = time.monotonic()
    settings = NodeSettings(batch_size=1, num_threads=1, num_retries=0, timeout_seconds=0.2)
    assert "no whole answer" in failing(server, settings).message
    assert time.monotonic() - begin < 5


def test_a_block_is_asked_for_once(server):
    all_fetched(server, ONE_THREAD)
    assert set(server.times_answered("eth_getBlockByHash").values()) == {1}


def test_retry_after_holds_all_threads(server):
    moments: list[float] = []

    def note(handler, request):
        moments.append(time.monotonic())
        return False

    server.always = note
    server.faults.extend([note, status(429, retry_after="1")])
    all_fetched(server, NodeSettings(batch_size=2, num_threads=3, backoff_seconds=0.01))
    first = moments[0]  # the chain; others may be on their way when the limit is told
    assert sum(moment < first + 0.9 for moment in moments) <= 1 + QUICK.num_threads


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (status(429), "429 Too Many Requests, 4 times in a row"),
        (status(503), "503 Service Unavailable, 4 times in a row"),
        (status(200, b"<html>"), "the answer is no JSON, 4 times"),
        (wrong_ids, "1 of 1 calls are not answered, 4 times"),
        (reset, "the connection failed: "),
        (error_object(-32005, "daily request count exceeded"), "daily request count exceeded"),
        (huge, "larger than 1 MiB"),
        (status(401, b'{"error":{"message":"no such key ' + CANARIES[1].encode() + b'"}}'), "401"),
        (status(403, b"project " + CANARIES[1].encode() + b" is blocked"), "blocked"),
        (status(404, b"<html>not here"), "404 Not Found"),
        (status(429, retry_after="86400"), "come back in 86,400 s"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_stays_ends_with_what_the_node_said(server, fault, told):
    """Once the node has told its chain."""
    server.faults.append(well)
    server.always = fault
    error = failing(server)
    assert told in error.message
    assert error.hint


def test_a_redirect_is_not_followed(server):
    with serving(Chain([1])) as other:
        location = f"http://x:{CANARIES[0]}@{other.host}/v3/{CANARIES[1]}"
        server.always = status(307, location=location)
        error = failing(server)
        assert f"redirects to {other.host}" in error.message
        assert other.num_requests == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")
def test_a_certificate_that_nobody_signed_is_refused(server, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-keyout", key, "-out", certificate, "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http://", "https://")
    with pytest.raises(MachineError) as caught, Node(Endpoint(url), QUICK):
        pass
    assert "certificate cannot be verified" in caught.value.message
    assert "SSL_CERT_FILE" in caught.value.hint
    assert server.num_requests == 0
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Node(Endpoint(url), QUICK) as node:
        assert node.chain_id == 1


def test_a_url_where_nothing_answers_is_told_soon(server):
    server.shutdown()
    server.server_close()
    assert "the connection failed" in failing(server).message


def test_what_is_no_node_is_told(server):
    server.lacks = {"eth_chainId"}
    assert "does not tell its chain: eth_chainId does not exist" in failing(server).message


def test_a_compressed_answer_is_read(server):
    def compressed(handler, request):
        import json

        body = gzip.compress(json.dumps(handler.answers(request)).encode())
        handler.send_bytes(body, content_encoding="gzip")
        return True

    server.always = compressed
    all_fetched(server)


def test_the_rate_holds_over_all_threads(server):
    settings = NodeSettings(batch_size=50, num_threads=4, calls_per_second=40)
    begin = time.monotonic()
    items = fetch(server, settings)
    elapsed = time.monotonic() - begin
    num_calls = sum(server.batch_sizes)
    assert len(items) == sum(SIZES)
    assert max(server.batch_sizes) <= 40
    assert num_calls <= 40 * (elapsed + 1)


def test_what_the_node_says_of_one_transaction_is_its_failure_alone(server):
    hashes = server.chain.hashes
    absent = "0x" + "00" * 32
    server.nulls = {("eth_getTransactionReceipt", hashes[1])}
    server.errors = {
        ("eth_getTransactionByHash", hashes[2]): (-32000, f"pruned, {CANARIES[1]}"),
        ("eth_getTransactionReceipt", hashes[3]): (-32603, "internal error"),
        ("eth_getBlockByHash", server.chain.transactions[hashes[-1]]["blockHash"]): (-1, "gone"),
    }
    server.chain.transactions[hashes[4]]["blockHash"] = None
    server.chain.transactions[hashes[5]] = server.chain.transactions[hashes[6]]
    items = fetch(server, hashes=[*hashes, absent])
    reasons = {item.name: item.reason for item in items.values() if isinstance(item, Failure)}
    assert reasons == {
        absent: "not found",
        hashes[1]: "no receipt: the node has pruned it",
        hashes[2]: "pruned, [secret] (-32000)",
        hashes[3]: "internal error (-32603)",
        hashes[4]: "not in a block yet",
        hashes[5]: "the node answered with another transaction",
        hashes[-1]: "block: gone (-1)",
        hashes[-2]: "block: gone (-1)",
    }


def fetched_blocks(server: RpcServer, numbers: Callable[[], list[int]] | range):
    with Node(Endpoint(server.url), QUICK) as node:
        return [item for items in fetch_blocks(node, numbers) for item in items]


@pytest.mark.parametrize("lacks", [set(), {"eth_getBlockReceipts"}])
def test_blocks_come_whole(server, lacks):
    server.lacks = lacks
    items = fetched_blocks(server, range(len(SIZES)))
    assert {item.hash: item.receipt for item in items} == {
        hash: server.chain.receipt(hash) for hash in server.chain.hashes
    }
    for item in items:
        number = int(item.transaction["blockNumber"], 16)
        assert item.block_transactions == SIZES[number]
        assert item.block_timestamp == int(server.chain.blocks[number]["timestamp"], 16)
    by_hash = server.times_answered("eth_getTransactionReceipt")
    assert sorted(by_hash) == (sorted(server.chain.hashes) if lacks else [])


def test_blocks_that_are_not_there_and_receipts_that_are_missing_fail_alone(server):
    hash = server.chain.hashes[0]
    server.nulls = {("eth_getTransactionReceipt", hash), ("eth_getBlockReceipts", "0x0")}
    items = fetched_blocks(server, range(5, 9)) + fetched_blocks(server, range(1))
    failures = [item for item in items if isinstance(item, Failure)]
    assert sorted((failure.kind, failure.name, failure.reason) for failure in failures) == [
        ("block", "7", "not found"),
        ("block", "8", "not found"),
        ("hash", hash, "no receipt: the node has pruned it"),
    ]
    assert len(items) == SIZES[5] + SIZES[6] + SIZES[0] + 2


def test_leaving_early_ends_the_threads(server):
    server.delay_seconds = 0.02
    with Node(Endpoint(server.url), NodeSettings(batch_size=2, num_threads=3)) as node:
        next(fetch_transactions(node, server.chain.hashes))
        during = {thread for thread in threading.enumerate() if "(run)" in thread.name}
    assert during
    assert not [thread for thread in during if thread.is_alive()]


def test_answers_come_in_the_order_of_the_calls(server):
    with Node(Endpoint(server.url), QUICK) as node:
        calls = [Call("eth_getBlockByNumber", (hex(n), True)) for n in range(len(SIZES))]
        answers = node.ask([*calls, Call("eth_foo", ("0x0",))][:-1])
        assert [answer["number"] for answer in answers] == [hex(n) for n in range(len(SIZES))]
        server.lacks = {"eth_foo"}
        assert node.ask([Call("eth_foo")]) == [NodeError(-32601, "eth_foo does not exist")]


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:8545", "ws://host/cAnArYkEy0123", "file:///cAnArYkEy0123", "https://",
        "https:///cAnArYkEy0123", "https://host:cAnArYkEy0123/", "https://[cAnArYkEy0123/",
        "https://host/cAnArYkEy0123 x", "https://host/\ncAnArYkEy0123", "cAnArYkEy0123",
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_without_being_shown(url):
    with pytest.raises(UsageError) as caught:
        Endpoint.of(url)
    assert CANARIES[1] not in f"{caught.value.message}{caught.value.hint}"
    assert caught.value.__cause__ is None


def test_an_endpoint_shows_its_host_alone():
    endpoint = Endpoint("https://me:pass1word@node.example:8443/v3/0123456789abcdef?k=qu%20ery")
    assert endpoint.host == "node.example:8443"
    assert str(endpoint) == repr(endpoint) == "Endpoint('node.example:8443')"
    said = endpoint.scrub(f"{endpoint.url} and 0123456789abcdef, pass1word, qu%20ery, qu ery")
    assert said == "[secret] and [secret], [secret], [secret], [secret]"
