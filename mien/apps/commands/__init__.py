"""The commands, in files by what they are about, and in the order in which `mien --help` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mien.apps.commands import data, models, photos

#: Every command; its name on the command line is the function's, with hyphens.
COMMANDS: tuple[Callable[..., Any], ...] = (
    photos.edit,
    photos.gamut,
    photos.sweep,
    data.prepare,
    models.train,
    models.presets,
    models.export,
)
