"""The detectors by name, each imported when it is first asked for.

To add one: write a class with the methods of `mien.faces.detection.Detector` and put its place into `DETECTORS`.
"""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

from mien.errors import ConfigError
from mien.faces.detection import Detector
from mien.packages import installed

#: Name, as `--detector` takes it -> module and class.
DETECTORS: dict[str, tuple[str, str]] = {
    "mtcnn": ("mien.faces.mtcnn", "MTCNN"),
    "mtcnn-onnx": ("mien.faces.mtcnn_onnx", "PortableMTCNN"),
    "retinaface": ("mien.faces.retinaface", "RetinaFace"),
}

#: How images that are cut round a face are shown to each detector: by which share of its shorter side an image is
#: continued, and to how many pixels a smaller one is enlarged. docs/detectors.md tells how they were chosen.
CUT_FRAMES: dict[str, tuple[float, int]] = {"mtcnn": (0.25, 96), "mtcnn-onnx": (0.25, 96), "retinaface": (0.1, 128)}


def load_detector(name: str, device: str = "cpu", **options: Any) -> Detector:
    """Return a detector by name, on a device, with its own options.

    Where torch is not installed, `mtcnn` is the one that finds the same faces without it. Raises `ConfigError` for an
    unknown name or option and for a device that is not there.
    """
    if name == "mtcnn" and not installed("torch"):
        name = "mtcnn-onnx"
    if name not in DETECTORS:
        raise ConfigError(f"unknown detector `{name}`", hint=f"known: {', '.join(DETECTORS)}")
    module, kind = DETECTORS[name]
    maker = getattr(import_module(module), kind)
    known = [option for option in signature(maker).parameters if option != "device"]
    if unknown := options.keys() - set(known):
        raise ConfigError(f"`{name}` has no option `{min(unknown)}`", hint=f"known: {', '.join(known)}")
    try:
        return maker(device=device, **options)
    except (AssertionError, RuntimeError) as error:  # torch's, of a device that it does not know or does not find
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"cannot use the device `{device}`: {reason}", hint="for example `cpu` or `cuda`") from None
