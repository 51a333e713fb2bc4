"""JSON-RPC bodies: answers by id, what errors mean, what is no answer."""

from __future__ import annotations

import json

import pytest

from ethtune.chain.rpc.wire import (
    BatchRefused,
    Call,
    MalformedBody,
    NodeError,
    decode,
    encode,
)


def body(*answers: object) -> bytes:
    return json.dumps(list(answers)).encode()


def good(id: int, result: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "result": result}


def bad(id: int | None, code: int, message: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}


def test_one_call_is_an_object_and_many_are_an_array():
    assert json.loads(encode([Call("eth_chainId")], 5)) == {
        "jsonrpc": "2.0", "id": 5, "method": "eth_chainId", "params": [],
    }  # fmt: skip
    many = json.loads(encode([Call("a", ("0x1", True)), Call("b")], 7))
    assert [(call["id"], call["params"]) for call in many] == [(7, ["0x1", True]), (8, [])]


def test_answers_go_to_their_calls_in_any_order_and_null_is_an_answer():
    assert decode(body(good(12, "c"), good(10, None), good(11, "b")), 3, 10) == {
        0: None, 1: "b", 2: "c",
    }  # fmt: skip


@pytest.mark.parametrize("id", [9, 12, "10", None, True, 10.0])
def test_an_answer_with_a_foreign_id_answers_nothing(id):
    assert decode(body(good(id, "x"), good(11, "b")), 2, 10) == {1: "b"}


def test_an_error_of_one_call_is_its_answer():
    answers = decode(body(good(1, "a"), bad(2, -32000, "missing  trie\nnode")), 2, 1)
    assert answers == {0: "a", 1: NodeError(-32000, "missing trie node")}
    assert str(answers[1]) == "missing trie node (-32000)"


@pytest.mark.parametrize(
    "content",
    [
        body(bad(1, -32600, "batch too large")),
        body(bad(None, -32000, "batch limit 100 exceeded")),
        json.dumps(bad(None, -32000, "batch limit 100 exceeded")).encode(),
        json.dumps(bad(None, -32700, "unexpected [")).encode(),
        body(good(1, "a"), bad(2, -32003, "response too large")),
    ],
)
def test_a_refused_batch_is_told_from_a_refused_call(content):
    with pytest.raises(BatchRefused):
        decode(content, 2, 1)


def test_an_error_without_id_is_that_of_a_single_call():
    assert decode(json.dumps(bad(None, -32600, "bad")).encode(), 1, 4) == {
        0: NodeError(-32600, "bad")
    }


def test_too_fast_is_no_refused_batch_even_when_the_message_speaks_of_batches():
    content = json.dumps(bad(None, 429, "rate limit reached, shrink your batch")).encode()
    answers = decode(content, 2, 1)
    assert all(error.is_limit for error in answers.values())
    assert len(answers) == 2


@pytest.mark.parametrize(
    ("code", "message", "is_limit", "is_passing"),
    [
        (-32005, "limit exceeded", True, True),
        (429, "Too many concurrent requests", True, True),
        (-32007, "50/second request limit reached", True, True),
        (-32000, "exceeded its compute units per second capacity", True, True),
        (-32603, "internal error", False, True),
        (-32002, "request timed out", False, True),
        (-32000, "header not found", False, False),
        (-32601, "the method eth_getBlockReceipts does not exist", False, False),
    ],
)
def test_what_passes_is_told_from_what_stays(code, message, is_limit, is_passing):
    error = NodeError(code, message)
    assert (error.is_limit, error.is_passing) == (is_limit, is_passing)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b'[{"id":1', b"3", b"[3]", b"{}", b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_answer_is_malformed(content):
    with pytest.raises(MalformedBody):
        decode(content, 2, 1)
