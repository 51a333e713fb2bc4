"""A base model in parts over the processes of a run; its adapter stays whole in each.

PyTorch's FSDP2 lays the frozen weights of each layer in equal parts on the cards. A layer is put
together before it computes and taken apart again behind it, so that every pass through the model
needs all processes. What is trained is small: DDP averages its gradients, as where each process
holds the whole model, and optimizers, checkpoints and results are those of any run.

The head stays whole: it would be so anyhow when memory is at its peak, in the loss.
"""

from __future__ import annotations

from typing import Any

from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from ethtune.core.ranks import rank
from ethtune.model.device import Device
from ethtune.model.zero import is_in_parts


def is_sharded(model: Any) -> bool:
    """Whether a pass through the adapted ``model`` needs all processes."""
    return isinstance(model.get_base_model(), FSDPModule) or is_in_parts(model)


def shard(model: Any, device: Device) -> None:
    """Lay the adapted ``model`` in parts onto the devices of all processes, from wherever it is."""
    base = model.get_base_model()
    head, embedding = base.get_output_embeddings(), base.get_input_embeddings()
    names = set(base._no_split_modules or ())
    units = [module for module in base.modules() if type(module).__name__ in names]
    if head is None or head.weight is not embedding.weight:
        units.append(embedding)
    mesh = init_device_mesh(device.kind, (rank().size,))
    stays = {each for each in base.parameters() if each.requires_grad}
    for unit in units:
        fully_shard(unit, mesh=mesh, ignored_params=stays)
    dealt = {each for unit in units for each in unit.parameters()}
    stays |= {each for each in base.parameters() if each not in dealt}
    # around all of them, so that a layer is fetched ahead of its turn
    fully_shard(base, mesh=mesh, ignored_params=stays)
    for each in stays:
        each.data = each.to(device.kind).data
    base._is_fsdp_managed_module = True  # generate then goes on until all processes are done
    if hasattr(base, "hf_device_map"):
        base.hf_device_map = {"": 0 if device.kind == "cuda" else "cpu"}


def with_averaged_gradients(model: Any) -> DistributedDataParallel:
    """``model``, whose trained weights are the same in all processes, for its training."""
    same = [name for name, each in model.named_parameters() if not each.requires_grad]
    same += [name for name, _ in model.named_buffers()]
    ignore = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    ignore(model, same)  # type: ignore[no-untyped-call]
    devices = [0] if next(model.parameters()).is_cuda else None
    return DistributedDataParallel(model, device_ids=devices)
