"""A batch of slices with the networks' features, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_gliocam.cams.methods.explained_layer import COLUMN, ExplainedLayer
from napari_gliocam.errors import GliocamError
from napari_gliocam.nets.multi_exit import EXITS
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from napari_gliocam.nets.gliocam import GliocamNet
    from napari_gliocam.nets.multi_exit import MultiExitNet


class Batch:
    """Slices, and the networks' features on them, computed when they are first needed.

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
    segment : callable, optional
        Returns the maps of the bundle's segmentation network of these slices, (B, 3, H, W).

    Raises
    ------
    ValueError
        If the network is in training mode.
    """

    def __init__(
        self,
        net: GliocamNet,
        images: Tensor,
        brain: Tensor,
        segment: Callable[[], Tensor] | None = None,
    ) -> None:
        if any(network.training for network in net.networks):
            raise ValueError("the network is in training mode; call eval() on it first")
        self.net = net
        self.images = images
        self.brain = brain
        self._segment = segment
        self._features: dict[MultiExitNet, list[Tensor]] = {}

    def __len__(self) -> int:
        return len(self.images)

    def one(self, index: int) -> Batch:
        """Return one slice, with its features as far as they are computed."""
        where = slice(index, index + 1)
        segment = None if self._segment is None else lambda: self.segmented()[where]
        part = Batch(self.net, self.images[where], self.brain[where], segment)
        part._features = {k: [f[where] for f in v] for k, v in self._features.items()}
        return part

    def activation(self, target: Target, layer: int) -> Tensor:
        """Return the output of a stage of a target's network, (B, C_l, h_l, w_l), 0 or more."""
        network = self.net.network_of(target)
        done = self._features.setdefault(network, [])
        with torch.no_grad():  # inference mode would bar the gradients at this layer
            while len(done) < layer:
                before = done[-1] if done else network.stem(self.images)
                done.append(network.stages[len(done)](before))
        return done[layer - 1]

    def learned(self, target: Target, exit_: int) -> Tensor:
        """Return an exit's logits for a target as learned, (B, 1, h_l, w_l)."""
        exit_ = self.net.network_of(target).exit_of(exit_)
        activation, column = self.activation(target, exit_), COLUMN[target]
        with torch.no_grad():
            (maps,) = self.net.network_of(target).exits_after(exit_, activation, (exit_,))
        return maps[:, column : column + 1]

    def turned(self, target: Target) -> list[Tensor]:
        """Return the logits of the four exits in positive polarity, each (B, 1, h_l, w_l)."""
        return [self._sign(target, e) * self.learned(target, e) for e in range(1, EXITS + 1)]

    def exit_map(self, target: Target, exit_: int) -> Tensor:
        """Return an exit's map in [0, 1] as `GliocamNet.forward` does, (B, h_l, w_l)."""
        logits = self._sign(target, exit_) * self.learned(target, exit_)
        with torch.no_grad():
            return self.net.unit(logits, self.brain)[:, 0]

    def aggregates(self) -> Tensor:
        """Return the networks' aggregates of each of their targets, (B, T, H, W)."""
        every = map(self.turned, self.net.design.targets)
        exits = [torch.cat(maps, dim=1) for maps in zip(*every, strict=True)]
        with torch.no_grad():
            return self.net.aggregate(self.images, exits, self.brain)[0]

    def segmented(self) -> Tensor:
        """Return the segmentation network's maps of tumour, core, edema, (B, 3, H, W).

        Raises
        ------
        GliocamError
            If the slices are not those of a case that a bundle with such a network looks at.
        """
        if self._segment is None:
            raise GliocamError(
                "The segmentation network sees the slices of a case as they are; leave it out."
            )
        return self._segment()

    def scores(
        self, target: Target, activation: Tensor, layer: int, exits: Sequence[int]
    ) -> Tensor:
        """Return image-level logits of a target's network from the output of a layer.

        Parameters
        ----------
        target : Target
            Tumour, core or edema.
        activation : Tensor, (B, C_l, h_l, w_l)
            Output of stage ``layer``; images, (B, in_channels, H, W), for layer 0.
        layer : int
            Stage of the network, 1 to 4.
        exits : sequence of int
            The score is the mean of their logits; those before ``layer`` do not depend on the
            activation and are left out of the sum, not of the number that divides it.

        Returns
        -------
        Tensor, (B, 1 or 2)
            As the networks learned them: high where the slice shows the class.
        """
        maps = self.net.network_of(target).exits_after(layer, activation, exits)
        pooled = [self.net.pool(logits, self.brain) for logits in maps]
        return torch.stack(pooled).sum(dim=0) / len(exits)

    def gradients(self, targets: tuple[Target, ...], explained: ExplainedLayer) -> list[Tensor]:
        """Return the gradient of each target's score by the layer, each (B, C_l, h_l, w_l).

        The score is the networks' own, with their pooling; an exit that was learned the other way
        round counts with its polarity, so that a positive gradient speaks for lesion.  It is
        summed over the batch: in evaluation mode no slice sees another, so one backward pass
        yields the gradients of all.  No stage before the layer takes part.
        """
        found: dict[Target, Tensor] = {}
        for network in self.net.networks:
            known = [t for t in dict.fromkeys(targets) if self.net.network_of(t) is network]
            if not known:
                continue
            leaf = self.activation(known[0], explained.layer).detach().requires_grad_()
            every = [network.exit_of(e) for e in explained.exits]
            exits = [e for e in every if e >= explained.layer]
            with torch.enable_grad():
                maps = network.exits_after(explained.layer, leaf, exits)
                pooled = [self.net.pool(logits, self.brain) for logits in maps]
                for target in known:
                    signs = torch.stack([self._sign(target, e) for e in exits])
                    logits = torch.stack([p[:, COLUMN[target]].sum() for p in pooled])
                    score = (signs * logits).sum()
                    (found[target],) = torch.autograd.grad(
                        score / len(explained.exits), leaf, retain_graph=target != known[-1]
                    )
        return [found[target] for target in targets]

    def probabilities(self, target: Target) -> Tensor:
        """Return the image-level probability of a target as `GliocamNet.forward` does, (B,)."""
        exits = [self.learned(target, e) for e in self.net.design.image_exits]
        with torch.no_grad():
            return self.net.image_logits(exits, self.brain)[:, 0].sigmoid()

    def _sign(self, target: Target, exit_: int) -> Tensor:
        """Return 1, or -1 for an exit that was learned the other way round."""
        return self.net.signs[exit_ - 1, self.net.design.targets.index(target)]


def inside_of(brain: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the pixels of a map that lie in the brain, (B, 1, H, W) -> bool (B, h, w).

    The same ones that `lse_pool` pools over.
    """
    pooled: Tensor = nn.functional.adaptive_avg_pool2d(brain, size)[:, 0]
    return pooled > 0.3
