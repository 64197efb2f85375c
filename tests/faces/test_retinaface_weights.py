"""Where RetinaFace's weights come from: found, fetched from a folder that stands for GitHub, refused, kept."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mien.errors import WeightsError
from mien.faces import retinaface_weights as weights


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of a machine whose GitHub is not there, and which has no folder of weights."""
    monkeypatch.delenv("MIEN_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "URL", (tmp_path / "nowhere.pth").as_uri())
    return tmp_path / "cache" / "mien"


def test_they_are_fetched_once_and_kept_without_pickle(
    away: Path, published_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "URL", published_weights.as_uri())
    fetched = weights.published_tensors()
    said = capsys.readouterr()
    assert said.out == ""
    assert "fetched 1.8 of 1.8 MB" in said.err
    assert [path.name for path in away.iterdir()] == ["retinaface_mobilenet0.25.safetensors"]
    monkeypatch.setattr(weights, "URL", "file:///nowhere")
    kept = weights.published_tensors()
    assert capsys.readouterr().err == ""
    assert fetched.keys() == kept.keys()
    assert all(torch.equal(fetched[name], kept[name]) for name in kept)
    assert len(kept) == 253  # 300 in the file, of which 47 only count batches


def test_without_network_there_is_one_error_with_the_ways_out(away: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be fetched") as refused:
        weights.published_tensors()
    assert "MIEN_WEIGHTS" in refused.value.hint
    assert weights.URL in refused.value.hint
    assert not away.exists()


@pytest.mark.parametrize("length", [0, 5, weights.SIZE, weights.SIZE + 70_000])
def test_another_file_is_refused_before_it_is_read(length: int, away: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "nowhere.pth").write_bytes(bytes(length))
    with pytest.raises(WeightsError, match="not the published RetinaFace"):
        weights.published_tensors()
    assert not away.exists()


class Trap:
    """Unpickled, it leaves a trace."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("trap-was-sprung"),)


def test_a_pickle_in_the_folder_of_weights_is_not_opened(
    away: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path))
    (tmp_path / "mobilenet0.25_Final.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="not the published RetinaFace"):
        weights.published_tensors()
    assert not (tmp_path / "trap-was-sprung").exists()


def test_a_folder_without_them_is_no_obstacle(away: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="cannot be fetched"):
        weights.published_tensors()


@pytest.mark.parametrize("harm", ["cut short", "one value", "another shape"])
def test_a_harmed_cache_is_fetched_anew(
    harm: str, away: Path, published_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "URL", published_weights.as_uri())
    whole = weights.published_tensors()
    (kept,) = away.iterdir()
    if harm == "cut short":
        kept.write_bytes(kept.read_bytes()[:-100])
    else:
        tensors = load_file(kept)
        name = "fpn.merge1.0.weight"
        tensors[name] = tensors[name] + 1e-3 if harm == "one value" else tensors[name][:5].clone()
        save_file(tensors, kept)
    again = weights.published_tensors()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert weights.tensors_sha256(load_file(kept)) == weights.TENSORS_SHA256


def test_a_cache_that_cannot_be_written_costs_only_the_keeping(
    away: Path, published_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "URL", published_weights.as_uri())
    away.parent.write_text("a file where the folder should be")
    assert weights.published_tensors()
    assert "cannot be kept" in capsys.readouterr().err
