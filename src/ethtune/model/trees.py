"""Nested state in, one safetensors file out, and back: dicts, lists, tuples, numbers and tensors.

No pickle: reading such a file can run no code. Tensors are stored as they are; the rest is JSON in
the file's header, each tensor replaced by its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

_HEADER = "tree"
_FRAME = re.compile(r"^Error while serializing: (I/O error: )?| \(os error \d+\)$")


def save_tree(tree: Any, path: Path) -> None:
    """Raises OSError or SafetensorError where the disk refuses."""
    tensors: dict[str, torch.Tensor] = {}
    header = json.dumps(_plain(tree, "", tensors), separators=(",", ":"))
    save_file(tensors, path, metadata={_HEADER: header})


def reason_of(error: Exception) -> str:
    """Why the disk refused, in the system's words, without those that safetensors puts around."""
    return getattr(error, "strerror", None) or _FRAME.sub("", str(error))


def load_tree(path: Path) -> Any:
    """What ``save_tree`` was given, tensors on the CPU."""
    with safe_open(path, framework="pt") as handle:
        return _restored(json.loads(handle.metadata()[_HEADER]), handle)


def tensors_of(tree: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor with the path that leads to it."""
    if isinstance(tree, torch.Tensor):
        yield name, tree
    elif isinstance(tree, dict):
        for key, item in tree.items():
            yield from tensors_of(item, f"{name}.{key}" if name else str(key))
    elif isinstance(tree, (list, tuple)):
        for index, item in enumerate(tree):
            yield from tensors_of(item, f"{name}.{index}")


def not_finite(tree: Any) -> Iterator[str]:
    """The path of every tensor that holds a number that is none."""
    for name, tensor in tensors_of(tree):
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        # one pass without a copy, and both are NaN where any number is
        low, high = torch.aminmax(tensor)
        if not bool(torch.isfinite(low) & torch.isfinite(high)):
            yield name


def _plain(tree: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """As JSON: a container or a tensor is a list that begins with its kind."""
    if isinstance(tree, torch.Tensor):
        # a copy of its own: parameters may share one table, which the format forbids
        tensors[name] = tree.detach().to("cpu", copy=True).contiguous()
        return ["tensor", name]
    if isinstance(tree, dict):
        return ["dict", [[k, _plain(v, f"{name}.{k}", tensors)] for k, v in tree.items()]]
    if isinstance(tree, (list, tuple)):
        kind = "tuple" if isinstance(tree, tuple) else "list"
        return [kind, [_plain(v, f"{name}.{i}", tensors) for i, v in enumerate(tree)]]
    return tree


def _restored(plain: Any, handle: Any) -> Any:
    if not isinstance(plain, list):
        return plain
    kind, content = plain
    if kind == "tensor":
        return handle.get_tensor(content)
    if kind == "dict":
        return {key: _restored(item, handle) for key, item in content}
    items = [_restored(item, handle) for item in content]
    return tuple(items) if kind == "tuple" else items
