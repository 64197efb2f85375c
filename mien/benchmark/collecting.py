"""The slow half of a benchmark: edit the faces, show the edits to the judges, keep what they say.

Each contestant goes through three parts: every expression on every face, intensity step by step, and the walk over the
disc. What the judges say of a part is one file of the report's `work` folder, named by what it depends on; a benchmark that
was interrupted goes on after the last part, and one more contestant costs no more than itself.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mien.benchmark.contestants import Contestant, Faces, Oracle, can_express
from mien.benchmark.faces import Chosen, read_faces
from mien.benchmark.protocol import Protocol
from mien.benchmark.requests import named_conditions, rising_conditions, walk_conditions
from mien.classifiers import Classifier
from mien.conditions import Condition
from mien.files import write_bytes
from mien.metrics.distance import face_mask, image_change
from mien.metrics.identity import describe
from mien.prepared import PreparedSet
from mien.version import VERSION

#: Part of the name of what is kept: raised when what is collected changes.
_FORMAT = 6
#: Name under which a part keeps the commit that collected it.
_COMMIT = "commit"
#: Edits that are rendered and judged at a time.
_BATCH = 256
#: Faces that are edited mirrored, too.
_MIRRORED = 100
#: Kinds of contestants whose pictures do not come from the face they are given.
_NO_EDITORS = ("oracle", "folder")

Arrays = dict[str, np.ndarray]
#: Called with how many edits of a contestant are done, of how many, and in which part.
Report = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Collector:
    """Data, judges and protocol: what all contestants meet alike."""

    prepared: PreparedSet
    """The faces."""
    chosen: Chosen
    """Which of them are edited."""
    judges: Sequence[Classifier]
    """Who names what an edit shows."""
    referee: Contestant | None
    """The contestant whose critic scores how real everybody's edits are."""
    protocol: Protocol
    """How many of everything."""
    work: Path
    """Folder of what was collected before."""
    commit: str = ""
    """Commit of the source that collects, kept with what it collects; empty for an installed package."""
    commits: set[str] = field(default_factory=set)
    """By which commits the parts were collected that were asked for so far; `unknown` where that is not told."""

    def photos(self, report: Report) -> Arrays:
        """Judge all held-out photos: `probabilities-J` and `features-J` of judge J."""

        def collect() -> Arrays:
            return self._over_photos(lambda images: self._judged(images, features=True), report)

        return self._kept("photos", {}, collect)

    def scores(self, contestant: Contestant, report: Report) -> np.ndarray | None:
        """Let a contestant's critic score all held-out photos: float64 (n,); None where it has no critic."""

        def score(images: np.ndarray) -> Arrays:
            scores = contestant.realness(images)
            return {} if scores is None else {"realness": scores}

        def collect() -> Arrays:
            return self._over_photos(score, report)

        return self._kept("scores", self._key(contestant), collect).get("realness")

    def edits(self, contestant: Contestant, report: Report) -> Arrays:
        """Edit every face to every expression.

        Gives `answered` (n, k), `finite` (n, k), and for each edit what `photos` has of each photo, `realness-own` and
        `realness-referee` by its own critic and the referee's, `inside` and `outside` (grey levels changed), `identity`
        (its features); `own` are the faces' own. `mirror` (n, k) is how far mirrored faces' edits are from mirrored edits,
        NaN where that was not tried. Of the oracle also `shown`, which photo of the pool each answer is.
        """
        conditions = named_conditions(self.chosen.expressions, self.protocol)
        return self._kept("edits", self._key(contestant), lambda: self._edits(contestant, conditions, report))

    def sweep(self, contestant: Contestant, report: Report) -> Arrays:
        """Raise the intensity of every expression but neutral step by step: `probabilities-J` (n, k - 1, steps, K)."""
        conditions, shape = rising_conditions(self.chosen.expressions, self.protocol)
        return self._kept(
            "sweep",
            self._key(contestant),
            lambda: self._walk(contestant, self.chosen.sweep, conditions, shape, "intensity", report),
        )

    def gamut(self, contestant: Contestant, report: Report) -> Arrays:
        """Walk the disc, or where there is none, the mixtures of two names: `probabilities-J` (n, codes, K), `codes`."""
        conditions, codes = walk_conditions(contestant, self.chosen.expressions, self.protocol)

        def collect() -> Arrays:
            shape = (len(conditions),)
            return self._walk(contestant, self.chosen.gamut, conditions, shape, "gamut", report) | {"codes": codes}

        return self._kept("gamut", self._key(contestant), collect)

    def _over_photos(self, look: Callable[[np.ndarray], Arrays], report: Report) -> Arrays:
        places, parts = np.arange(len(self.chosen.rows)), []
        for start in range(0, len(places), _BATCH):
            faces = read_faces(self.prepared, self.chosen, places[start : start + _BATCH])
            parts.append(look(faces.images))
            if not parts[0]:
                return {}
            report(min(start + _BATCH, len(places)), len(places), "photos")
        return _joined(parts)

    # --- how it is done ------------------------------------------------------------------------------------------

    def _edits(self, contestant: Contestant, conditions: Sequence[Condition], report: Report) -> Arrays:
        mask = face_mask(self.prepared.size)
        parts, done, total = [], 0, len(self.chosen.edited) * len(conditions)
        for faces, edited, answered in self._rendered(contestant, self.chosen.edited, conditions):
            flat = edited.reshape(-1, *edited.shape[2:])
            shape = edited.shape[:2]
            finite = np.asarray(np.isfinite(flat).all((1, 2, 3)))
            flat = np.where(np.isfinite(flat), flat, 0.0).astype(np.float32)
            inside, outside = image_change(np.repeat(faces.images, shape[1], axis=0), flat, mask)
            seen = self._judged(flat, features=True) | self._realness(contestant, flat)
            seen |= {"inside": inside, "outside": outside, "identity": describe(flat), "finite": finite}
            part = {name: array.reshape(*shape, *array.shape[1:]) for name, array in seen.items()}
            part["own"] = describe(faces.images)
            part["answered"] = np.tile(answered, (len(faces), 1))
            part["mirror"] = np.full(shape, np.nan)
            mirrored = max(0, min(len(faces), _MIRRORED - done // len(conditions)))
            if contestant.facts.kind not in _NO_EDITORS and mirrored:
                part["mirror"][:mirrored] = self._mirror(contestant, faces[:mirrored], edited, conditions, answered)
            if isinstance(contestant, Oracle):
                part["shown"] = contestant.shown(faces, conditions)
            parts.append(part)
            done += len(flat)
            report(done, total, "expressions")
        return _joined(parts)

    def _mirror(
        self,
        contestant: Contestant,
        faces: Faces,
        edited: np.ndarray,
        conditions: Sequence[Condition],
        answered: np.ndarray,
    ) -> np.ndarray:
        """Return how far edits of mirrored faces are from mirrored edits, on the face: (n, k), NaN where none is asked."""
        asked = [condition for condition, possible in zip(conditions, answered, strict=True) if possible]
        result = np.full((len(faces), len(conditions)), np.nan)
        if asked:
            other = contestant.edit(Faces(faces.keys, _flipped(faces.images)), asked, self.protocol.start)
            one = edited[: len(faces), answered]
            flat = (-1, *one.shape[2:])
            inside, _ = image_change(one.reshape(flat), _flipped(other).reshape(flat), face_mask(self.prepared.size))
            # Broken edits were tried; and what is the same on both sides is so up to rounding.
            inside = np.where(np.isfinite(inside), inside.round(3), np.inf)
            result[:, answered] = inside.reshape(len(faces), -1)
        return result

    def _walk(
        self,
        contestant: Contestant,
        places: np.ndarray,
        conditions: Sequence[Condition],
        shape: tuple[int, ...],
        title: str,
        report: Report,
    ) -> Arrays:
        parts, done, total = [], 0, len(places) * len(conditions)
        for faces, edited, answered in self._rendered(contestant, places, conditions):
            flat = edited.reshape(-1, *edited.shape[2:])
            finite = np.asarray(np.isfinite(flat).all((1, 2, 3)))
            seen = self._judged(np.where(np.isfinite(flat), flat, 0.0).astype(np.float32), features=False)
            part = {
                name: np.where(finite[:, None], array, np.nan).reshape(len(faces), *shape, array.shape[-1])
                for name, array in seen.items()
            }
            part["finite"] = finite.reshape(len(faces), *shape)
            part["answered"] = np.tile(answered.reshape(shape), (len(faces), *[1] * len(shape)))
            parts.append(part)
            done += len(flat)
            report(done, total, title)
        return _joined(parts)

    def _rendered(
        self, contestant: Contestant, places: np.ndarray, conditions: Sequence[Condition]
    ) -> Iterator[tuple[Faces, np.ndarray, np.ndarray]]:
        """Yield faces, their edits (n, conditions, c, h, w), and which conditions the contestant can be asked for."""
        answered = np.array([can_express(contestant, condition) for condition in conditions])
        asked = [condition for condition, possible in zip(conditions, answered, strict=True) if possible]
        step = max(1, _BATCH // max(1, len(conditions)))
        for start in range(0, len(places), step):
            faces = read_faces(self.prepared, self.chosen, places[start : start + step])
            edited = np.full((len(faces), len(conditions), *faces.images.shape[1:]), np.nan, np.float32)
            if asked:
                edited[:, answered] = contestant.edit(faces, asked, self.protocol.start)
            yield faces, edited, answered

    def _judged(self, images: np.ndarray, *, features: bool) -> Arrays:
        result = {}
        for index, judge in enumerate(self.judges):
            judged = judge.judge(images, mirror=False)
            result[f"probabilities-{index}"] = judged.probabilities
            if features:
                result[f"features-{index}"] = judged.features
        return result

    def _realness(self, contestant: Contestant, images: np.ndarray) -> Arrays:
        own = contestant.realness(images)
        judged = own if contestant is self.referee or self.referee is None else self.referee.realness(images)
        scores = {"realness-own": own, "realness-referee": judged}
        return {name: score for name, score in scores.items() if score is not None}

    def _key(self, contestant: Contestant) -> dict[str, Any]:
        facts = contestant.facts
        key = {"kind": facts.kind, "name": facts.name, "sha256": facts.sha256, "fingerprint": facts.fingerprint}
        return key | ({"photos": "named"} if isinstance(contestant, Oracle) else {})  # since which `shown` is kept

    def _kept(self, part: str, key: dict[str, Any], collect: Callable[[], Arrays]) -> Arrays:
        """Return what an earlier benchmark with the same circumstances collected, or collect and keep it."""
        circumstances = {
            "format": _FORMAT,
            "version": VERSION,
            "devices": sorted({judge.device for judge in self.judges}),
            "part": part,
            "contestant": key,
            "data": self.prepared.hash,
            "expressions": self.chosen.expressions,
            "protocol": self.protocol.to_json(),
            "judges": [(judge.sha256, str(judge.config)) for judge in self.judges],  # weights do not tell a stride
            "referee": self._key(self.referee) if self.referee is not None and part == "edits" else None,
        }
        digest = hashlib.sha256(json.dumps(circumstances, sort_keys=True).encode()).hexdigest()[:16]
        path = self.work / f"{part}-{digest}.npz"
        if path.exists():
            try:
                with np.load(path, allow_pickle=False) as stored:
                    arrays = dict(stored)
                self.commits.add(str(arrays.pop(_COMMIT, "unknown")))
                return arrays
            except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):  # damaged: collected anew
                path.unlink()
        arrays = collect()
        self.work.mkdir(parents=True, exist_ok=True)
        write_bytes(path, _packed(arrays | {_COMMIT: np.array(self.commit)}))
        self.commits.add(self.commit)
        return arrays


def _flipped(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images[..., ::-1])


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _packed(arrays: Arrays) -> bytes:
    import io

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
