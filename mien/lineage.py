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
    found = [guide for guides in (before, training.get("guides")) if isinstance(guides, list) for guide in guides]
    known = [guide for guide in found if isinstance(guide, Mapping) and isinstance(guide.get("sha256"), str)]
    return list({guide["sha256"]: dict(guide) for guide in known}.values())


def edited_faces(description: Mapping[str, Any]) -> int:
    """Return how many edited faces (`mien augment`) a model or classifier has learned from, by its description.

    Where it started from another that had learned from such (`init`), those count.
    """
    training = description.get("training", description)
    places = [training.get(key) for key in ("data", "init")] if isinstance(training, Mapping) else []
    counts = [place.get("edited") for place in places if isinstance(place, Mapping)]
    return sum(count for count in counts if isinstance(count, int))
