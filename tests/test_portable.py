"""Models out of ONNX files: the editor runs from them without torch, and nothing altered or foreign is opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from films_made import write_film
from onnx import TensorProto, helper
from portable_models import ganmut_onnx
from untrained import write_run

import mien
from mien.conditions import Condition
from mien.errors import ConfigError, WeightsError
from mien.faces.mtcnn_onnx import PortableMTCNN
from mien.images import read_image, write_photo
from mien.portable import FORMATS, load_portable, open_portable, seal
from mien.prepared import PreparedSet
from mien.pretrained import export

ASTRONAUT = Path(__file__).parent.parent / "assets" / "astronaut.png"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of an ONNX model."""
    path = tmp_path / "model.onnx"
    path.write_bytes(ganmut_onnx())
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return the path of the astronaut's head in colour, 216 x 224 pixels."""
    write_photo(tmp_path / "photo.png", np.ascontiguousarray(read_image(ASTRONAUT)[4:228, 116:332]))
    return tmp_path / "photo.png"


def test_the_editor_gives_what_the_editor_with_torch_gives(file: Path, photo: Path, tmp_path: Path) -> None:
    weights = export(write_run(tmp_path / "run"), tmp_path / "tiny.safetensors")
    light, heavy = mien.load(file), mien.load(weights)
    assert isinstance(light.detector, PortableMTCNN)
    original = read_image(photo).astype(int)
    for condition in (Condition.named("surprise", 1.0), Condition.polar(2.0, 0.5)):
        one, other = light.edit(photo, condition).astype(int), heavy.edit(photo, condition).astype(int)
        assert np.abs(other - original).max() > 20  # it is an edit
        assert np.abs(one - other).max() <= 1
        assert np.abs(one - other).mean() < 1e-3
    one, other = light.read(light.find(photo)[0]), heavy.read(heavy.find(photo)[0])
    assert one.expressions == pytest.approx(other.expressions, abs=1e-4)


_WITHOUT_TORCH = """
import importlib.abc, sys

class Refusal(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "jaxtyping", "lightning_fabric", "onnxscript"}:
            raise ModuleNotFoundError(f"{name} is refused", name=name)

sys.meta_path.insert(0, Refusal())
from mien.apps.cli import main
main(sys.argv[1:])
"""


