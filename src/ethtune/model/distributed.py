"""TRL's trainer as one of several processes: its share of the rows, its part of the model."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader
from trl import SFTTrainer

from ethtune.core.ranks import rank
from ethtune.model.sharding import is_sharded, with_averaged_gradients
from ethtune.model.sharing import own_share, shared_order


class DistributedTrainer(SFTTrainer):  # type: ignore[misc]  # trl ships no types
    """Alone it is TRL's own. The datasets of several processes end with a blank row."""

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
        if not training or not is_sharded(self.model) or model is not self.model:
            return super()._wrap_model(model, training)
        prepare = self.accelerator.prepare_model
        return with_averaged_gradients(prepare(model, device_placement=False, evaluation_mode=True))
