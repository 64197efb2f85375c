"""The detectors by name, each imported when it is first asked for.

To add one: write a class with the methods of `mien.faces.detection.Detector` and put its place into `DETECTORS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mien.errors import ConfigError
from mien.faces.detection import Detector

#: Name, as `--detector` takes it -> module and class.
DETECTORS: dict[str, tuple[str, str]] = {"mtcnn": ("mien.faces.mtcnn", "MTCNN")}


def load_detector(name: str, device: str = "cpu", **options: Any) -> Detector:
    """Return a detector by name, on a device, with its own options; `ConfigError` for an unknown name."""
    if name not in DETECTORS:
        raise ConfigError(f"unknown detector `{name}`", hint=f"known: {', '.join(DETECTORS)}")
    module, kind = DETECTORS[name]
    return getattr(import_module(module), kind)(device=device, **options)
