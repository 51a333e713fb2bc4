"""How a node is asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """``batch_size`` counts calls in one HTTP request, ``calls_per_second`` calls as well.

    After a failure the n-th retry waits up to ``backoff_seconds`` times 2 to the n. A server that
    asks for more than ``longest_wait_seconds`` of patience is given up.
    """

    batch_size: int = 50
    num_threads: int = 4
    calls_per_second: float | None = None
    num_retries: int = 6
    backoff_seconds: float = 0.5
    timeout_seconds: float = 30.0
    longest_wait_seconds: float = 300.0
    max_response_bytes: int = 128 << 20
