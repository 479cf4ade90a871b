"""A batch of slices with the networks' features, each computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_gliocam.cams.methods.explained_layer import (
    COLUMN,
    MEAN_EXITS,
    ExplainedLayer,
    part_of,
    score_from,
)
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from napari_gliocam.nets.gliocam import GliocamNet


class Batch:
    """Slices and what the networks make of them, computed when it is first asked for.

    The networks are read stage by stage, so no hook is ever placed on them; parameters, their
    gradients and the mode of the networks stay as they are.

    Parameters
    ----------
    net : GliocamNet
        In evaluation mode: batch statistics would mix the slices.
    images : Tensor, (B, in_channels, H, W)
        On the network's device.
    brain : Tensor, (B, 1, H, W)
        1 in the brain, 0 in air.

    Raises
    ------
    ValueError
        If the network is in training mode.
    """

    def __init__(self, net: GliocamNet, images: Tensor, brain: Tensor) -> None:
        if any(module.training for module in (net.tumour, net.classes)):
            raise ValueError("the network is in training mode; call eval() on it first")
        self.net = net
        self.images = images
        self.brain = brain
        self._features: dict[str, list[Tensor]] = {}

    def __len__(self) -> int:
        return len(self.images)

    def one(self, index: int) -> Batch:
        """One slice of it, with the features that are there."""
        where = slice(index, index + 1)
        part = Batch(self.net, self.images[where], self.brain[where])
        part._features = {k: [f[where] for f in v] for k, v in self._features.items()}
        return part

    def activation(self, target: Target, layer: int) -> Tensor:
        """Output of a stage of the network that knows a target, (B, C_l, h_l, w_l), >= 0."""
        part, done = part_of(self.net, target), self._features.setdefault(COLUMN[target][0], [])
        with torch.no_grad():  # inference mode would bar the gradients at this layer
            while len(done) < layer:
                done.append(part.stages[len(done)](done[-1] if done else part.stem(self.images)))
        return done[layer - 1]

    def exit_logits(self, target: Target, exit_: int) -> Tensor:
        """Map of an exit for a target before the sigmoid, (B, h_l, w_l)."""
        activation = self.activation(target, exit_)
        with torch.no_grad():
            maps: Tensor = part_of(self.net, target).exits[exit_ - 1](activation)
        return maps[:, COLUMN[target][1]]

    def gradients(self, targets: tuple[Target, ...], explained: ExplainedLayer) -> list[Tensor]:
        """Gradient of each target's score by the layer, each (B, C_l, h_l, w_l).

        The score is summed over the batch: in evaluation mode no slice sees another, so one
        backward pass yields the gradients of all.  It begins at the score and ends at the
        layer; no stage before it takes part.
        """
        found: dict[Target, Tensor] = {}
        for name in ("tumour", "classes"):
            known = [t for t in dict.fromkeys(targets) if COLUMN[t][0] == name]
            if not known:
                continue
            leaf = self.activation(known[0], explained.layer).detach().requires_grad_()
            with torch.enable_grad():
                part = part_of(self.net, known[0])
                scores = score_from(part, leaf, self.brain, explained.layer, explained.exits)
                for target in known:
                    (found[target],) = torch.autograd.grad(
                        scores[:, COLUMN[target][1]].sum(), leaf, retain_graph=target != known[-1]
                    )
        return [found[target] for target in targets]

    def probabilities(self, target: Target) -> Tensor:
        """Image-level probability of a target as the bundle gives it, (B,)."""
        part, (_, column) = part_of(self.net, target), COLUMN[target]
        logits = torch.zeros(len(self), device=self.images.device)
        for number in MEAN_EXITS:
            activation = self.activation(target, number)
            with torch.no_grad():
                logits += score_from(part, activation, self.brain, number, (number,))[:, column]
        return (logits / len(MEAN_EXITS)).sigmoid()


def inside_of(brain: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels of a map that lie in the brain, (B, 1, H, W) -> bool (B, h, w).

    The same ones that `lse_pool` pools over.
    """
    pooled: Tensor = nn.functional.adaptive_avg_pool2d(brain, size)[:, 0]
    return pooled > 0.3
