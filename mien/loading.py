"""Open any model, wherever it lies and whatever runs it: torch or, for ONNX files, onnxruntime.

    None, "ganmut-mixed-128"    a model that ships with the package
    "runs/mine"                 a run folder of `mien train`
    "mine.safetensors"          what `mien export` wrote, with its JSON beside it
    "mine.onnx"                 what `mien export --to onnx` wrote: runs without torch
    "models/mine"               a folder that `mien pull` or `mien push` wrote
    "hf://user/name"            a repository on the Hugging Face hub; `@revision` may follow
    "official-ganmut:G.ckpt"    a checkpoint of GANmut's own code, and `official-stargan:` of StarGAN's (docs/official.md)

Where torch is not installed, models that ship and folders are opened by their ONNX file, if they have one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mien.editing import Editor
from mien.editing.model import ExpressionModel
from mien.errors import WeightsError
from mien.hub import SCHEME, fetch
from mien.packages import installed
from mien.portable import PortableModel, load_portable
from mien.shipped import DEFAULT, FOLDER_PORTABLE, WEIGHTS, shipped


def load(model: str | Path | None = None, *, device: str = "cpu", **options: Any) -> Editor:
    """Return an editor for a model; `options` go to `Editor`: `detector`, and the detector's own."""
    found = open_model(model, device)
    if isinstance(found, PortableModel) and options.get("detector", "mtcnn") == "mtcnn":
        options["detector"] = (
            "mtcnn-onnx"  # finds the same, and where torch is installed, no seconds go into importing it
        )
    return Editor(found, device=device, **options)


def open_model(source: str | Path | None = None, device: str = "cpu") -> ExpressionModel:
    """Return a model on a device; the places that it may lie in are listed at the top of this file.

    Raises `WeightsError` where there is none, or nothing that is installed can run it.
    """
    if str(source).startswith(SCHEME):
        source = fetch(str(source))
    if re.match(r"official-\w+:", str(source)):
        return _open_official(str(source), device)
    if source is not None and Path(source).suffix == ".onnx":
        _require_onnx(source)
        return load_portable(source, device)
    if not installed("torch"):
        return load_portable(_twin(source), device)
    from mien.pretrained import load_model

    return load_model(source).to(device)


def _open_official(specification: str, device: str) -> ExpressionModel:
    if not installed("torch"):
        raise WeightsError(
            "official checkpoints need torch, which is not installed", hint="`pip install 'mien[torch]'`"
        )
    from mien.official import load_official

    return load_official(specification, device)


def _twin(source: str | Path | None) -> Path:
    """Return the ONNX file that stands for a model of torch's where there is no torch."""
    name = DEFAULT if source is None else str(source)
    path = WEIGHTS / f"{name}.onnx" if name in shipped() else Path(name) / FOLDER_PORTABLE
    if path.is_file():
        _require_onnx(name)
        return path
    if name not in shipped() and not Path(name).exists():
        raise WeightsError(
            f"no model `{name}`",
            hint=f"give an .onnx file, a folder of `mien pull`, or one of: {', '.join(shipped()) or 'none shipped'}",
        )
    raise WeightsError(
        f"`{name}` needs torch, which is not installed",
        hint="`pip install 'mien[torch]'`, or give an .onnx file: `mien export --to onnx`, where torch is, writes one",
    )


def _require_onnx(source: str | Path) -> None:
    """Say in one line what is missing, instead of the name of one package of several."""
    if not (installed("onnxruntime") and installed("onnx")):
        light = "`pip install 'mien[onnx]'`"
        raise WeightsError(
            f"to run `{source}`, onnx and onnxruntime are needed",
            hint=light
            if installed("torch")
            else f"{light} (the light way), or with torch: `pip install 'mien[torch]'`",
        )
