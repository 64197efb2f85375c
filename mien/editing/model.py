"""What the editor asks of a model, so that it need not know whether torch or onnxruntime does the work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from mien.spaces import Space


class ExpressionModel(Protocol):
    """What the editor asks of a model; arrays are float32."""

    @property
    def name(self) -> str:
        """Name of the file or run."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        ...

    @property
    def description(self) -> Mapping[str, Any]:
        """What is known of where the weights come from."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the crops that the model takes, in pixels."""
        ...

    @property
    def image_channels(self) -> int:
        """1 for a model of grey images, 3 for RGB."""
        ...

    @property
    def space(self) -> Space:
        """The conditional space: which codes there are and what they mean."""
        ...

    def render(self, images: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return an edit's maps for images (n, c, h, w) in [-1, 1] and codes (n, s), in the order of `EditMaps`.

        Displacement (n, 2, h, w), delta (n, c, h, w) and, where the model wipes detail away, wipe (n, 1, h, w).
        """
        ...

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability of each expression (n, k) and the place in the space (n, s) of each image."""
        ...
