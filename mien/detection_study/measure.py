"""Run detectors over images at several thresholds, and count what they find."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mien.detection_study.images import StudyImage
from mien.errors import ConfigError, DataError, ImageError
from mien.faces import Detection, FaceAligner

#: A detection is the drawn face if their boxes' intersection over union reaches this.
_MATCH = 0.5
#: Images that are handed to the detector at once, as in `mien.prepared`.
_BATCH = 32


@dataclass(frozen=True)
class Finding:
    """What one detector found at one threshold with one padding."""

    detector: str
    """Name of the detector."""
    threshold: float
    """Confidence from which something was a face."""
    padding: float | None
    """Share of its side by which each image was continued; None where scenes were searched as they are."""
    images: int
    """How many images were searched."""
    with_face: float
    """Share of the images in which at least one face was found."""
    usable: float
    """Share of the images of which `mien prepare` would make a crop."""
    faces_per_image: float
    """Faces found, by images."""
    images_per_second: float
    """Detection alone, without decoding and cropping."""
    hits: float | None = None
    """Share of the images whose drawn face was found; None where the truth is not known."""
    false_positives: float | None = None
    """Found where no face was drawn, by images; None where the truth is not known."""
    landmark_error: float | None = None
    """Mean distance from the drawn landmarks, as a share of the distance of the eyes; None as above."""


def study(
    images: Sequence[StudyImage],
    detectors: Sequence[str],
    thresholds: Sequence[float],
    *,
    paddings: Sequence[float | None] = (None,),
    face: str = "cut",
    device: str = "cpu",
    report: Callable[[int, int], None] | None = None,
) -> tuple[list[Finding], int]:
    """Run each detector at each threshold and padding over the images; return what was found, and how many images were
    unreadable.

    `face` is one of `mien.datasets.sample.FACES`: `cut` for images cut round a face, which are continued by each of the
    `paddings` (None: as the detector likes it), or `largest` for scenes. `report` is told the steps done and their
    number.
    """
    if face != "cut" and list(paddings) != [None]:
        raise ConfigError(
            "only images that are cut round a face are padded", hint="leave out the padding, or say `cut`"
        )
    aligners = [
        (FaceAligner(detector, 64, device, threshold, padding=padding), threshold)
        for detector in detectors
        for padding in paddings
        for threshold in thresholds
    ]
    for aligner, _ in aligners:
        _ = aligner.settings  # loads the detector: what it refuses is refused before the work
    tallies = [_Tally() for _ in aligners]
    done, unreadable = 0, 0
    for batch, broken in _batches(images):
        unreadable += broken
        pixels = [read for _, read in batch]
        for (aligner, _), tally in zip(aligners, tallies, strict=True):
            if not batch:
                continue
            if not tally.images:  # the first call of a network is slow, and no rate
                aligner.find(pixels[:1], [face])
            start = time.perf_counter()
            found = aligner.find(pixels, [face] * len(pixels))
            tally.seconds += time.perf_counter() - start
            for (image, read), detections in zip(batch, found, strict=True):
                usable = not isinstance(aligner.crop(read, detections, face), str)
                tally.add(image, detections, usable)
        done += len(batch) + broken
        if report:
            report(done, len(images))
    if unreadable == len(images):
        raise DataError("not one of the images can be read", hint="check that this is the right folder")
    findings = [
        tally.finding(aligner, threshold, aligner.padding_used if face == "cut" else None)
        for (aligner, threshold), tally in zip(aligners, tallies, strict=True)
    ]
    return findings, unreadable


def _batches(images: Sequence[StudyImage]) -> Iterator[tuple[list[tuple[StudyImage, np.ndarray]], int]]:
    """Decode batch by batch; yields what could be read, and how many could not."""
    for start in range(0, len(images), _BATCH):
        batch: list[tuple[StudyImage, np.ndarray]] = []
        chunk = images[start : start + _BATCH]
        for image in chunk:
            try:
                batch.append((image, image.read()))
            except ImageError:
                continue
        yield batch, len(chunk) - len(batch)


class _Tally:
    """Counts what one detector finds at one threshold."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.images = self.with_face = self.usable = self.faces = 0
        self.known = self.hits = self.false = 0
        self.errors: list[float] = []

    def add(self, image: StudyImage, detections: Sequence[Detection], usable: bool) -> None:
        """Count one image."""
        self.images += 1
        self.with_face += bool(detections)
        self.usable += usable
        self.faces += len(detections)
        if image.box is None or image.landmarks is None:
            return
        self.known += 1
        matching = [each for each in detections if overlap(np.array(each.box), image.box) >= _MATCH]
        self.false += len(detections) - bool(matching)  # of several on one face all but one are too many
        if matching:
            self.hits += 1
            best = max(matching, key=lambda detection: detection.confidence)
            eyes = float(np.linalg.norm(image.landmarks[1] - image.landmarks[0]))
            self.errors.append(float(np.linalg.norm(best.landmarks - image.landmarks, axis=1).mean()) / eyes)

    def finding(self, aligner: FaceAligner, threshold: float, padding: float | None) -> Finding:
        """Return the shares."""
        known = self.known > 0
        return Finding(
            detector=aligner.detector,
            threshold=threshold,
            padding=padding,
            images=self.images,
            with_face=self.with_face / self.images,
            usable=self.usable / self.images,
            faces_per_image=self.faces / self.images,
            images_per_second=self.images / max(self.seconds, 1e-9),
            hits=self.hits / self.known if known else None,
            false_positives=self.false / self.known if known else None,
            landmark_error=float(np.mean(self.errors)) if self.errors else None,
        )


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over union of two boxes (x0, y0, x1, y1)."""
    shared = (np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])).clip(0).prod()
    whole = (first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod() - shared
    return float(shared / whole)
