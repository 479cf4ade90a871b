"""What Lightning is given: training and validation batches of a stage."""

from __future__ import annotations

from lightning import LightningDataModule

from napari_gliocam.train.data.batches import Batched, BatchLoader
from napari_gliocam.train.recipe.fields import Fit


class StageData(LightningDataModule):
    """The two data sets of a stage as batches; remembers where training stands.

    Parameters
    ----------
    train, validation : Batched
        Such as `napari_gliocam.train.data.batches.SliceDataset`; the second may be empty.
    fit : Fit
    seed : int
        Of the order.
    workers : int
        Loading processes a device.
    """

    def __init__(
        self, train: Batched, validation: Batched, fit: Fit, *, seed: int = 0, workers: int = 0
    ) -> None:
        super().__init__()
        self.train, self.validation, self.fit = train, validation, fit
        self.seed, self.workers = seed, workers
        self._loader: BatchLoader | None = None
        self._position = 0

    def train_dataloader(self) -> BatchLoader:
        """A new order every epoch."""
        self._loader = self._make(self.train, training=True, position=self._position)
        return self._loader

    def val_dataloader(self) -> BatchLoader:
        """In order."""
        return self._make(self.validation, training=False)

    def state_dict(self) -> dict[str, int]:
        """Goes into the checkpoint."""
        return {"position": self._loader.position if self._loader else self._position}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Comes from the checkpoint, before the loaders are made."""
        self._position = state_dict["position"]

    def _make(self, data: Batched, *, training: bool, position: int = 0) -> BatchLoader:
        trainer = self.trainer
        return BatchLoader(
            data,
            self.fit.batch,
            self.seed,
            training=training,
            rank=trainer.global_rank if trainer else 0,
            world=trainer.world_size if trainer else 1,
            workers=self.workers,
            position=position,
        )
