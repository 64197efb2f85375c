"""RetinaFace against batch normalisation as torch does it, mirrors, sizes, drawn faces, and MTCNN's landmarks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from portrait import ASTRONAUT, MIRRORED
from torch import nn

from mien.datasets import drawn
from mien.detection_study import overlap
from mien.errors import ConfigError
from mien.faces.mtcnn import MTCNN
from mien.faces.retinaface import RetinaFace, _Network, fold_normalisation
from mien.images import resize


def test_folding_equals_convolution_then_normalisation() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6).eval()
    with torch.no_grad():
        for tensor in (norm.running_mean, norm.weight, norm.bias):
            tensor.normal_()
        norm.running_var.uniform_(0.1, 3)
    published = {"fpn.merge1.0.weight": conv.weight}
    published |= {f"fpn.merge1.1.{name}": tensor for name, tensor in norm.state_dict().items()}
    folded = fold_normalisation(published)
    assert set(folded) == {"merge.0.weight", "merge.0.bias"}
    x = torch.randn(2, 4, 9, 8)
    found = torch.nn.functional.conv2d(x, folded["merge.0.weight"], folded["merge.0.bias"])
    assert torch.allclose(found, norm(conv(x)), atol=1e-5)


def test_every_level_may_be_left_out_from_the_finest_on() -> None:
    torch.manual_seed(1)
    network, x = _Network().eval(), torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        whole = network(x)
        for first in (1, 2):
            for expected, found in zip(whole[first:], network(x, first), strict=True):
                assert all(torch.equal(*pair) for pair in zip(expected, found, strict=True))
    assert [tuple(face.shape) for face, _, _ in whole] == [(2, 8, 12, 2), (2, 4, 6, 2), (2, 2, 3, 2)]


def test_the_portrait_has_one_face_where_it_is(retinaface: RetinaFace, mtcnn: MTCNN, astronaut: np.ndarray) -> None:
    ((face,),) = retinaface.detect([astronaut])
    ((other,),) = mtcnn.detect([astronaut])
    assert face.confidence > 0.99
    assert overlap(np.array(face.box), np.array(other.box)) > 0.8
    assert np.abs(face.landmarks - ASTRONAUT).max() < 4
    assert np.abs(face.landmarks - other.landmarks).max() < 3


def test_a_mirrored_photo_gives_the_mirrored_face(retinaface: RetinaFace) -> None:
    # No network is wholly symmetric; half a pixel of error in the coordinates would show in the mean over many.
    boxes, points, eyes = [], [], []
    for index, (_, _, _, face) in enumerate(drawn.faces(42, seed=9)):
        edges = ((index, 9), (2 * index, 5), (0, 0))  # so that the face stands anywhere in the network's grid
        photo = np.pad(drawn.draw(face, 100 + 5 * index), edges, mode="edge")
        width = photo.shape[1]
        (plain,), (mirrored,) = retinaface.detect([photo, np.ascontiguousarray(photo[:, ::-1])])
        x0, y0, x1, y1 = mirrored.box
        boxes.append(np.array(plain.box) - [width - x1, y0, width - x0, y1])
        points.append(plain.landmarks - (mirrored.landmarks[MIRRORED] * [-1, 1] + [width, 0]))
        eyes.append(np.linalg.norm(plain.landmarks[1] - plain.landmarks[0]))
    assert (np.abs(boxes).max(axis=1) < 0.25 * np.array(eyes)).all()
    assert (np.abs(points).max(axis=(1, 2)) < 0.2 * np.array(eyes)).all()
    # An offset d of all x would show as 2 d here, half a pixel as 1; of y the mirror says nothing.
    assert abs(np.mean(points, axis=(0, 1))[0]) < 0.4


def test_faces_of_all_sizes_are_found_in_one_photo_size(retinaface: RetinaFace, astronaut: np.ndarray) -> None:
    head = astronaut[20:220, 120:320]  # its face is 0.6 of it: 38 to 770 pixels
    for side in (64, 128, 256, 500, 700, 900, 1280):
        photo = resize(head, (side, side))
        found = retinaface.detect([photo], minimum_size=0.2 * side)[0]
        assert len(found) == 1, side
        assert np.abs(found[0].landmarks * 200 / side + [120, 20] - ASTRONAUT).max() < 8, side


def test_drawn_landmarks_are_met_without_bias(retinaface: RetinaFace) -> None:
    faces = [face for _, _, _, face in drawn.faces(21, seed=4)]
    errors = []
    for face, found in zip(faces, retinaface.detect([drawn.draw(face, 224) for face in faces]), strict=True):
        assert len(found) == 1
        truth = drawn.landmarks(face, 224)
        errors.append((found[0].landmarks - truth) / np.linalg.norm(truth[1] - truth[0]))
    assert np.abs(errors).mean() < 0.1
    # Eyes and corners of the mouth, left against right: drawn faces are symmetric, and x must not lean to one side.
    assert abs(np.mean(errors, axis=0)[:, 0].mean()) < 0.04


def test_sizes_and_thresholds_are_respected(retinaface: RetinaFace, astronaut: np.ndarray) -> None:
    assert len(retinaface.detect([astronaut], minimum_size=100)[0]) == 1
    assert retinaface.detect([astronaut], minimum_size=200) == [[]]
    many = RetinaFace(threshold=0.01, overlap=0.9).detect([astronaut])[0]
    few = RetinaFace(threshold=0.01, overlap=0.2).detect([astronaut])[0]
    assert len(many) > len(few) > 1
    assert all(face.confidence > 0.01 for face in many)
    assert all(a.area >= b.area for a, b in itertools.pairwise(many))
    two = np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)
    shrunk = RetinaFace(longest_side=256).detect([two])[0]
    assert len(shrunk) == 2
    assert min(np.abs(face.landmarks - ASTRONAUT).max() for face in shrunk) < 8


def test_batches_give_the_same_faces_as_single_images(retinaface: RetinaFace, astronaut: np.ndarray) -> None:
    images = [np.ascontiguousarray(astronaut[i : i + 256, 90 + i : 346 + i]) for i in range(0, 40, 8)]
    images.append(np.full((256, 256, 3), 99, np.uint8))
    together = retinaface.detect(images)
    assert together[-1] == []
    for faces, image in zip(together[:-1], images, strict=False):
        (alone,) = retinaface.detect([image])
        assert len(faces) == len(alone) == 1
        assert np.abs(faces[0].landmarks - alone[0].landmarks).max() < 1e-3


@pytest.mark.parametrize("option", [{"threshold": 0.0}, {"overlap": 1.0}, {"minimum_size": -1}, {"longest_side": 8}])
def test_settings_out_of_range_are_refused(option: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        RetinaFace(**option)
