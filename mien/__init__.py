"""mien: edit, learn and measure facial expressions.

    editor = mien.load()                                    # the model that ships; or a run folder, .safetensors, .onnx
    photo = mien.read_photo("portrait.jpg")
    face = editor.find(photo)[0]                            # slow: detect and align, once
    smile = mien.Condition.named("happy", 0.8)              # or .blend, .polar, .of_halves, .parse
    pixels = editor.paste(photo, editor.render(face, [smile]))
    mien.write_photo("out.jpg", pixels, like=photo, mark=editor.mark(str(smile)))  # the mark: edited by AI

The package is listed in the order of the data: `datasets` are read, `faces` found and aligned, `prepared` sets written;
`networks` and `losses` serve `methods`, one paper per file; `batches`, `runs` and `training` train them, from `presets`;
`pretrained` models are loaded into the `editing.Editor`, which `apps` show; `exporting`, `portable` and `hub` let models
travel. Importing `mien` imports none of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.version import VERSION as __version__  # noqa: N811

if TYPE_CHECKING:
    from mien.conditions import Condition
    from mien.editing import Editor
    from mien.errors import MienError
    from mien.images import read_photo, write_photo

__all__ = ["Condition", "Editor", "MienError", "__version__", "load", "read_photo", "write_photo"]

_HOMES = {
    "Condition": "mien.conditions",
    "Editor": "mien.editing",
    "MienError": "mien.errors",
    "read_photo": "mien.images",
    "write_photo": "mien.images",
}


def load(model: str | Path | None = None, *, device: str = "cpu", **options: Any) -> Editor:
    """Return an editor for a model: a shipped name (default), a run folder, a file, a folder or `hf://user/name`.

    A file is .safetensors with its JSON beside it, which torch runs, or .onnx, which needs no torch. Model and detector
    go to `device`; `options` go to `mien.Editor`: `detector`, and the detector's own. Raises `mien.MienError`.
    """
    from mien.loading import load

    return load(model, device=device, **options)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module `mien` has no attribute `{name}`")


def __dir__() -> list[str]:
    """Name what is public, so that shells and notebooks complete it."""
    return sorted(__all__)
