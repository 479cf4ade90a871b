"""Stage 2: a multi-exit classifier from image-level labels (papers 1 and 2, Eq. 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from napari_gliocam.nets.multi_exit import MultiExitResNet, pool
from napari_gliocam.targets import TARGETS
from napari_gliocam.train.data.batches import SliceBatch
from napari_gliocam.train.recipe.fields import Classifier
from napari_gliocam.train.stages.auc import Auc
from napari_gliocam.train.stages.losses import classifier_loss
from napari_gliocam.train.stages.stage import Stage, Terms


class ClassifierStage(Stage):
    """A backbone and its four exits learn what a slice shows.

    Parameters
    ----------
    network : MultiExitResNet
    columns : sequence of int
        Which labels it learns: (0,) tumour, (1, 2) core and edema.
    recipe : Classifier
    pooling : {"lse", "gap"}
    """

    batch_type = SliceBatch

    def __init__(
        self,
        network: MultiExitResNet,
        columns: Sequence[int],
        recipe: Classifier,
        pooling: str = "lse",
    ) -> None:
        super().__init__(recipe.fit)
        self.recipe, self.columns, self.pooling = recipe, list(columns), pooling
        self.network = network.requires_grad_(True)
        self.auc = Auc()

    def train(self, mode: bool = True) -> ClassifierStage:
        """Frozen norms stay as in use, whatever the rest does."""
        super().train(mode)
        if self.recipe.freeze_norm:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def terms(self, batch: SliceBatch) -> Terms:
        """Eq. 2."""
        images = batch.images.contiguous(memory_format=torch.channels_last)
        brain = (batch.images != 0).any(dim=1, keepdim=True).float()
        labels = batch.labels[:, self.columns]
        logits = [pool(m.float(), brain, self.pooling) for m in self.network(images)]
        if not self.training:  # as a bundle judges slices: the mean over exits 2 to 4
            self.auc.update(torch.stack(logits[1:]).mean(dim=0), labels)
        recipe = self.recipe
        return {"exits": classifier_loss(logits, labels, recipe.exit_weights, recipe.loss)}

    def on_validation_epoch_end(self) -> None:
        """Log the AUC of each class, and their mean over the classes that are decided."""
        values = self.auc.compute().reshape(-1)  # torchmetrics squeezes one class
        self.auc.reset()
        known = torch.isfinite(values)
        each = {
            f"val_auc_{TARGETS[column]}": value
            for column, value, there in zip(self.columns, values, known, strict=True)
            if there
        }
        mean = values[known].mean() if known.any() else values.new_tensor(0.5)
        self.log_dict({"val_auc": mean, **each})
