"""Files of others: tensors come out, and nothing that the file holds is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from mien.errors import WeightsError
from mien.pickled import read_pickled


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


def test_tensors_come_back(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(3.0), "b": torch.eye(2)}, tmp_path / "good.pth")

    tensors = read_pickled(tmp_path / "good.pth")

    assert tensors["a"].tolist() == [0, 1, 2] and torch.equal(tensors["b"], torch.eye(2))


def test_a_bomb_does_not_go_off(tmp_path: Path) -> None:
    path, target = tmp_path / "bomb.pth", tmp_path / "ran"
    torch.save({"a": torch.zeros(1), "bomb": Bomb(target)}, path)

    with pytest.raises(WeightsError, match="wants code to be run"):
        read_pickled(path)
    assert not target.exists()

    torch.load(path, weights_only=False)  # the bomb is a real one
    assert target.exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", None])
def test_broken_files_are_said_to_be_broken(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file.pth"
    if content is None:
        torch.save({"a": torch.zeros(1000)}, path)
        content = path.read_bytes()[:500]
    path.write_bytes(content)

    with pytest.raises(WeightsError, match="damaged") as caught:
        read_pickled(path)
    assert caught.value.hint


@pytest.mark.parametrize("held", [[torch.zeros(1)], {}, {"a": 1}, torch.zeros(1)])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, held: object) -> None:
    torch.save(held, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        read_pickled(tmp_path / "file.pth")


def test_a_torch_that_can_be_tricked_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "good.pth")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cu121")
    with pytest.raises(WeightsError, match="CVE-2025-32434"):
        read_pickled(tmp_path / "good.pth")
