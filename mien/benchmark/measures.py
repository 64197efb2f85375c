"""What the reports call each measure, how it was taken in a sentence, and what it is fooled by.

No measure is enough by itself: a copy of the input keeps the person perfectly, and a photo of somebody else shows every
expression. Each row of the table below says so of its measure, and each report repeats it beside the numbers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

Scale = Literal["share", "size"]


@dataclass(frozen=True)
class Measure:
    """One kind of number, whatever sample size its protocol's name ends in."""

    key: str
    """What the tables call it among themselves."""
    protocols: str
    """Regular expression of the names of measurements of this kind."""
    heading: str
    """What people read above its column."""
    how: str
    """How it is measured, in one sentence."""
    fooled: str
    """What makes it look better than it is, in one sentence."""
    scale: Scale = "share"
    """`share` is printed with three decimals, `size` with three significant digits."""
    ranked: bool = True
    """False where the models cannot be compared by it, so that no arrow and no best value is shown."""
    by: str = ""
    """Who judges, where it is none of the judges."""


_REFEREE, _OWN = "referee", "own critic"

_MEASURES = (
    Measure(
        "f1", r"(?:expression(?:-of-\d+)?|judge)-f1", "expression F1",
        "F1 of the expression that the judge sees against the one that was asked for, the mean over expressions.",
        "A photo of somebody else who does look as was asked has the best one, and so may a pattern that only the judge "
        "takes for an expression.",
    ),
    Measure(
        "accuracy", r"(?:expression(?:-of-\d+)?|judge)-accuracy", "accuracy",
        "The share of edits in which the judge sees what was asked for.",
        "As expression F1; a frequent expression weighs more where requests are not balanced.",
    ),
    Measure(
        "fed", r"fed-.+-n\d+", "FED",
        "Frechet distance between Gaussians fitted to the judge's features of edits and of photos; it grows as samples "
        "shrink, so only equal sample sizes compare.",
        "It asks whether all edits together look like all photos together: where the edited faces show every expression "
        "already, doing nothing is near perfect.",
        "size",
    ),
    Measure(
        "conditional-fed", r"conditional-fed-.+-n\d+", "FED per expression",
        "The Frechet distance of edits asked to show an expression from photos that show it, the mean over expressions.",
        "A photo of somebody else who looks as was asked is near perfect: the judge's features do not know who it is.",
        "size",
    ),
    Measure(
        "fed-extrapolated", r"fed-.+-extrapolated", "FED, endless sample",
        "FED where the line through distances over 1/n meets 0; defined from four samples for each feature on.",
        "As FED.",
        "size",
    ),
    Measure(
        "told-from-photos", r"conditional-two-sample-auc-.+", "told from photos",
        "How well a linear classifier of the judge's features, which begins anew for each model, learns to tell its edits "
        "from photos that show what was asked: the area under the curve on faces it has not seen, the mean over "
        "expressions; 0.5 is a classifier that cannot tell.",
        "A photo of somebody else who looks as was asked; and what the judge's features do not hold, such as fine grain.",
    ),
    Measure(
        "smoothness-per-face", r"smoothness-per-face", "smoothness, per face",
        "The largest increase of the judge's probability between neighbouring intensities over its whole rise, the mean "
        "over faces; of ten intensities, which have nine steps, 0.111 is the least there is.",
        "Curves that hardly rise have no ratio and are left out: a model that does little is measured on its few good "
        "curves, and one that does nothing on none.",
    ),
    Measure(
        "smoothness-mean-curve", r"smoothness-mean-curve", "smoothness, mean curve",
        "The same ratio of each expression's mean curve over all faces.",
        "Faces that jump at different intensities add up to a smooth mean.",
    ),
    Measure(
        "smoothness-share", r"smoothness-defined-share", "curves that rise",
        "The share of curves along which the judge's probability rises enough to have a smoothness.",
        "A jump rises too.",
    ),
    Measure(
        "rank-correlation", r"intensity-rank-correlation", "intensity order",
        "Spearman's correlation of the asked intensity with the judge's probability, the mean over curves.",
        "It sees only the order: a jump and a tremble that never falls are as good as an even rise.",
    ),
    Measure(
        "referee-f1", r"discriminator-f1-by-.+", "discriminator F1",
        "How well one critic tells everybody's edits from photos, the mean of F1 of both; the threshold is chosen on one "
        "half of the faces and used on the other, and 0.5 is a critic that cannot tell.",
        "An unchanged photo, and a photo of somebody else, cannot be told from photos; and a critic sees best what it was "
        "trained against, the edits of its own generator. Below 0.5 it is sure of the opposite: such edits are strange.",
        ranked=False, by=_REFEREE,
    ),
    Measure(
        "referee-real", r"discriminator-f1-real-by-.+", "F1 of photos",
        "The F1 of photos that the critic calls photos.",
        "Alone it rewards a critic that calls everything an edit.", ranked=False, by=_REFEREE,
    ),
    Measure(
        "referee-generated", r"discriminator-f1-generated-by-.+", "F1 of edits",
        "The F1 of edits that the critic calls edits.",
        "Alone it rewards a critic that calls everything a photo.", ranked=False, by=_REFEREE,
    ),
    Measure(
        "referee-auc", r"discriminator-auc-by-.+", "discriminator AUC",
        "The chance that one critic scores a photo above an edit; no threshold, and 0.5 is a critic that cannot tell.",
        "As discriminator F1.", ranked=False, by=_REFEREE,
    ),
    Measure(
        "own-f1", r"discriminator-f1", "F1, own critic",
        "Discriminator F1 by the critic that each model was trained with: models do not compare by it.",
        "A weak critic lets every edit pass.", ranked=False, by=_OWN,
    ),
    Measure(
        "own-real", r"discriminator-f1-real", "F1 of photos, own critic",
        "The F1 of photos by a model's own critic.", "As F1, own critic.", ranked=False, by=_OWN,
    ),
    Measure(
        "own-generated", r"discriminator-f1-generated", "F1 of edits, own critic",
        "The F1 of edits by a model's own critic.", "As F1, own critic.", ranked=False, by=_OWN,
    ),
    Measure(
        "own-auc", r"discriminator-auc", "AUC, own critic",
        "The chance that a model's own critic scores a photo above an edit.", "As F1, own critic.", ranked=False, by=_OWN,
    ),
    Measure(
        "identity", r"identity-rank1(?:-n\d+)?", "person found again",
        "The share of edits that are more like their own original than like any other of the originals, by features "
        "that tell people apart.",
        "Doing nothing is perfect, and photos of other people have none of it: read it beside expression F1.",
    ),
    Measure(
        "identity-similarity", r"identity-similarity", "likeness to original",
        "The cosine of the features of edit and original.",
        "Doing nothing is perfect.",
    ),
    Measure(
        "identity-auc", r"identity-auc", "person AUC",
        "The chance that an edit is more like its own original than like another person's.",
        "Doing nothing is perfect.",
    ),
    Measure(
        "background", r"background-change", "background change",
        "Mean absolute change of the pixels outside of the face, in grey levels of 255.",
        "Doing nothing is perfect.",
        "size",
    ),
    Measure(
        "face-change", r"face-change", "face change",
        "Mean absolute change of the pixels of the face, in grey levels of 255: neither more nor less is better.",
        "It says that something changed, not what.",
        "size", ranked=False,
    ),
    Measure(
        "mirror", r"mirror-error", "mirror error",
        "How far the edit of a mirrored photo is from the photo's edit, mirrored: mean absolute difference on the face, in "
        "grey levels of 255.",
        "Doing nothing is perfect; an edit that is the same on both sides may be wrong on both.",
        "size",
    ),
    Measure(
        "coverage", r"gamut-coverage", "gamut coverage",
        "The share of real faces whose mixture of expressions, as people vote, lies near what the judge sees somewhere "
        "on the disc.",
        "A judge that wavers over broken pictures sees mixtures everywhere; and it jumps with the choice of the faces that "
        "walk, as wide intervals show.",
    ),
    Measure(
        "gamut-distance", r"gamut-distance", "gamut distance",
        "The distance of real faces' mixtures from the nearest one that the disc reaches, 0 to 1.",
        "As gamut coverage.",
    ),
    Measure(
        "compound-distance", r"compound-distance", "compound distance",
        "How near the disc comes to the mixtures of two expressions that people often see, 0 to 1.",
        "As gamut coverage.",
    ),
)  # fmt: skip

#: All kinds of measures by key, in the order in which reports speak of them.
MEASURES = {measure.key: measure for measure in _MEASURES}


def measure_of(protocol: str) -> Measure:
    """Return the kind of measure of a measurement's name; one that is not in the table speaks for itself.

    `-of-4` at its end says that it was taken over four expressions, fewer than the benchmark has.
    """
    for measure in _MEASURES:
        if re.fullmatch(rf"(?:{measure.protocols})(?:-of-\d+)?", protocol):
            return measure
    return Measure(protocol, re.escape(protocol), protocol, f"See `{protocol}` where it was measured.", "", "size")


def show(value: float, scale: Scale) -> str:
    """Print a number so that nothing but 0 reads as 0."""
    if scale == "share":
        if value != 0 and abs(value) < 0.0005:
            return "< 0.001" if value > 0 else "> −0.001"
        text = f"{value:.3f}"
    elif value == 0:
        text = "0"
    else:
        decimals = 2 - math.floor(math.log10(abs(value)))
        text = f"{value:,.0f}" if decimals <= 0 else f"{value:.{min(decimals, 9)}f}"
    return text.replace("-", "−")
