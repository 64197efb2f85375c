"""The commands, in files by what they are about, and in the order in which `mien --help` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mien.apps.commands import data, detection, experiments, films, judges, measuring, models, photos, reading, sets

#: Every command; its name on the command line is the function's, with hyphens.
COMMANDS: tuple[Callable[..., Any], ...] = (
    photos.edit,
    reading.read,
    photos.gamut,
    photos.sweep,
    photos.studio,
    films.video,
    films.animate,
    films.live,
    detection.detect_study,
    data.prepare,
    sets.combine,
    sets.augment,
    sets.inspect,
    sets.unpack,
    models.train,
    models.curves,
    models.presets,
    judges.train_judge,
    measuring.bench,
    experiments.experiment,
    models.info,
    models.export,
    models.push,
    models.pull,
)
