"""Stage 2: a multi-exit classifier from image-level labels (papers 1 and 2, Eq. 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import CatMetric

from napari_gliocam.measure.scores.image_level import auc
from napari_gliocam.nets.design import Design
from napari_gliocam.nets.multi_exit import MultiExitNet, pool
from napari_gliocam.targets import TARGETS
from napari_gliocam.train.data.batches import SliceBatch, SoftBatch
from napari_gliocam.train.recipe.stages import Classifier
from napari_gliocam.train.stages.losses import classifier_loss, soft_map_loss
from napari_gliocam.train.stages.stage import Stage, Terms


class ClassifierStage(Stage):
    """A backbone and its four exits that learn the image-level labels of slices, and soft maps.

    Parameters
    ----------
    network : MultiExitNet
        The backbone with its exits.
    columns : sequence of int
        Columns of the labels that it learns: (0,) tumour, (1, 2) core and edema.
    recipe : Classifier
        Loss, weights of the exits, frozen norms.
    design : Design, optional
        That of the networks, for the way from maps to image-level logits.
    """

    def __init__(
        self,
        network: MultiExitNet,
        columns: Sequence[int],
        recipe: Classifier,
        design: Design | None = None,
    ) -> None:
        super().__init__(recipe.fit)
        self.batch_type = SoftBatch if recipe.weight_maps else SliceBatch
        self.recipe, self.columns, self.design = recipe, list(columns), design or Design()
        self.network = network.requires_grad_(True)
        self.scores, self.shown = CatMetric("disable"), CatMetric("disable")

    def train(self, mode: bool = True) -> ClassifierStage:
        """Set the mode of all modules but frozen norms, which stay in evaluation mode."""
        super().train(mode)
        if self.recipe.norm == "frozen":
            for module in self._norms():
                module.eval()
        return self

    def terms(self, batch: SliceBatch | SoftBatch) -> Terms:
        """Return the classification loss over all exits (paper 1, Eq. 2), and that of soft maps."""
        images = batch.images.contiguous(memory_format=torch.channels_last)
        brain = (batch.images != 0).any(dim=1, keepdim=True).float()
        labels = batch.labels[:, self.columns]
        exits = [m.float() for m in self._exits(images, batch.case < 0)]
        logits = [pool(m, brain, self.design.pooling) for m in exits]
        if not self.training:  # as a bundle judges slices
            judged = torch.stack([logits[e - 1] for e in self.design.image_exits])
            self.scores.update(judged.mean(dim=0).float())
            self.shown.update(labels)
        recipe = self.recipe
        terms = {"exits": classifier_loss(logits, labels, recipe.exit_weights, recipe.loss)}
        if isinstance(batch, SoftBatch):
            maps = batch.maps[:, self.columns]
            terms["maps"] = recipe.weight_maps * soft_map_loss(exits, maps, brain)
        return terms

    def _exits(self, images: Tensor, synthetic: Tensor) -> list[Tensor]:
        """Return the exits of a batch, real and synthetic slices normalised apart if asked."""
        several = bool(synthetic.any()) and not bool(synthetic.all())
        if self.recipe.norm != "apart" or not self.training or not several:
            return self.network(images)  # type: ignore[no-any-return]
        norms = [(module, module.momentum) for module in self._norms()]
        real = self.network(images[~synthetic])
        try:
            for module, _ in norms:
                module.momentum = 0.0  # the statistics that are kept are those of real slices
            drawn = self.network(images[synthetic])
        finally:
            for module, momentum in norms:
                module.momentum = momentum
        order = torch.argsort(torch.cat([(~synthetic).nonzero(), synthetic.nonzero()])[:, 0])
        return [torch.cat(pair)[order] for pair in zip(real, drawn, strict=True)]

    def _norms(self) -> Iterator[nn.BatchNorm2d]:
        return (m for m in self.network.modules() if isinstance(m, nn.BatchNorm2d))

    def on_validation_epoch_end(self) -> None:
        """Log the AUC of each class, and their mean over the classes for which it is defined."""
        scores, shown = (
            m.compute().reshape(-1, len(self.columns)).cpu().numpy()
            for m in (self.scores, self.shown)
        )
        self.scores.reset()
        self.shown.reset()
        areas = {
            f"val_auc_{TARGETS[column]}": auc(scores[:, k], shown[:, k] > 0)
            for k, column in enumerate(self.columns)
        }
        known = {key: area for key, area in areas.items() if area is not None}
        mean = sum(known.values()) / len(known) if known else 0.5
        self.log_dict({"val_auc": mean, **known})
