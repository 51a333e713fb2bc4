"""A made-up chain behind a real HTTP server on loopback that speaks JSON-RPC, well or badly."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GENESIS_TIME = 1_700_000_000
CANARIES = ("cAnArYpAsS", "cAnArYkEy0123", "cAnArYqUeRy")


def digest(*parts: object) -> str:
    return "0x" + hashlib.sha256(repr(parts).encode()).hexdigest()


class Chain:
    """Blocks from 0 on with so many plain transfers each."""

    def __init__(self, sizes: list[int], chain_id: int = 1) -> None:
        self.chain_id = chain_id
        self.blocks = [self._block(number, size) for number, size in enumerate(sizes)]
        self.by_hash = {block["hash"]: block for block in self.blocks}
        self.transactions = {
            transaction["hash"]: transaction
            for block in self.blocks
            for transaction in block["transactions"]
        }

    @property
    def hashes(self) -> list[str]:
        return list(self.transactions)

    def receipt(self, hash: str) -> dict[str, Any] | None:
        transaction = self.transactions.get(hash)
        if transaction is None:
            return None
        return {
            "transactionHash": hash, "blockHash": transaction["blockHash"],
            "blockNumber": transaction["blockNumber"], "from": transaction["from"],
            "to": transaction["to"], "status": "0x1", "gasUsed": "0x5208",
            "cumulativeGasUsed": "0x5208", "effectiveGasPrice": "0x3b9aca00",
            "contractAddress": None, "logs": [], "type": "0x2",
            "transactionIndex": transaction["transactionIndex"],
        }  # fmt: skip

    def _block(self, number: int, size: int) -> dict[str, Any]:
        hash = digest("block", number, self.chain_id)
        transactions = [
            {
                "hash": digest("transaction", number, index, self.chain_id), "blockHash": hash,
                "blockNumber": hex(number), "transactionIndex": hex(index),
                "from": "0x" + f"{number * 100 + index + 1:040x}", "to": "0x" + "b2" * 20,
                "value": hex(10**15 * (number * 10 + index + 1)), "input": "0x",
                "nonce": "0x0", "gas": "0x5208", "gasPrice": "0x3b9aca00", "type": "0x2",
                "chainId": hex(self.chain_id),
            }
            for index in range(size)
        ]  # fmt: skip
        return {
            "hash": hash, "number": hex(number), "timestamp": hex(GENESIS_TIME + 12 * number),
            "transactions": transactions,
        }  # fmt: skip


Fault = Callable[["Handler", Any], bool]  # True: the request has been dealt with


class RpcServer(ThreadingHTTPServer):
    """``faults`` are taken one a request; the other attributes hold until they are changed."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, chain: Chain) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.chain = chain
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.batch_limit: int | None = None
        self.refuse: Fault = error_object(-32600, "batch too large")
        self.lacks: set[str] = set()  # methods
        self.nulls: set[tuple[str, str]] = set()  # (method, hash) answered with null
        self.errors: dict[tuple[str, str], tuple[int, str]] = {}
        self.is_shuffled = False
        self.delay_seconds = 0.0
        self.answered: Counter[tuple[str, Any]] = Counter()
        self.batch_sizes: list[int] = []
        self.paths: set[str] = set()
        self.authorizations: set[str | None] = set()

    @property
    def url(self) -> str:
        """With a canary wherever a key may stand."""
        password, key, query = CANARIES
        return f"http://user:{password}@127.0.0.1:{self.server_port}/v3/{key}?apikey={query}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def num_requests(self) -> int:
        return len(self.batch_sizes)

    def times_answered(self, method: str) -> Counter[Any]:
        return Counter({key[1]: n for key, n in self.answered.items() if key[0] == method})

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave early are what is tested."""

    def result(self, method: str, params: list[Any]) -> Any:
        chain, first = self.chain, params[0] if params else None
        if method == "eth_chainId":
            return hex(chain.chain_id)
        if method == "eth_blockNumber":
            return hex(len(chain.blocks) - 1)
        if method == "eth_getTransactionByHash":
            return chain.transactions.get(first)
        if method == "eth_getTransactionReceipt":
            return chain.receipt(first)
        if method == "eth_getBlockByHash":
            return chain.by_hash.get(first)
        number = int(first, 16)
        block = chain.blocks[number] if number < len(chain.blocks) else None
        if method == "eth_getBlockByNumber" or block is None:
            return block
        return [chain.receipt(transaction["hash"]) for transaction in block["transactions"]]

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        method, params = call["method"], call["params"]
        key = (method, params[0] if params else None)
        head = {"jsonrpc": "2.0", "id": call["id"]}
        if method in self.lacks:
            return head | {"error": {"code": -32601, "message": f"{method} does not exist"}}
        if key in self.errors:
            code, message = self.errors[key]
            return head | {"error": {"code": code, "message": message}}
        self.answered[key] += 1
        return head | {"result": None if key in self.nulls else self.result(method, params)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: apart they wait for each other
    server: RpcServer

    def do_POST(self) -> None:
        server = self.server
        server.paths.add(self.path)
        server.authorizations.add(self.headers.get("authorization"))
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        num_calls = len(request) if isinstance(request, list) else 1
        server.batch_sizes.append(num_calls)
        time.sleep(server.delay_seconds)
        fault = server.faults.popleft() if server.faults else server.always
        if fault is not None and fault(self, request):
            return
        limit = server.batch_limit
        if limit is not None and num_calls > limit and server.refuse(self, request):
            return
        self.send(self.answers(request))

    def answers(self, request: Any) -> Any:
        if not isinstance(request, list):
            return self.server.answer(request)
        answers = [self.server.answer(call) for call in request]
        if self.server.is_shuffled:
            random.Random(len(answers)).shuffle(answers)
        return answers

    def send(self, document: Any, status: int = 200, **headers: str) -> None:
        self.send_bytes(json.dumps(document).encode(), status, **headers)

    def send_bytes(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving(chain: Chain) -> Iterator[RpcServer]:
    server = RpcServer(chain)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def status(code: int, body: bytes = b"busy", **headers: str) -> Fault:
    def fault(handler: Handler, request: Any) -> bool:
        handler.send_bytes(body, code, **headers)
        return True

    return fault


def error_object(code: int, message: str) -> Fault:
    """One error with no id in place of the batch, as Erigon and Infura send it."""

    def fault(handler: Handler, request: Any) -> bool:
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
        handler.send(error)
        return True

    return fault


def error_for_first(code: int, message: str) -> Fault:
    """An error for the first call of the batch and nothing for the others, as Geth sends it."""

    def fault(handler: Handler, request: Any) -> bool:
        error = {"code": code, "message": message}
        handler.send([{"jsonrpc": "2.0", "id": request[0]["id"], "error": error}])
        return True

    return fault


def error_in_answer(code: int, message: str) -> Fault:
    """Status 200, good answers, but one call of them was too many."""

    def fault(handler: Handler, request: Any) -> bool:
        answers = handler.answers(request if isinstance(request, list) else [request])
        answers[-1].pop("result", None)
        answers[-1]["error"] = {"code": code, "message": message}
        handler.send(answers)
        return True

    return fault


def stall(seconds: float) -> Fault:
    def fault(handler: Handler, request: Any) -> bool:
        time.sleep(seconds)
        return False

    return fault


def reset(handler: Handler, request: Any) -> bool:
    linger = struct.pack("ii", 1, 0)  # RST in place of FIN
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.close_connection = True
    handler.connection.close()
    return True


def truncated(handler: Handler, request: Any) -> bool:
    handler.send_response(200)
    handler.send_header("content-length", "100000")
    handler.end_headers()
    handler.wfile.write(b'[{"jsonrpc":"2.0","id":')
    handler.close_connection = True
    return True


def wrong_ids(handler: Handler, request: Any) -> bool:
    answers = handler.answers(request)
    for answer in answers if isinstance(answers, list) else [answers]:
        answer["id"] += 1_000_000
    handler.send(answers)
    return True


def missing_answers(handler: Handler, request: Any) -> bool:
    answers = handler.answers(request)
    handler.send(answers[:-1] if isinstance(answers, list) else [])
    return True


def huge(handler: Handler, request: Any) -> bool:
    handler.send_response(200)
    handler.send_header("connection", "close")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(64):
            handler.wfile.write(b" " * (1 << 16))
    handler.close_connection = True
    return True
