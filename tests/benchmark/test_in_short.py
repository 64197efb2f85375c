"""What `mien bench` says in the end."""

from __future__ import annotations

from dataclasses import replace

from outcomes import nothing, outcome

from mien.apps.commands.measuring import _in_short


def test_each_model_has_a_line_and_what_was_left_out_is_named() -> None:
    counts = {"photos": {"happy": 3, "contempt": 2, "other": 0}}
    found = replace(outcome(pictures=False), label_counts=counts)
    first, *lines = _in_short(found).splitlines()
    assert first.startswith("left out") and first.endswith(": contempt")
    assert [line.split(":")[0] for line in lines] == [facts.name for facts in found.contestants]
    (one,) = (
        each.measurement for each in found.lines
        if (each.contestant, each.judge) == ("ganmut-128", "vgg16")
        and (each.measurement.measure, each.measurement.expression) == ("expression-f1", None)
    )  # fmt: skip
    assert lines[0].endswith(f"{one.value:.3f} (vgg16)")


def test_what_is_not_defined_is_said_to_be() -> None:
    found = outcome(pictures=False)
    undefined = nothing("expression-f1", "higher", "no face")
    line = next(line for line in found.lines if line.measurement.measure == "expression-f1")
    alone = replace(
        found, lines=(replace(line, measurement=undefined),), label_counts={}, contestants=found.contestants[:1]
    )
    assert _in_short(alone) == "ganmut-128: expression F1 undefined"
