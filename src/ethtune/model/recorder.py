"""What tensors a computation holds, without computing: operations on fake tensors in, events out.

PyTorch tells a dispatch mode of every operation, in autograd's backward passes too. Each storage
that is new is an allocation, its end a release. Fake tensors have sizes and no contents, and
pretend to be on the CPU, as autograd over pretended CUDA tensors needs a build with CUDA. What CUDA
kernels do otherwise than the CPU's stands in ``cudakernels``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_ALIGNMENT = 512  # the allocator rounds every block up to this

Temporaries = Callable[[Any, tuple[Any, ...]], Iterator[int]]
"""An operation and its arguments in, bytes of what its kernel holds for itself out."""


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """``events`` are (handle, bytes) for an allocation and (handle, 0) for its end.

    ``operations`` names for each handle what made it. ``answers`` stand for operations whose result
    depends on contents, which fake tensors do not have.
    """

    def __init__(
        self, *, temporaries: Temporaries, answers: Mapping[Any, Callable[..., Any]]
    ) -> None:
        """Nothing is held yet."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[tuple[int, int]] = []
        self.operations: list[str] = []
        self._temporaries = temporaries
        self._answers = answers
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """One operation: what its kernel holds for itself comes and goes around its result."""
        out = self._answers.get(func, func)(*args, **(kwargs or {}))
        name = func._schema.name.rpartition("::")[2]
        own = [self.hold(size, name) for size in self._temporaries(func, args)]
        for item in tree_leaves(out):
            if isinstance(item, torch.Tensor):
                self._see(item, name)
        for handle in own:
            self.drop(handle)
        return out

    def hold(self, size: int, name: str) -> int:
        """An allocation of so many bytes."""
        handle = len(self.operations)
        self.operations.append(name)
        self.events.append((handle, -(-size // _ALIGNMENT) * _ALIGNMENT))
        return handle

    def drop(self, handle: int) -> None:
        """Its end."""
        self.events.append((handle, 0))

    def stop(self) -> None:
        """What is held now stays held in the record, though its tensors end."""
        self._known.clear()

    def _see(self, tensor: torch.Tensor, name: str) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known or not storage.nbytes():
            return
        handle = self.hold(storage.nbytes(), name)

        def end(_: Any) -> None:
            del self._known[key]
            self.drop(handle)

        self._known[key] = weakref.ref(storage, end)
