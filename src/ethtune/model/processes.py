"""What the processes of one run tell each other: numbers summed, wishes shared, rank 0's decisions.

A process that trains alone has nothing to tell: every function then returns what it was given.

The words go over a group of their own, on the CPU: asking whether somebody wants to stop does not
wait for the GPU. Gradients go over the default group, which DDP and accelerate use.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from ethtune.core.errors import DivergedError, EthtuneError, Interrupted, MachineError
from ethtune.core.ranks import rank
from ethtune.core.signals import StopSignals

T = TypeVar("T")
_TASK, _FAILURE = "ethtune/task", "ethtune/failure"
_WORDS_OF_LOSS = ("gloo", "Connection closed", "Connection reset", "NCCL", "Broken pipe")
# rank 0 may download a model before the others have anything to do, and save for as long as a disk
# takes; a process that died is noticed by its connection, not by time
_PATIENCE = timedelta(days=7)
_GRADIENTS_PATIENCE = timedelta(minutes=30)


class LeftAlone(Exception):
    """Rank 0, or the whole run, ended for a reason that has been told elsewhere."""


class _Team:
    """The connections of this process; one for a process, as torch's own."""

    store: Any = None
    words: Any = None


def announce(task: str) -> None:
    """Of rank 0: what to train, for ``await_task`` of the others; then all are connected."""
    _connect()
    _Team.store.set(_TASK, task)
    _join()


def await_task() -> str:
    """What rank 0 announced, once it has."""
    _connect()
    _Team.store.wait([_TASK], _PATIENCE)
    task: bytes = _Team.store.get(_TASK)
    _join()
    return task.decode()


def total(values: Sequence[float]) -> list[float]:
    """The sums over all processes."""
    return _reduced(values, distributed.ReduceOp.SUM)


def share_signal(signals: StopSignals) -> bool:
    """Whether any process was asked to stop: then all were."""
    number = int(_reduced([signals.received or 0], distributed.ReduceOp.MAX)[0])
    signals.received = signals.received or number or None
    return signals.received is not None


def gathered(value: T) -> list[T]:
    """The value of every process, in the order of ranks."""
    if rank().is_alone:
        return [value]
    found: list[Any] = [None] * rank().size
    distributed.all_gather_object(found, value, group=_Team.words)
    return found


def from_main(decide: Callable[[], T]) -> T:
    """What rank 0 decides, on every process. Raises what it raised there, LeftAlone elsewhere."""
    if rank().is_alone:
        return decide()
    told: list[Any] = [None]
    if rank().is_main:
        try:
            told = [(decide(),)]
        finally:
            distributed.broadcast_object_list(told, src=0, group=_Team.words)
    else:
        distributed.broadcast_object_list(told, src=0, group=_Team.words)
        if told[0] is None:
            raise LeftAlone
    result: T = told[0][0]
    return result


@contextlib.contextmanager
def together(run: Path) -> Iterator[None]:
    """Around a training: all processes leave it at once, and none waits for one that is gone.

    Raises MachineError on rank 0, with what the other process said, and LeftAlone on the others.
    """
    if rank().is_alone:
        yield
        return
    try:
        yield
    except (DivergedError, Interrupted):  # as all did, and rank 0 tells of it
        _leave()
        if not rank().is_main:
            raise LeftAlone from None
        raise
    except (LeftAlone, KeyboardInterrupt):
        raise
    except Exception as error:
        if _is_lost(error):
            raise _left_behind(run) from error
        _tell(error)
        raise
    _leave()


def _connect() -> None:
    if _Team.store is None:
        _Team.store, _, _ = next(rendezvous("env://", timeout=_PATIENCE))


def _join() -> None:
    """After it, accelerate and DeepSpeed find a group and make none."""
    if not distributed.is_initialized():
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=_Team.store,
            rank=rank().index,
            world_size=rank().size,
            timeout=_GRADIENTS_PATIENCE,
        )
        _Team.words = distributed.new_group(backend="gloo", timeout=_PATIENCE)


def _leave() -> None:
    """Once all are here; rank 0 may be writing the result meanwhile."""
    with contextlib.suppress(RuntimeError):  # one that was ended at once is not waited for
        distributed.barrier(group=_Team.words)
        distributed.destroy_process_group()


def _reduced(values: Sequence[float], how: Any) -> list[float]:
    if rank().is_alone:
        return list(values)
    numbers = torch.tensor(values, dtype=torch.float64)
    distributed.all_reduce(numbers, how, group=_Team.words)
    return numbers.tolist()


def _is_lost(error: Exception) -> bool:
    """Whether it tells of another process that does not answer."""
    is_known = isinstance(error, distributed.DistError)
    is_told = isinstance(error, RuntimeError) and any(w in str(error) for w in _WORDS_OF_LOSS)
    return is_known or is_told


def _tell(error: Exception) -> None:
    """Leave word for rank 0, which will only see that the connection is gone."""
    text = error.message if isinstance(error, EthtuneError) else f"{type(error).__name__}: {error}"
    with contextlib.suppress(RuntimeError):
        _Team.store.set(_FAILURE, f"{rank().name} failed: {text}")


def _left_behind(run: Path) -> Exception:
    if not rank().is_main:
        return LeftAlone()
    text = "another process of the run ended"
    with contextlib.suppress(RuntimeError):
        if _Team.store.check([_FAILURE]):
            text = _Team.store.get(_FAILURE).decode()
    return MachineError(text, hint=f"ethtune resume {run} goes on from the newest checkpoint")
