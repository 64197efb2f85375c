"""What a model went through before it became what it is, as far as its description says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def guides_of(description: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the facts of all that guided a model, by its description or configuration: also what it went on from."""
    training = description.get("training", description)
    training = training if isinstance(training, Mapping) else {}
    start = training.get("init")
    before = start.get("guides") if isinstance(start, Mapping) else None
    found = [*(before or []), *(training.get("guides") or [])]
    return list({guide["sha256"]: dict(guide) for guide in found if "sha256" in guide}.values())


def edited_faces(description: Mapping[str, Any]) -> int:
    """Return on how many edited faces (`mien augment`) a model or classifier was trained, by its description."""
    training = description.get("training", description)
    data = training.get("data") if isinstance(training, Mapping) else None
    return int(data.get("edited", 0)) if isinstance(data, Mapping) else 0
