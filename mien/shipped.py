"""Where models lie and what their files are called: those that ship with the package, and a hub's folders.

Needs no torch, so that a model can be found before it is known what will run it.
"""

from __future__ import annotations

import json
from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
#: What `mien.load()` gives.
DEFAULT = "ganmut-mixed-128"

#: A model as a folder, laid out and named as huggingface_hub's mixin has it.
FOLDER_WEIGHTS, FOLDER_CONFIG, FOLDER_CARD = "model.safetensors", "config.json", "README.md"
#: The same model for onnxruntime, where the folder has it.
FOLDER_PORTABLE = "model.onnx"


def shipped() -> list[str]:
    """Return the names of the models that ship with the package."""
    return sorted(
        path.stem for path in WEIGHTS.glob("*.json") if "method" in json.loads(path.read_text(encoding="utf-8"))
    )


def shipped_judges() -> list[str]:
    """Return the names of the expression classifiers that ship with the package."""
    return sorted(
        path.stem for path in WEIGHTS.glob("*.json") if "classifier" in json.loads(path.read_text(encoding="utf-8"))
    )
