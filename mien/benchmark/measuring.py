"""The fast half of a benchmark: from what judges and critics said to numbers, by the measures of `mien.metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mien.batches import seed_of
from mien.benchmark.collecting import Arrays
from mien.benchmark.faces import Chosen, matched
from mien.benchmark.outcome import Line
from mien.classifiers import Classifier
from mien.classifiers.classifier import LAYER
from mien.expressions import NEUTRAL
from mien.metrics.coverage import compound_distances, gamut_coverage, jensen_shannon
from mien.metrics.discriminator import discriminator_f1
from mien.metrics.distance import change_measures, mirror_error
from mien.metrics.expression_f1 import expression_f1
from mien.metrics.frechet import conditional_fed, extrapolated_fed, fed, fed_curve
from mien.metrics.identity import identity_kept
from mien.metrics.measurement import Better, Measurement
from mien.metrics.smoothness import smoothness
from mien.metrics.two_sample import conditional_two_sample_auc

#: Median distance of a judge's view of photos from people's votes above which it cannot say what a disc reaches.
_LARGEST_ERROR = 0.4
#: Sample sizes at which the bias of FED is shown.
_SIZES = (50, 100, 200, 400, 800, 1600, 3200)


@dataclass(frozen=True, eq=False)
class Collected:
    """What was collected of one contestant (`mien.benchmark.collecting`)."""

    name: str
    """The contestant."""
    edits: Arrays
    """Every expression on every face."""
    sweep: Arrays
    """Rising intensity."""
    gamut: Arrays
    """The walk over the disc."""
    scores: np.ndarray | None = None
    """Scores of all held-out photos by its own critic, where it has one."""


@dataclass(frozen=True, eq=False)
class _Matched:
    """Photos and edits with the same number of each expression."""

    photos: np.ndarray
    """Places in `Chosen.rows`."""
    faces: np.ndarray
    """Rows of the collected edits."""
    asked: np.ndarray
    """Columns of the collected edits."""


@dataclass(frozen=True, eq=False)
class Measurer:
    """Data and judges: what is measured alike for all contestants."""

    chosen: Chosen
    """The faces."""
    judges: Sequence[Classifier]
    """In the order of the arrays' numbers."""
    photos: Arrays
    """What the judges say of all held-out photos."""
    referee: str
    """Name of the contestant whose critic scores everybody; empty where none has a critic."""
    referee_scores: np.ndarray | None
    """That critic's scores of all held-out photos."""
    seed: int
    """Of halves and resamples."""

    def of_photos(self) -> list[Line]:
        """Measure each judge on the real faces: how much of an error is its own."""
        lines = []
        for index, judge in enumerate(self.judges):
            seen = self._named(self.photos[f"probabilities-{index}"], judge)
            found = expression_f1(
                self.chosen.labels, seen, np.arange(len(seen)), self.chosen.expressions, seed=self.seed
            )
            lines += [Line("real", judge.name, measurement) for measurement in found]
        return lines

    def of_contestant(self, collected: Collected) -> list[Line]:
        """Measure all there is to measure of a contestant; what its pictures do not allow is undefined, with the reason."""
        lines = []
        for index, judge in enumerate(self.judges):
            for found in (
                self._expression(collected, index, judge),
                self._distances(collected, index),
                self._smooth(collected, index, judge),
                self._gamut(collected, index, judge),
            ):
                lines += [Line(collected.name, judge.name, measurement) for measurement in found]
        for found in (self._realness(collected), self._kept(collected)):
            lines += [Line(collected.name, None, measurement) for measurement in found]
        lines = [replace(line, measurement=self._suffixed(line.measurement, collected)) for line in lines]
        broken = _broken(collected.edits)
        return (
            [Line(line.contestant, line.judge, _undefined(line.measurement, broken)) for line in lines]
            if broken
            else lines
        )

    def fed_points(self, collected: Collected, index: int) -> list[dict[str, float]]:
        """Return FED over sample size by judge `index`: points of `n`, `value` and `deviation`."""
        real, generated = self._features(collected, index, self._matched(collected))
        points = fed_curve(real, generated, _SIZES, seed=self.seed)
        return [{"n": n, "value": value, "deviation": deviation} for n, value, deviation in points]

    def _suffixed(self, measurement: Measurement, collected: Collected) -> Measurement:
        """Name a mean over fewer expressions than the benchmark has by their number: it is another protocol."""
        able = int(collected.edits["answered"].any(0).sum())
        whole = able == len(self.chosen.expressions) or measurement.expression is not None
        if whole or measurement.measure.startswith(("expression-of", "gamut", "compound")):
            return measurement
        return replace(measurement, measure=f"{measurement.measure}-of-{able}")

    # --- the measures --------------------------------------------------------------------------------------------

    def _expression(self, collected: Collected, index: int, judge: Classifier) -> list[Measurement]:
        answered = collected.edits["answered"]
        faces, asked = np.nonzero(answered)
        seen = self._named(collected.edits[f"probabilities-{index}"][answered], judge)
        known = answered.any(0)
        prefix = "expression" if known.all() else f"expression-of-{int(known.sum())}"
        return expression_f1(asked, seen, faces, self.chosen.expressions, seed=self.seed, prefix=prefix)

    def _matched(self, collected: Collected) -> _Matched:
        """Draw as many real faces as edits of each expression, in the proportions of the real ones."""
        chosen, answered = self.chosen, collected.edits["answered"]
        generator = np.random.default_rng(seed_of("matched", self.seed, 0))
        k = len(chosen.expressions)
        real_of = [generator.permutation(chosen.others[chosen.labels[chosen.others] == c]) for c in range(k)]
        edits_of = [generator.permutation(np.flatnonzero(answered[:, c])) for c in range(k)]
        possible = [c for c in range(k) if len(edits_of[c]) and len(real_of[c])]
        counts = matched([len(real_of[c]) for c in possible], [len(edits_of[c]) for c in possible])
        none = np.zeros(0, int)
        return _Matched(
            photos=np.concatenate([none, *(real_of[c][:n] for c, n in zip(possible, counts, strict=True))]),
            faces=np.concatenate([none, *(edits_of[c][:n] for c, n in zip(possible, counts, strict=True))]),
            asked=np.repeat(np.array(possible, int), counts),
        )

    def _whose(self, collected: Collected, faces: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Return whose face each edit shows, as a place in `Chosen.rows`: the edited one, or one that was handed out."""
        own = self.chosen.edited[faces]
        shown = collected.edits.get("shown")
        if shown is None:
            return own
        photos = shown[faces, asked]
        return np.where(photos >= 0, self.chosen.others[photos], own)

    def _features(self, collected: Collected, index: int, drawn: _Matched) -> tuple[np.ndarray, np.ndarray]:
        name = f"features-{index}"
        return self.photos[name][drawn.photos], collected.edits[name][drawn.faces, drawn.asked]

    def _distances(self, collected: Collected, index: int) -> list[Measurement]:
        chosen, answered = self.chosen, collected.edits["answered"]
        drawn = self._matched(collected)
        real, generated = self._features(collected, index, drawn)
        units = {"real_units": drawn.photos, "generated_units": self._whose(collected, drawn.faces, drawn.asked)}
        faces, asked = np.nonzero(answered)
        features = self.photos[f"features-{index}"]
        counts = np.bincount(drawn.asked, minlength=len(chosen.expressions)).tolist()
        of_each = dict(zip(chosen.expressions, counts, strict=True))
        pooled = fed(real, generated, layer=LAYER, **units)
        by_expression = (
            features[chosen.others],
            chosen.labels[chosen.others],
            collected.edits[f"features-{index}"][answered],
            asked,
            chosen.expressions,
        )
        whose = {"real_units": chosen.others, "generated_units": self._whose(collected, faces, asked)}
        return [
            replace(pooled, details={**pooled.details, "of_each": of_each}),
            extrapolated_fed(real, generated, layer=LAYER, seed=self.seed, **units),
            *conditional_fed(*by_expression, layer=LAYER, **whose),
            *conditional_two_sample_auc(*by_expression, layer=LAYER, seed=self.seed, **whose),
        ]

    def curves(self, collected: Collected, index: int, judge: Classifier) -> np.ndarray:
        """Return the probability of what was asked for, float32 (faces, expressions but neutral, steps)."""
        names = [name for name in self.chosen.expressions if name != NEUTRAL]
        stored = collected.sweep.get(f"probabilities-{index}")
        if stored is None:  # no neutral face to start from
            return np.zeros((0, len(names), 2), np.float32)
        return np.stack([stored[:, i, :, judge.expressions.index(name)] for i, name in enumerate(names)], axis=1)

    def _smooth(self, collected: Collected, index: int, judge: Classifier) -> list[Measurement]:
        names = [name for name in self.chosen.expressions if name != NEUTRAL]
        curves = self.curves(collected, index, judge)
        able = np.asarray(collected.sweep["answered"].all((0, 2)) if len(curves) else np.ones(len(names), bool))
        return smoothness(curves[:, able], [n for n, a in zip(names, able, strict=True) if a], seed=self.seed)

    def gamut(self, collected: Collected, index: int, judge: Classifier) -> np.ndarray:
        """Return what the judge sees at each code, over the benchmark's expressions: float32 (faces, codes, k)."""
        stored = collected.gamut.get(f"probabilities-{index}")
        if stored is None:
            return np.zeros((0, 0, len(self.chosen.expressions)), np.float32)
        able = collected.gamut["answered"].all(0)
        seen = stored[:, able][..., [judge.expressions.index(name) for name in self.chosen.expressions]]
        return seen / np.maximum(seen.sum(-1, keepdims=True), 1e-9)

    def _gamut(self, collected: Collected, index: int, judge: Classifier) -> list[Measurement]:
        judged, votes = self.gamut(collected, index, judge), self.chosen.votes[self.chosen.others]
        if reason := self._no_gamut(collected, judged):
            names: dict[str, Better] = {
                "gamut-coverage": "higher", "gamut-distance": "lower", "compound-distance": "lower"
            }  # fmt: skip
            return [Measurement(name, None, None, None, 0, better, None, reason) for name, better in names.items()]
        codes = collected.gamut.get("codes", np.zeros((0, 2)))
        if len(codes) != judged.shape[1]:  # no disc: the mixtures have numbers, no places
            codes = np.stack([np.arange(judged.shape[1]), np.full(judged.shape[1], np.nan)], axis=1)
        radius = self.own_error(index, judge)
        coverage = gamut_coverage(votes, judged, self.chosen.expressions, seed=self.seed, radius=radius)
        if radius is not None and radius > _LARGEST_ERROR:  # within that, anything is near to anything
            far = f"the judge's own view of photos lies {radius:.2f} from people's votes, above {_LARGEST_ERROR}"
            coverage = [_undefined(m, far) if m.measure == "gamut-coverage" else m for m in coverage]
        return [*coverage, *compound_distances(votes, judged, codes, self.chosen.expressions, seed=self.seed)]

    def _no_gamut(self, collected: Collected, judged: np.ndarray) -> str:
        """Say why there is no walk over mixtures; empty where there is one."""
        if not len(self.chosen.gamut):
            return "there is no neutral face to start from"
        return "" if judged.shape[1] else f"{collected.name} is asked for no mixtures"

    def own_error(self, index: int, judge: Classifier) -> float | None:
        """Return the median distance of what a judge sees in a photo from the votes on it: how near is as good as equal.

        Taken over the faces with which edits are compared and which most people do not call neutral.
        """
        chosen = self.chosen
        shown = chosen.others[[chosen.expressions[label] != NEUTRAL for label in chosen.labels[chosen.others]]]
        seen = self.photos[f"probabilities-{index}"][shown]
        seen = seen[:, [judge.expressions.index(name) for name in chosen.expressions]].astype(np.float64)
        seen /= np.maximum(seen.sum(1, keepdims=True), 1e-9)
        if not len(shown):
            return None
        return float(
            np.median([jensen_shannon(a[None], b[None])[0, 0] for a, b in zip(chosen.votes[shown], seen, strict=True)])
        )

    def _realness(self, collected: Collected) -> list[Measurement]:
        """Measure how well critics tell edits from photos: its own, and the referee's, who scores everybody."""
        found: list[Measurement] = []
        drawn = self._matched(collected)
        by = {"own": (collected.scores, ""), "referee": (self.referee_scores, f"-by-{self.referee}")}
        for whose, (photos, suffix) in by.items():
            edits = collected.edits.get(f"realness-{whose}")
            if photos is None or edits is None:
                continue
            measurements = discriminator_f1(
                photos[drawn.photos],
                edits[drawn.faces, drawn.asked],
                seed=self.seed,
                real_units=drawn.photos,
                generated_units=self._whose(collected, drawn.faces, drawn.asked),
            )
            found += [replace(m, measure=f"{m.measure}{suffix}") for m in measurements]
        return found

    def _kept(self, collected: Collected) -> list[Measurement]:
        edits, answered = collected.edits, collected.edits["answered"]
        faces, _ = np.nonzero(answered)
        tried = ~np.isnan(edits["mirror"])
        kept = identity_kept(edits["own"], edits["identity"][:, answered.any(0)], seed=self.seed)
        gallery = len(edits["own"])  # how many faces the own one is picked from: chance is one in so many
        return [
            *(replace(m, measure=f"{m.measure}-n{gallery}") if m.measure == "identity-rank1" else m for m in kept),
            *change_measures(edits["inside"][answered], edits["outside"][answered], faces, seed=self.seed),
            mirror_error(
                edits["mirror"][tried],
                np.nonzero(tried)[0],
                reason=f"{collected.name} edits no face that it is given",
                seed=self.seed,
            ),
        ]

    def _named(self, probabilities: np.ndarray, judge: Classifier) -> np.ndarray:
        """Return the most probable expression as an index of the benchmark's, -1 where it is none of those."""
        index = {name: place for place, name in enumerate(self.chosen.expressions)}
        table = np.array([index.get(name, -1) for name in judge.expressions])
        return table[probabilities.argmax(-1)]


def _broken(edits: Arrays) -> str:
    """Say how many of the edits that were asked for hold values that are no numbers; empty where none does."""
    bad = int((edits["answered"] & ~edits["finite"]).sum())
    return (
        f"{bad} of {int(edits['answered'].sum())} edits are missing or hold values that are no numbers" if bad else ""
    )


def _undefined(measurement: Measurement, reason: str) -> Measurement:
    return Measurement(
        measurement.measure, None, None, None, measurement.n, measurement.better, measurement.expression, reason
    )
