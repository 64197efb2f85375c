"""Windows lie where an aligned face has what they are named after."""

from __future__ import annotations

import numpy as np
import torch

from mien.face_windows import edge_window, eyes_window, mouth_window, nose_window
from mien.faces.align import FACE_TEMPLATE


def test_edge_window_is_zero_at_the_edge_one_inside_and_smooth_between() -> None:
    window = edge_window(100, 200, 0.1, torch.device("cpu"))
    assert window.shape == (100, 200)
    assert torch.allclose(window, window.flip(0)) and torch.allclose(window, window.flip(1))
    assert window[50, 100].item() == window[10, 20].item() == 1.0
    distance = (torch.arange(10) + 0.5) / 10  # of row centres from the edge, in margins
    assert torch.allclose(window[:10, 100], 3 * distance**2 - 2 * distance**3, atol=1e-6)
    assert window[0].max().item() < 0.01


def test_the_mouths_window_holds_the_mouth_of_an_aligned_face_and_neither_eyes_nor_nose() -> None:
    window = mouth_window(200, 100, torch.device("cpu"))
    left_eye, right_eye, nose, *corners = ((int(200 * y), int(100 * x)) for x, y in FACE_TEMPLATE)
    middle = tuple(int(v) for v in np.mean(corners, axis=0))
    assert window[middle] > 0.99
    assert all(window[corner] > 0.6 for corner in corners)
    assert all(window[place] < 1e-3 for place in (left_eye, right_eye, nose))
    assert float(window.max()) <= 1 and float(window.min()) >= 0
    assert torch.allclose(window, window.flip(-1), atol=1e-6)
    assert mouth_window(50, 25, torch.device("cpu"))[middle[0] // 4, middle[1] // 4] > 0.99  # of any size


def test_the_eyes_window_holds_the_irises_of_an_aligned_face_and_neither_brows_nor_nose() -> None:
    window = eyes_window(200, 100, torch.device("cpu"))
    left, right, nose, *_ = ((int(200 * y), int(100 * x)) for x, y in FACE_TEMPLATE)
    assert window[left] > 0.99 and window[right] > 0.99
    brow, between = (left[0] - 200 // 10, left[1]), (left[0], 50)
    assert all(window[place] < 1e-3 for place in (nose, brow, between))
    assert float(window.max()) <= 1 and float(window.min()) >= 0
    assert torch.allclose(window, window.flip(-1), atol=1e-6)


def test_the_noses_window_holds_the_tip_of_an_aligned_nose_and_neither_eyes_nor_lips() -> None:
    window = nose_window(200, 100, torch.device("cpu"))
    left, right, tip, *corners = ((int(200 * y), int(100 * x)) for x, y in FACE_TEMPLATE)
    assert window[tip] > 0.99
    middle = tuple(int(v) for v in np.mean(corners, axis=0))
    wing, cheek = (tip[0], tip[1] - 10), (tip[0], tip[1] - 20)  # the corners of the mouth are 14 beside the middle
    assert 0.3 < window[wing] < 0.7 and window[cheek] < 1e-3
    assert all(window[place] < 1e-3 for place in (left, right, *corners, middle))
    assert float(window.max()) <= 1 and float(window.min()) >= 0
    assert torch.allclose(window, window.flip(-1), atol=1e-6)
