"""Stage 1: contrastive pre-training of a backbone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from napari_gliocam.nets.multi_exit import MultiExitResNet
from napari_gliocam.train.data.batches import SliceBatch
from napari_gliocam.train.recipe.fields import Pretrain
from napari_gliocam.train.run.distributed import gather_rows
from napari_gliocam.train.stages.contrastive import contrastive_loss
from napari_gliocam.train.stages.stage import Stage, Terms


class PretrainStage(Stage):
    """A backbone learns to tell two views of a slice, and slices of a kind, from the others.

    Parameters
    ----------
    network : MultiExitResNet
        Its exits take no part.
    columns : sequence of int
        Which labels count: (0,) tumour, (1, 2) core and edema.
    recipe : Pretrain
    """

    batch_type = SliceBatch

    def __init__(self, network: MultiExitResNet, columns: Sequence[int], recipe: Pretrain) -> None:
        super().__init__(recipe.fit)
        self.recipe, self.columns = recipe, list(columns)
        self.network = network
        network.exits.requires_grad_(False)
        width = network.exits[-1].in_channels
        assert isinstance(width, int)
        self.head = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(width, recipe.projection),
        )

    def terms(self, batch: SliceBatch) -> Terms:
        """The contrast of all views."""
        assert isinstance(self.network, MultiExitResNet)
        vectors: Tensor = self.head(self.network.features(batch.images)[-1].mean(dim=(2, 3)))
        labels = gather_rows(batch.labels[:, self.columns])
        vectors = gather_rows(vectors, views=len(vectors) // len(batch.labels))
        recipe = self.recipe
        return {"contrast": contrastive_loss(recipe.loss, vectors, labels, recipe.temperature)}
