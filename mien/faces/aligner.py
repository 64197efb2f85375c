"""From images to aligned crops: find the face that is meant, and say in a line why there is none.

A dataset says of each image which face it means (`mien.datasets.sample.FACES`). An image that was cut round a face
already leaves a detector without context, so it is continued outwards before the search; a scene is searched as it is,
and of its faces one is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from mien.errors import FaceError
from mien.faces.align import Alignment, crop_face, estimate_alignment, extend
from mien.faces.detection import Detection, Detector
from mien.faces.detectors import CUT_FRAMES, load_detector
from mien.images import Cropped, resize


@dataclass(frozen=True)
class FaceAligner:
    """Crop the faces of many images to one framing, as `mien.prepared.Crop` is called.

    It can be pickled: what travels to another process are the settings; each process loads the detector when it needs
    it first. Two aligners with equal settings give equal crops.
    """

    detector: str
    """Name of a detector in `DETECTORS`."""
    size: int
    """Side of the crops in pixels."""
    device: str = "cpu"
    """Where the detector runs, for example `cuda`."""
    threshold: float | None = None
    """Confidence from which something is a face; None leaves it to the detector."""
    options: tuple[tuple[str, Any], ...] = ()
    """Further options of the detector, as pairs of name and value."""
    padding: float | None = None
    """By which share of its shorter side an image that is cut round a face is continued; None: `CUT_FRAMES` says."""
    upscale_to: int | None = None
    """Images that are cut round a face are enlarged for the search to so many pixels; None: `CUT_FRAMES` says."""
    smallest_share: float = 0.4
    """Share of the side of a cut image that a face must cover; it spares the detector the fine half of its search."""
    largest_outside: float = 0.55
    """Crops with a larger share outside the picture are refused: mostly profiles, and faces cut in half."""

    @property
    def settings(self) -> dict[str, Any]:
        """Return what decides which crops come out, for a prepared set's manifest; loads the detector."""
        padding, upscale_to = self._frame
        own = {"padding": padding, "upscale_to": upscale_to}
        own |= {name: getattr(self, name) for name in ("smallest_share", "largest_outside")}
        return {"name": self.detector, **self._finder.settings, **own}

    @property
    def padding_used(self) -> float:
        """By which share of its shorter side an image that is cut round a face is continued."""
        return self._frame[0]

    def __call__(self, images: Sequence[np.ndarray], faces: Sequence[str]) -> list[Cropped | str]:
        """Return for each uint8 (height, width, 3) RGB image its crop, (size, size, 3), or why there is none.

        `faces` says for each which face is meant, one of `mien.datasets.sample.FACES`.
        """
        found = self.find(images, faces)
        return [self.crop(*each) for each in zip(images, found, faces, strict=True)]

    def find(self, images: Sequence[np.ndarray], faces: Sequence[str]) -> list[list[Detection]]:
        """Return all faces of each image, largest first, in its pixels; `faces` as above decides how they are sought."""
        detections: list[list[Detection]] = [[] for _ in images]
        for cut in (True, False):
            members = [index for index, face in enumerate(faces) if (face == "cut") == cut]
            chosen = [images[index] for index in members]
            found = self._find_in_cut(chosen) if cut else self._finder.detect(chosen)
            for index, each in zip(members, found, strict=True):
                detections[index] = each
        return detections

    def crop(self, image: np.ndarray, detections: Sequence[Detection], face: str) -> Cropped | str:
        """Return the crop of the face that is meant among those that were found, or why there is none."""
        chosen = choose_face(detections, face, image.shape[1])
        if isinstance(chosen, str):
            return chosen
        try:
            alignment = estimate_alignment(chosen.landmarks)
        except FaceError as error:
            return str(error)
        outside = _share_outside(alignment, image.shape)
        if outside > self.largest_outside:
            return f"{outside:.0%} of the face's crop is outside the picture"
        return Cropped(crop_face(image, alignment, self.size), alignment.frame(image.shape[1], image.shape[0]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings, not the networks."""
        return FaceAligner, tuple(getattr(self, field.name) for field in fields(self))

    @cached_property
    def _finder(self) -> Detector:
        chosen = {} if self.threshold is None else {"threshold": self.threshold}
        return load_detector(self.detector, self.device, **chosen, **dict(self.options))

    @property
    def _frame(self) -> tuple[float, int]:
        padding, upscale_to = CUT_FRAMES.get(self.detector, CUT_FRAMES["mtcnn"])
        return (
            padding if self.padding is None else self.padding,
            upscale_to if self.upscale_to is None else self.upscale_to,
        )

    def _find_in_cut(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Find faces in images that are cut round them, which must cover a good part of the image."""
        frames = [_frame(image, *self._frame) for image in images]
        # Images with one size of smallest face are searched together.
        groups: dict[float, list[int]] = {}
        for index, frame in enumerate(frames):
            smallest = self.smallest_share * min(images[index].shape[:2]) / float(frame.pixel.max())
            groups.setdefault(smallest, []).append(index)
        results: list[list[Detection]] = [[] for _ in images]
        for smallest, members in groups.items():
            found = self._finder.detect([frames[i].pixels for i in members], minimum_size=smallest)
            for index, each in zip(members, found, strict=True):
                results[index] = [frames[index].to_image(detection) for detection in each]
        return results


def choose_face(detections: Sequence[Detection], face: str, width: int) -> Detection | str:
    """Return the face that is meant, one of `mien.datasets.sample.FACES`, or why there is none.

    `detections` come largest first, as a detector returns them; `width` is that of the image. Left and right are those
    of the image and of its two largest faces; a face that was found alone counts only in its own half.
    """
    if not detections:
        return "no face found"
    if face in ("cut", "largest"):
        return detections[0]
    if face == "confident":
        return max(detections, key=lambda detection: detection.confidence)
    if face not in ("left", "right"):
        raise ValueError(f"face {face!r}")
    by_side = sorted(detections[:2], key=_centre, reverse=face == "right")
    if len(by_side) == 1 and (_centre(by_side[0]) < width / 2) != (face == "left"):
        return "only the other person's face was found"
    return by_side[0]


def _centre(detection: Detection) -> float:
    return (detection.box[0] + detection.box[2]) / 2


@dataclass(frozen=True, eq=False)
class _Frame:
    """An image made ready for a detector."""

    pixels: np.ndarray
    """uint8, enlarged and continued on all sides."""
    margin: int
    """By how many of its pixels it was continued."""
    pixel: np.ndarray
    """Width and height of one of its pixels, in pixels of the image."""

    def to_image(self, detection: Detection) -> Detection:
        """Bring a detection back to the pixels of the image."""
        corners = (np.reshape(detection.box, (2, 2)) - self.margin) * self.pixel
        x0, y0, x1, y1 = (float(value) for value in corners.ravel())
        return Detection((x0, y0, x1, y1), detection.confidence, (detection.landmarks - self.margin) * self.pixel)


def _frame(image: np.ndarray, padding: float, upscale_to: int) -> _Frame:
    height, width = image.shape[:2]
    enlarge = max(1.0, upscale_to / min(height, width))
    pixels = resize(image, (round(height * enlarge), round(width * enlarge)))
    rows, columns = pixels.shape[:2]
    margin = round(padding * min(rows, columns))
    pixels = extend(pixels, -margin, -margin, columns + margin, rows + margin)
    return _Frame(pixels, margin, np.array([width / columns, height / rows]))


def _share_outside(alignment: Alignment, shape: tuple[int, ...]) -> float:
    """Return which share of the crop lies beyond the picture, counted on a grid of 24 x 24 points."""
    steps = (np.arange(24) + 0.5) / 24
    points = alignment.to_photo(np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2))
    return 1.0 - float(((points > 0) & (points < [shape[1], shape[0]])).all(axis=1).mean())
