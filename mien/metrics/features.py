"""What measures on a judge's features ask of them before anything is computed."""

from __future__ import annotations

import numpy as np

from mien.errors import ConfigError


def checked_features(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, d) and (m, d) as float64; a `ConfigError` where they are not of the same kind."""
    real, generated = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ConfigError(
            f"features of shapes {real.shape} and {generated.shape} cannot be compared",
            hint="describe real and edited images with the same layer of the same judge",
        )
    return real, generated


def checked_labels(
    real_labels: np.ndarray, generated_labels: np.ndarray, real: np.ndarray, generated: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (n,) and (m,) as arrays; a `ConfigError` where they are not as many as the images."""
    real_labels, generated_labels = np.asarray(real_labels), np.asarray(generated_labels)
    if (len(real_labels), len(generated_labels)) != (len(real), len(generated)):
        raise ConfigError(
            f"features and labels do not belong together: {len(real_labels)} and {len(generated_labels)} labels of "
            f"{len(real)} and {len(generated)} images",
            hint="give one label for every image",
        )
    return real_labels, generated_labels