def without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process in which torch cannot be imported."""
    command = [sys.executable, "-c", _WITHOUT_TORCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})


def test_the_command_line_edits_without_torch(file: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    done = without_torch("edit", photo, "--model", file, "--expression", "surprise", "--intensity", "1", "-o", out)
    assert done.returncode == 0, done.stderr
    # This process has torch, which also samples the photo; the other one did so in numpy.
    expected = mien.load(file).edit(photo, Condition.named("surprise", 1.0)).astype(int)
    assert np.abs(read_image(out).astype(int) - expected).max() <= 1


def test_photos_are_read_into_tables_without_torch(file: Path, photo: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "one.csv", tmp_path / "one.png"):
        done = without_torch("read", photo, "--model", file, "-o", out)
        assert done.returncode == 0 and out.stat().st_size > 0, done.stderr
    (other := tmp_path / "other.png").write_bytes(photo.read_bytes())
    done = without_torch("read", photo, other, "--model", file, "--json")
    names = [json.loads(line)["photo"] for line in done.stdout.splitlines()]
    assert (done.returncode, names) == (0, [str(photo), str(other)]), done.stderr


def test_a_film_is_read_and_drawn_without_torch(file: Path, photo: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / "talk.mp4", [read_image(photo)[:512, :512]] * 6)
    for out in (tmp_path / "talk.csv", tmp_path / "talk.svg"):
        done = without_torch("read", film, "--model", file, "-o", out)
        assert done.returncode == 0 and out.stat().st_size > 0, done.stderr


def test_numbers_of_a_training_are_written_without_torch(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    run.stats_path.write_text('{"step": 1, "critic/adv": 0.5}\n{"step": 2, "critic/adv": 0.25}\n')
    done = without_torch("curves", run.path, "-o", tmp_path / "numbers.csv")
    assert done.returncode == 0, done.stderr
    assert "0.25" in (tmp_path / "numbers.csv").read_text("utf-8")


def test_a_chart_without_matplotlib_is_refused_before_the_film_is_read(file: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from mien.apps.cli import main; main(sys.argv[1:])"
    arguments = ["read", tmp_path / "no such film.mp4", "--model", file, "-o", tmp_path / "chart.svg"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 2 and "pip install matplotlib" in done.stderr


def test_sets_are_prepared_and_detectors_compared_without_torch(photo: Path, tmp_path: Path) -> None:
    drawn = ("prepare", "drawn", "--option", "count=14", "--size", "48", "--detector", "mtcnn", "--workers", "0")
    done = without_torch(*drawn, "--out", tmp_path / "set")
    assert done.returncode == 0, done.stderr
    assert PreparedSet.open(tmp_path / "set").manifest["recipe"]["detector"]["name"] == "mtcnn"  # which finds the same
    for more in (["--out", tmp_path / "study", "--detector", "mtcnn-onnx"], []):
        done = without_torch("detect-study", photo.parent, *more)
        assert done.returncode == 0 and ("MTCNN alone" in done.stderr) is not bool(more), done.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("train smoke --data . --out run", "train"),
        ("train-judge resnet18-small --data . --out run", "bench"),
        ("bench ganmut-mixed-128 --data . --out report", "bench"),
        ("export ganmut-mixed-128 -o model.onnx", "export"),
        ("presets", "torch"),
    ],
)
def test_what_is_missing_is_named_with_the_extra_that_brings_all_of_it(arguments: str, extra: str) -> None:
    done = without_torch(*arguments.split())
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"hint: `pip install 'mien[{extra}]'` brings it"


def test_a_model_that_needs_torch_says_so_in_one_line(photo: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run").path
    done = without_torch("edit", photo, "--model", run, "--expression", "happy", "-o", tmp_path / "out.png")
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error == f"error: `{run}` needs torch, which is not installed"
    assert "mien[torch]" in hint and ".onnx" in hint


def test_the_reader_needs_no_codes_and_the_renderer_no_critic(file: Path) -> None:
    model = load_portable(file)
    assert [given.name for given in model.reader.get_inputs()] == ["images"]
    assert [given.name for given in model.renderer.get_inputs()] == ["images", "codes"]
    assert [result.name for result in model.renderer.get_outputs()] == ["displacement", "delta", "wipe"]


# --- what is not opened ------------------------------------------------------------------------------------------


def test_every_part_of_the_file_is_under_its_hash(file: Path) -> None:
    content = bytearray(ganmut_onnx())
    for place in (10, 300, len(content) // 2, len(content) - 5):
        content[place] ^= 1
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=r"altered|no model that mien wrote"):
            load_portable(file)
        content[place] ^= 1
    file.write_bytes(content)
    assert load_portable(file).image_size == 32


@pytest.mark.parametrize("length", [0, 20, 5000, -1])
def test_a_file_that_was_cut_short_is_refused(file: Path, length: int) -> None:
    file.write_bytes(ganmut_onnx()[:length])
    with pytest.raises(WeightsError, match=r"cut short|no model that mien wrote") as refusal:
        load_portable(file)
    assert "export" in refusal.value.hint


def foreign() -> onnx.ModelProto:
    """Return a model of something else: it adds one."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "foreign", [value], [result])
    return helper.make_model(graph)


def test_a_model_of_something_else_is_refused(file: Path) -> None:
    file.write_bytes(foreign().SerializeToString())
    with pytest.raises(WeightsError, match="no model that mien wrote"):
        load_portable(file)
    with pytest.raises(WeightsError, match=r"is broken: 'mien\.format'"):
        open_portable(seal(foreign()), "a sealed stranger")


def resealed(**changes: str) -> bytes:
    """Return the model with other facts in its metadata, and a hash that fits."""
    model = onnx.load_model_from_string(ganmut_onnx())
    facts = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, facts | {f"mien.{name}": value for name, value in changes.items()})
    return seal(model)


def test_a_file_of_a_newer_mien_asks_for_an_update() -> None:
    with pytest.raises(WeightsError, match=f"has format {FORMATS[-1] + 1}") as refusal:
        open_portable(resealed(format=str(FORMATS[-1] + 1)), "it")
    assert refusal.value.hint == "update mien"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "{"}, "is broken"),
        ({"space": json.dumps({"kind": "sphere"})}, "unknown kind of conditional space `sphere`"),
        ({"image_size": "large"}, "is broken"),
    ],
)
def test_metadata_that_says_nothing_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        open_portable(resealed(**changes), "it")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(WeightsError, match="cannot read"):
            load_portable(path)


def test_devices_that_onnxruntime_has_not_are_refused(file: Path) -> None:
    for device in ("mps", "cuda:x", "cpu:1", ""):
        with pytest.raises(ConfigError, match="has no device"):
            load_portable(file, device)
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ConfigError, match="cannot use `cuda`"):
            load_portable(file, "cuda")
