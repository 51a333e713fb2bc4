"""TRL's trainer as one of several processes: its share of the rows, its part of the model."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader
from trl import SFTTrainer

from ethtune.core.config import Config
from ethtune.core.deepspeedfile import zero_stage
from ethtune.core.ranks import rank
from ethtune.model.isolation import require_isolation
from ethtune.model.sharding import is_sharded, with_averaged_gradients
from ethtune.model.sharing import own_share, shared_order
from ethtune.model.zero import start
from ethtune.model.zerooptimizer import ZeroOptimizer
from ethtune.model.zerosettings import zero_settings


class DistributedTrainer(SFTTrainer):  # type: ignore[misc]  # trl ships no types
    """Alone it is TRL's own. The datasets of several processes end with a blank row."""

    _config: Config

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The order that one process would take, dealt out."""
        if rank().is_alone:
            return super()._get_train_sampler(train_dataset)
        return shared_order(self.train_dataset, self.args.train_batch_size)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """What this process measures; the library would repeat rows to make shares equal."""
        if rank().is_alone:
            return super().get_eval_dataloader(eval_dataset)
        return DataLoader(
            own_share(self.eval_dataset),
            batch_size=self.args.eval_batch_size,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def _wrap_model(self, model: Any, training: bool = True) -> Any:
        """A model in parts is not the library's to wrap; of its own it adds autocast."""
        if not training or model is not self.model:
            return super()._wrap_model(model, training)
        if (settings := zero_settings(self._config)) is not None:
            engine = start(self, settings)
            if zero_stage(settings) == 3:
                model.get_base_model()._is_fsdp_managed_module = True  # generate waits for all
                require_isolation(model, self._config)
            return engine
        if not is_sharded(model):
            return super()._wrap_model(model, training)
        prepare = self.accelerator.prepare_model
        return with_averaged_gradients(prepare(model, device_placement=False, evaluation_mode=True))

    def _clip_grad_norm(self, model: Any) -> Any:
        """DeepSpeed clips as it steps."""
        if isinstance(self.optimizer, ZeroOptimizer):
            return self.optimizer.gradient_norm()
        return super()._clip_grad_norm(model)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        if grad_norm is None and isinstance(self.optimizer, ZeroOptimizer):
            grad_norm = self.optimizer.gradient_norm()
        return super()._get_grad_norm(model, grad_norm=grad_norm)
