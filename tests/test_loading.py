"""Every way to name a model leads to it, and what is missing is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from portable_models import ganmut_onnx
from untrained import write_run

import mien
from mien import loading
from mien.errors import WeightsError
from mien.faces.mtcnn import MTCNN
from mien.faces.mtcnn_onnx import PortableMTCNN
from mien.loading import open_model
from mien.portable import PortableModel
from mien.pretrained import Model, export
from mien.shipped import DEFAULT, shipped


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes packages look as if they were not installed."""

    def lack(*packages: str) -> None:
        monkeypatch.setattr(loading, "installed", lambda package: package not in packages)

    return lack


def test_torch_runs_names_runs_and_safetensors(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    weights = export(run, tmp_path / "tiny.safetensors")
    for source, name in ((None, DEFAULT), (DEFAULT, DEFAULT), (run.path, "run"), (str(weights), "tiny")):
        model = open_model(source)
        assert isinstance(model, Model) and model.name == name


def test_onnxruntime_runs_onnx_with_its_own_detector(tmp_path: Path) -> None:
    file = tmp_path / "tiny.onnx"
    file.write_bytes(ganmut_onnx())
    assert isinstance(open_model(file), PortableModel)
    assert isinstance(mien.load(file).detector, PortableMTCNN)
    assert isinstance(mien.load(str(file), detector="mtcnn", threshold=0.5).detector, PortableMTCNN)
    assert isinstance(mien.load(write_run(tmp_path / "run").path).detector, MTCNN)


def test_without_torch_the_onnx_file_beside_the_weights_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking
) -> None:
    lacking("torch")
    monkeypatch.setattr(loading, "WEIGHTS", tmp_path)
    for source in (None, DEFAULT, write_run(tmp_path / "run").path):
        with pytest.raises(WeightsError, match="needs torch") as refusal:
            open_model(source)
        assert "mien[torch]" in refusal.value.hint
    (tmp_path / f"{DEFAULT}.onnx").write_bytes(ganmut_onnx())
    for source in (None, DEFAULT):
        assert isinstance(open_model(source), PortableModel)
    lacking("torch", "onnxruntime")
    with pytest.raises(WeightsError, match="onnx and onnxruntime are needed") as refusal:
        open_model()
    assert "mien[onnx]" in refusal.value.hint and "mien[torch]" in refusal.value.hint


def test_what_is_not_there_is_refused_with_or_without_torch(tmp_path: Path, lacking) -> None:
    for packages in ((), ("torch",)):
        lacking(*packages)
        with pytest.raises(WeightsError, match="no model `") as refusal:
            open_model(tmp_path / "nothing")
        assert ".onnx" in refusal.value.hint and shipped()[0] in refusal.value.hint


def test_onnx_without_onnxruntime_names_the_extra(tmp_path: Path, lacking) -> None:
    lacking("onnxruntime")
    with pytest.raises(WeightsError, match="needed") as refusal:
        open_model(tmp_path / "model.onnx")
    assert refusal.value.hint == "`pip install 'mien[onnx]'`"


def test_installed_looks_for_a_package_without_importing_it() -> None:
    assert loading.installed("json") and not loading.installed("no_such_package_of_anybody")
