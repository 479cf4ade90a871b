"""All networks of a bundle as one: slices in, every map out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from napari_gliocam.errors import GliocamError
from napari_gliocam.nets.aggregator import (
    exit_maps,
    guide,
    make_attention,
    seen_by_attention,
    share,
    shrink,
    stretch,
    weigh,
)
from napari_gliocam.nets.design import Design
from napari_gliocam.nets.multi_exit import EXITS, MultiExitNet, pool
from napari_gliocam.targets import TARGETS, Target


class Maps(NamedTuple):
    """Maps of a batch of slices, of T targets: tumour, core and edema, or the tumour alone.

    Parameters
    ----------
    aggregates : Tensor, (B, T, H, W)
        Of each target, in [0, 1].
    guided : Tensor, (B, T - 1, H, W)
        Mean over the exits of the guided class maps, core and edema, in [0, 1].
    exits : list of 4 Tensor, each (B, T, h_l, w_l)
        Maps of each target at native resolution, in [0, 1].
    logits : Tensor, (B, T)
        Image-level logits of each target: mean over the design's ``image_exits``.
    attention : Tensor, (B, 4, T, h, w)
        Weight of each exit in the aggregates, at the resolution of the attention networks; sums
        to 1 over the exits.
    """

    aggregates: Tensor
    guided: Tensor
    exits: list[Tensor]
    logits: Tensor
    attention: Tensor


class GliocamNet(nn.Module):
    """Tumour network, class network and their attention aggregators (papers 1 and 2).

    Networks that know the tumour alone have neither class network nor class attention.

    Parameters
    ----------
    in_channels : int
        Modalities.
    polarity : mapping of target to 4 int, optional
        1 where the exit's high values mean lesion, -1 where it was learned the other way round.
        Every map is turned to "high = lesion" as it leaves its exit; the image-level logits come
        from the exits as they were learned.
    **choices
        The fields of `napari_gliocam.nets.design.Design`.

    Raises
    ------
    ValueError
        If a choice is unknown or does not go with another.
    """

    signs: Tensor

    def __init__(
        self,
        in_channels: int = 3,
        *,
        polarity: Mapping[Target, Sequence[int]] | None = None,
        **choices: Any,
    ) -> None:
        super().__init__()
        self.design = design = Design(**choices)
        self.in_channels = in_channels

        def network(outputs: int) -> MultiExitNet:
            return MultiExitNet(
                in_channels,
                outputs,
                design.width,
                design.strides,
                design.norm,
                design.backbone,
                design.exits,
            )

        classes = len(design.targets) - 1
        self.tumour = network(1)
        self.classes = network(classes) if classes else None
        self.tumour_attention = make_attention(design.attention, 1, in_channels)
        self.class_attention = (
            make_attention(design.attention, classes, in_channels) if classes else None
        )
        self.register_buffer("signs", torch.ones(EXITS, len(design.targets)), persistent=False)
        if polarity is not None:
            self.set_polarity(polarity)

    @classmethod
    def of(
        cls,
        in_channels: int,
        design: Design,
        polarity: Mapping[Target, Sequence[int]] | None = None,
    ) -> GliocamNet:
        """Return networks of a design, with random weights."""
        return cls(in_channels, **asdict(design), polarity=polarity)

    def on(self, device: torch.device) -> GliocamNet:
        """Move the networks to a device, laid out as its 2-D convolutions are fastest there.

        The 3-D convolutions of the attention "conv3d" know no such layout and keep theirs.
        """
        for module in self.to(device).modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)
        return self

    def set_polarity(self, polarity: Mapping[Target, Sequence[int]]) -> None:
        """Set which exits were learned the other way round, see the class."""
        for target in self.design.targets:
            signs = polarity.get(target, [1] * EXITS)
            if len(signs) != EXITS or any(sign not in (1, -1) for sign in signs):
                raise ValueError(f"polarity of {target} must be four of 1 and -1, not {signs}")
            self.signs[:, TARGETS.index(target)] = torch.tensor(signs, dtype=torch.float32)

    def forward(self, images: Tensor, brain: Tensor) -> Maps:
        """Return all maps of a batch.

        Parameters
        ----------
        images : Tensor, (B, in_channels, H, W)
            Normalised slices, a channel for each modality.
        brain : Tensor, (B, 1, H, W)
            1 in the brain, 0 in air.
        """
        learned = self.exits(images)
        logits = self.image_logits([learned[e - 1] for e in self.design.image_exits], brain)
        exits = self.turned(learned)
        aggregates, guided, attention = self.weighed(images, [e.float() for e in exits], brain)
        return Maps(aggregates, guided, [self.unit(e, brain) for e in exits], logits, attention)

    @property
    def networks(self) -> tuple[MultiExitNet, ...]:
        """The network of the tumour, and that of the classes where there is one."""
        return (self.tumour,) if self.classes is None else (self.tumour, self.classes)

    @property
    def attentions(self) -> tuple[nn.Module, ...]:
        """The attention over the exits of each of `networks`."""
        every = (self.tumour_attention, self.class_attention)
        return tuple(attention for attention in every if attention is not None)

    def network_of(self, target: Target) -> MultiExitNet:
        """Return the network that knows a target; `GliocamError` where none does."""
        if target not in self.design.targets:
            raise GliocamError(f"These networks know the tumour alone, not {target}.")
        return self.networks[target != "tumour"]

    def exits(self, images: Tensor) -> list[Tensor]:
        """Return logits of each target of each exit as learned, (B, T, h_l, w_l)."""
        every = (network(images) for network in self.networks)
        return [torch.cat(maps, dim=1) for maps in zip(*every, strict=True)]

    def turned(self, exits: list[Tensor]) -> list[Tensor]:
        """Return exits in positive polarity, high means lesion, from 4 (B, T, h_l, w_l)."""
        return [e * s.to(e)[:, None, None] for e, s in zip(exits, self.signs, strict=True)]

    def pool(self, logits: Tensor, brain: Tensor) -> Tensor:
        """Return the image-level logits of one exit's map as learned, (B, C, h, w) -> (B, C)."""
        return pool(logits.float(), brain, self.design.pooling)

    def image_logits(self, exits: Sequence[Tensor], brain: Tensor) -> Tensor:
        """Return the image-level logits (B, C) from its exits as learned, (B, C, h_l, w_l)."""
        return torch.stack([self.pool(e, brain) for e in exits]).mean(dim=0)

    def unit(self, logits: Tensor, brain: Tensor) -> Tensor:
        """Return one turned exit's maps in [0, 1] at their own resolution, (B, C, h_l, w_l)."""
        if self.design.map_range == "sigmoid":
            return logits.sigmoid()
        height, width = logits.shape[-2:]
        inside = nn.functional.adaptive_avg_pool2d(brain, (height, width))
        return stretch(logits.float(), inside)

    def enlarged(self, exits: list[Tensor], brain: Tensor) -> Tensor:
        """Return maps in [0, 1] of all turned exits on the network grid, (B, 4, C, H, W)."""
        return self._in_range(exit_maps(exits, brain, self.design.map_range), brain)

    @staticmethod
    def mean_with_exits(aggregate: Tensor, exits: Tensor) -> Tensor:
        """Return AME-CAM's final map (paper 2, end of section 2): the mean of aggregate and exits.

        Parameters
        ----------
        aggregate : Tensor, (B, C, H, W)
            Aggregated maps.
        exits : Tensor, (B, 4, C, H, W)
            From `enlarged`.
        """
        return (aggregate + exits.sum(dim=1)) / (EXITS + 1)

    def aggregate(
        self, images: Tensor, exits: list[Tensor], brain: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return aggregates (B, T, H, W) and mean guided maps (B, T - 1, H, W) from the exits.

        The logits are those of `turned`.
        """
        aggregates, guided, _ = self.weighed(images, exits, brain)
        return aggregates, guided

    def weighed(
        self, images: Tensor, exits: list[Tensor], brain: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return them as `aggregate` does, with the weights of the exits, (B, 4, T, h, w)."""
        map_range = self.design.map_range
        raw = map_range == "raw"
        maps = exit_maps(exits, brain, map_range)
        small, small_images, small_brain = (
            shrink(x, self.design.attention_stride) for x in (maps, images, brain)
        )
        tumour_maps = maps[:, :, :1]
        attention = self.tumour_attention(
            small_images, seen_by_attention(small[:, :, :1], small_brain, map_range)
        )
        tumour = weigh(attention, tumour_maps)
        small_tumour = (attention * small[:, :, :1]).sum(dim=1)
        if raw:
            tumour, small_tumour = stretch(tumour, brain), stretch(small_tumour, small_brain)
        final = tumour
        if self.design.final_map == "mean":
            final = self.mean_with_exits(tumour, self._in_range(tumour_maps, brain))
        if self.class_attention is None:
            return final, final[:, :0], attention
        guided = guide(maps[:, :, 1:], tumour, self.design.guidance) * brain[:, None]
        small_guided = guide(small[:, :, 1:], small_tumour, self.design.guidance)
        weights = self.class_attention(
            small_images, seen_by_attention(small_guided, small_brain, map_range)
        )
        classes = weigh(weights, guided)
        if raw:
            classes, guided = stretch(classes, brain), stretch(guided, brain[:, None])
        if self.design.sharing:
            classes = share(classes, final)
        if self.design.times_tumour:
            classes = classes * final
        aggregates = torch.cat([final, classes], dim=1)
        return aggregates, guided.mean(dim=1), torch.cat([attention, weights], dim=2)

    def _in_range(self, maps: Tensor, brain: Tensor) -> Tensor:
        return stretch(maps, brain[:, None]) if self.design.map_range == "raw" else maps
