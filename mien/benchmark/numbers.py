"""The lines of a benchmark, looked up."""

from __future__ import annotations

from mien.benchmark.measures import Measure, measure_of
from mien.benchmark.outcome import ContestantFacts, JudgeFacts, Outcome
from mien.metrics.measurement import Measurement


def is_guided(facts: ContestantFacts | None, judge: JudgeFacts | None) -> bool:
    """Say whether a judge guided a model's training (`mien.guiding`), so that it is no judge of it."""
    return facts is not None and judge is not None and bool(judge.fingerprint) and judge.fingerprint in facts.guides


class Numbers:
    """The lines of a benchmark, found by whose they are, by which judge, and on which expression."""

    def __init__(self, outcome: Outcome) -> None:
        """Sort the lines; of two of the same kind the first one counts (results.jsonl holds both)."""
        self._found: dict[tuple[str, str, str | None, str | None], Measurement] = {}
        self._judges: dict[str, dict[str | None, None]] = {}
        self.kinds: dict[str, Measure] = {}
        for line in outcome.lines:
            kind = measure_of(line.measurement.measure)
            self.kinds.setdefault(kind.key, kind)
            where = (line.contestant, kind.key, line.judge, line.measurement.expression)
            self._found.setdefault(where, line.measurement)
            self._judges.setdefault(kind.key, {}).setdefault(line.judge)
        self._order = [judge.name for judge in outcome.judges]
        self._judged_by = {judge.name: judge for judge in outcome.judges}

    def get(self, contestant: str, key: str, judge: str | None, expression: str | None = None) -> Measurement | None:
        """Return a number, or None where none was asked for."""
        return self._found.get((contestant, key, judge, expression))

    def guided(self, facts: ContestantFacts, judge: str | None) -> bool:
        """Say whether a judge guided a model's training (`mien.guiding`), so that it is no judge of it."""
        return is_guided(facts, self._judged_by.get(judge or ""))

    def judges(self, key: str) -> list[str | None]:
        """Return by whom this kind of measure was taken: judges in their order, then critics, or None alone."""
        place = {name: index for index, name in enumerate(self._order)}
        return sorted(self._judges.get(key, {}), key=lambda name: place.get(name or "", len(place)))
