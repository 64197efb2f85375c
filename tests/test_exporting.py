"""A model goes out as ONNX only if onnxruntime computes from it what torch computes; otherwise nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from portable_models import ganmut_onnx, stargan_onnx, write_stargan_run
from torch.torch_version import TorchVersion
from untrained import write_run

from mien import exporting
from mien.errors import ConfigError, MienError, WeightsError
from mien.exporting import OLDEST_TORCH, TOLERANCE, export_onnx
from mien.faces import crop_face, load_detector
from mien.faces.align import estimate_alignment
from mien.images import luma, read_image
from mien.pickled import release
from mien.portable import PortableModel, open_portable
from mien.pretrained import Model, export, load_model
from mien.runs import Run
from mien.shipped import WEIGHTS, shipped

ASTRONAUT = Path(__file__).parent.parent / "assets" / "astronaut.png"


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """Return the astronaut's aligned face, uint8 (64, 64, 3)."""
    photo = read_image(ASTRONAUT)
    (face,) = load_detector("mtcnn").detect([photo])[0]
    return crop_face(photo, estimate_alignment(face.landmarks), 64)


@pytest.fixture(params=[(write_run, ganmut_onnx), (write_stargan_run, stargan_onnx)], ids=["ganmut", "stargan"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Model, PortableModel]:
    """Return an exported model in torch and in onnxruntime."""
    write, content = request.param
    file = export(write(tmp_path / "run"), tmp_path / "run.safetensors")
    return load_model(file), open_portable(content(), "it")


def batch(model: Model, portrait: np.ndarray, count: int) -> np.ndarray:
    """Return the portrait, brighter from image to image, as the editor shows it to a model."""
    size = model.image_size
    small = portrait[:: 64 // size, :: 64 // size].astype(np.float32)
    stack = np.stack([small * (0.5 + 0.5 * i / count) for i in range(count)])
    planes = luma(stack)[:, None] if model.image_channels == 1 else stack.transpose(0, 3, 1, 2)
    return planes / np.float32(127.5) - 1


@pytest.mark.parametrize("count", [1, 3, 8])
def test_onnxruntime_gives_what_torch_gives(
    both: tuple[Model, PortableModel], portrait: np.ndarray, count: int
) -> None:
    model, portable = both
    images = batch(model, portrait, count)
    codes = np.random.default_rng(count).uniform(-1, 1, (count, model.space.size)).astype(np.float32)
    for one, other in zip(model.render(images, codes), portable.render(images, codes), strict=True):
        assert one.dtype == other.dtype == np.float32 and one.shape == other.shape
        assert np.abs(one - other).max() < TOLERANCE
    for one, other in zip(model.read(images), portable.read(images), strict=True):
        assert one.shape == other.shape and np.abs(one - other).max() < TOLERANCE
    still, moved = portable.render(images, codes * 0)[1], portable.render(images, codes)[1]
    assert np.abs(still - moved).max() > 10 * TOLERANCE  # or the comparison above would say nothing of the codes


def test_the_file_says_what_the_json_beside_the_weights_says(both: tuple[Model, PortableModel]) -> None:
    model, portable = both
    assert portable.description == model.description
    assert (portable.name, portable.sha256) == (model.name, model.sha256)
    assert (portable.image_size, portable.image_channels) == (model.image_size, model.image_channels)
    assert portable.space == model.space


def test_weights_are_stored_in_half_precision_in_the_one_file(both: tuple[Model, PortableModel]) -> None:
    model, _ = both
    content = ganmut_onnx() if model.image_channels == 1 else stargan_onnx()
    graph = onnx.load_model_from_string(content).graph
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    kernel = model.method.state_dict()["critic.main.0.weight"].numpy()
    assert any(values.shape == kernel.shape and np.array_equal(values, kernel) for values in stored.values())
    parameters = sum(tensor.numel() for tensor in model.method.state_dict().values())
    assert sum(values.size for values in stored.values() if values.dtype == np.float16) > 0.9 * parameters


@pytest.mark.parametrize("name", ["made now", *shipped()])
def test_no_path_of_the_machine_is_in_the_file(name: str) -> None:
    """Torch's exporter notes for every node in which files the code lies that made it."""
    content = ganmut_onnx() if name == "made now" else (WEIGHTS / f"{name}.onnx").read_bytes()
    assert b".py" not in content and b"site-packages" not in content


def altered(change: Callable[[onnx.ModelProto], None]) -> Callable[..., onnx.ModelProto]:
    """Return what stands in for torch's exporter and gives a graph that was changed."""

    def trace(model: Model, opset: int) -> onnx.ModelProto:
        graph_of = onnx.load_model_from_string(ganmut_onnx())
        change(graph_of)
        return graph_of

    return trace


def weaken(graph_of: onnx.ModelProto) -> None:
    """Change one weight of the generator's last layer a little."""
    for tensor in graph_of.graph.initializer:
        if "to_displacement.weight" in tensor.name:
            values = numpy_helper.to_array(tensor).copy()
            values.flat[0] += 0.01
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
            return
    raise AssertionError([tensor.name for tensor in graph_of.graph.initializer])


def test_a_graph_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run")
    monkeypatch.setattr(exporting, "_trace", altered(lambda _: None))
    export_onnx(run.path, tmp_path / "good.onnx")  # the unchanged graph passes
    monkeypatch.setattr(exporting, "_trace", altered(weaken))
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(WeightsError, match=r"(displacement|delta) differs by 0\.\d+, more than 0\.0001"):
        export_onnx(run.path, tmp_path / "new" / "bad.onnx")
    assert {path.name for path in tmp_path.iterdir()} == before


def test_what_torch_cannot_export_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("cannot convert\na page of details")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(WeightsError, match=r"torch cannot export this model: cannot convert$"):
        export_onnx(write_run(tmp_path / "run").path, tmp_path / "bad.onnx")
    assert not (tmp_path / "bad.onnx").exists()


def test_a_torch_that_writes_some_models_wrongly_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.9.1+cpu"))
    with pytest.raises(ConfigError, match=r"torch 2\.11 or newer, and this is 2\.9\.1") as error:
        export_onnx(write_run(tmp_path / "run").path, tmp_path / "bad.onnx")
    assert error.value.hint == "`pip install -U 'torch>=2.11'`"
    assert not (tmp_path / "bad.onnx").exists()
    assert release("2.11.0a0+gitabc") == release("2.11") == OLDEST_TORCH


@pytest.mark.parametrize(
    ("out", "opset", "message"),
    [
        ("model.safetensors", 20, "does not end in .onnx"),
        ("folder.onnx", 20, "is a folder"),
        ("model.onnx", 17, "opset 17 is out of range"),
        ("model.onnx", 99, "opset 99 is out of range"),
    ],
)
def test_bad_arguments_are_refused_before_the_work(tmp_path: Path, out: str, opset: int, message: str) -> None:
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises((WeightsError, ConfigError), match=message):
        export_onnx(tmp_path / "no such run", tmp_path / out, opset)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


def test_a_run_that_diverged_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    method = load_model(run.path).method
    method.generator.to_mask.bias.fill_(float("nan"))
    run.save_checkpoint(2, {f"method.{name}": tensor for name, tensor in method.state_dict().items()})
    with pytest.raises(MienError, match="diverged"):
        export_onnx(run.path, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_run_is_exported_as_its_safetensors_would_be(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    beside = json.loads(export(Run.read(run.path), tmp_path / "x.safetensors").with_suffix(".json").read_text())
    assert open_portable(ganmut_onnx(), "it").sha256 == beside["sha256"]
