"""Tracking, against films of squares whose places are known, and a real face."""

from __future__ import annotations

import numpy as np
import pytest
from films_made import Squares, landmarks_of, scene
from PIL import Image

from mien.editing.smoothing import smooth
from mien.editing.tracking import FaceTracker, Track
from mien.faces import load_detector


def follow(frames: list[np.ndarray], detector: Squares | None = None, **options) -> FaceTracker:
    tracker = FaceTracker(detector or Squares(), **options)
    for index, pixels in enumerate(frames):
        tracker.update(pixels, index / 25)
    return tracker


def seen(track: Track) -> list[int]:
    return [sighting.index for sighting in track.sightings]


def test_a_face_is_followed_and_its_landmarks_are_where_it_is() -> None:
    places = [(60 + 3.3 * i, 80 + 0.7 * i, 40 + 0.3 * i) for i in range(50)]
    detector = Squares()
    (track,) = follow([scene({"red": place}) for place in places], detector).tracks
    assert seen(track) == list(range(50))
    for sighting, place in zip(track.sightings, places, strict=True):
        assert sighting.detection.landmarks == pytest.approx(landmarks_of(*place), abs=0.8)
        x0, y0, x1, y1 = sighting.detection.box
        assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx(place[:2], abs=0.8)
    # Most frames were searched through a window alone.
    assert detector.searched < 0.5 * 50 * 240 * 320 + 60 * 160 * 160


def test_faces_that_pass_each_other_stay_themselves() -> None:
    frames = [scene({"red": (60 + 4 * i, 60, 40), "blue": (260 - 4 * i, 170, 40)}) for i in range(50)]
    tracks = follow(frames).tracks
    assert len(tracks) == 2 and all(seen(track) == list(range(50)) for track in tracks)
    for track in tracks:
        across = np.diff([sighting.detection.landmarks[:, 0].mean() for sighting in track.sightings])
        assert np.sign(across).min() == np.sign(across).max()


def test_a_face_that_is_missed_for_a_moment_is_the_same_face() -> None:
    frames = [scene({"red": (60 + 2 * i, 100, 40)}) for i in range(60)]
    blind = Squares()
    tracker = FaceTracker(blind)
    for index, pixels in enumerate(frames):
        blind._blind = lambda call, index=index: 20 <= index < 25
        tracker.update(pixels, index / 25)
    (track,) = tracker.tracks
    assert seen(track) == [*range(20), *range(25, 60)]


def test_a_face_that_stays_away_comes_back_as_another() -> None:
    there = [scene({"red": (100, 100, 40)})] * 20
    tracks = follow([*there, *[scene({})] * 25, *there]).tracks
    assert [seen(track) for track in tracks] == [list(range(20)), list(range(45, 65))]


def test_a_face_that_enters_is_known_from_its_first_frame() -> None:
    """The searches are ten frames apart; those between are looked through backwards."""
    frames = [scene({} if i < 14 else {"green": (100 + i, 100, 40)}) for i in range(40)]
    (track,) = follow(frames).tracks
    assert seen(track) == list(range(14, 40))
    (late,) = follow(frames, look_back=False).tracks
    assert seen(late)[0] > 14


def test_a_cut_ends_all_tracks_at_once() -> None:
    bright = [np.minimum(scene({"red": (100, 100, 40)}).astype(int) + 90, 255).astype(np.uint8)] * 15
    tracker = follow([*[scene({"red": (100, 100, 40)})] * 15, *bright])
    assert tracker.cuts == [0, 15]
    assert [seen(track)[0] for track in tracker.tracks][:1] == [0]
    assert max(seen(tracker.tracks[0])) == 14


def test_faces_smaller_than_asked_for_are_not_searched() -> None:
    frames = [scene({"red": (80, 100, 60), "blue": (200, 100, 24)})] * 3
    assert len(follow(frames).tracks) == 2
    assert len(follow(frames, smallest=40).tracks) == 1


def test_a_camera_forgets_what_has_left() -> None:
    tracker = FaceTracker(Squares(), look_back=False)
    for index in range(100):
        tracker.update(scene({"red": (100, 100, 40)} if index % 50 < 25 else {}), index / 25)
        tracker.forget()
    assert tracker.tracks == [] and tracker.seconds == []


def test_a_real_face_in_a_still_film_does_not_shake() -> None:
    """Noise of the camera over one photo: the smoothed landmarks' deviation is below a tenth of a pixel."""
    photo = np.asarray(Image.open("assets/astronaut.png").convert("RGB").crop((116, 4, 332, 228)), np.float64)
    random = np.random.default_rng(0)
    tracker = FaceTracker(load_detector("mtcnn"))
    for index in range(24):
        noisy = photo + random.normal(0, 4, photo.shape)
        tracker.update(noisy.round().clip(0, 255).astype(np.uint8), index / 25)
    (track,) = tracker.tracks
    raw = np.stack([sighting.detection.landmarks for sighting in track.sightings])
    assert len(raw) == 24
    steady = smooth(np.array(tracker.seconds), raw, np.ones(24, bool))
    assert steady.std(axis=0).mean() < 0.1 and steady.std(axis=0).mean() < 0.5 * raw.std(axis=0).mean()
