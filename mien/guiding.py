"""Guides: frozen classifiers that tell a generator, beside its own critic, which expression its edits show.

A critic learns to name expressions while it learns to tell edits from photos. A classifier that has learned nothing else,
at leisure, knows the rare expressions better: its verdict is a second loss of classification, which no critic's mood sways.
What guided a model must not judge it: so the run's configuration and the exported JSON name every guide by its hash, and
the benchmark says where a judge was one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import ConfigError
from mien.images import fit_images, luma_weights
from mien.methods.base import GuideLogits
from mien.settings import require


@dataclass(frozen=True, eq=False)
class Guide:
    """A frozen classifier; made by `mien.classifiers.load_guide`."""

    name: str
    """Where it comes from, for people."""
    sha256: str
    """Of its tensors in half precision: `mien.classifiers.Classifier.fingerprint`."""
    network: nn.Module
    """In evaluation mode, without gradients of its own; logits of images."""
    expressions: tuple[str, ...]
    """Its classes, in order."""
    image_size: int
    """Side of the images that it takes."""
    image_channels: int
    """1 for grey, 3 for RGB."""

    @property
    def facts(self) -> dict[str, str]:
        """Return what a run notes of it."""
        return {"name": self.name, "sha256": self.sha256}

    def logits(self, expressions: Sequence[str], device: torch.device) -> GuideLogits:
        """Return what gives images' logits over these expressions, on a device; gradients go through to the images.

        Raises `ConfigError` for an expression that it does not know.
        """
        if unknown := [name for name in expressions if name not in self.expressions]:
            raise ConfigError(
                f"guide `{self.name}` does not know {', '.join(unknown)}",
                hint="train one on a set with these labels (`mien train-judge`), or leave `--guide` out",
            )
        network = self.network.to(device)
        order = torch.tensor([self.expressions.index(name) for name in expressions], device=device)
        luma = luma_weights(device)  # brought there once: inside a step it would make the host wait

        def see(images: Tensor) -> Tensor:
            fitting = fit_images(images, self.image_size, self.image_channels, luma)
            return network(fitting.contiguous(memory_format=torch.channels_last)).index_select(1, order)

        return see


def check_guides(guides: Sequence[Guide], config: Any) -> None:
    """Raise `ConfigError` where guides are given whose loss has no weight, or one of them twice."""
    if not guides:
        return
    require(config.lambda_guide > 0, "lambda_guide", config.lambda_guide, "above 0 where guides are given")
    if len({guide.sha256 for guide in guides}) < len(guides):
        raise ConfigError("the same guide was given twice", hint="give guides that differ")
