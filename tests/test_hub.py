"""Models go to folders and to the hub and come back as they were; what was altered or is of others is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import LocalTokenNotFoundError
from portable_models import ganmut_onnx
from untrained import write_run

import mien
from mien import exporting, hub, loading
from mien.errors import WeightsError
from mien.files import file_sha256
from mien.hub import fetch, pull, push
from mien.portable import PortableModel
from mien.pretrained import Model, export, load_model


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return the path of an exported model, with its JSON beside it."""
    return export(write_run(tmp_path / "run"), tmp_path / "tiny.safetensors", {"licence": "MIT"})


@pytest.fixture
def pushed(weights: Path, tmp_path: Path) -> Path:
    """Return a folder of `push`."""
    return Path(push(weights, tmp_path / "models" / "tiny"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same(one: Model, other: Model) -> bool:
    images = np.random.default_rng(0).uniform(-1, 1, (2, 1, 32, 32)).astype(np.float32)
    codes = np.array([[0.5, 0.5], [-1, 0]], np.float32)
    outputs = zip(one.render(images, codes), other.render(images, codes), strict=True)
    return one.sha256 == other.sha256 and all(np.array_equal(a, b) for a, b in outputs)


# --- folders -----------------------------------------------------------------------------------------------------


def test_a_pushed_folder_has_the_hubs_layout_and_loads(pushed: Path, weights: Path) -> None:
    assert names(pushed) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((pushed / "config.json").read_text())
    assert config == {"name": "tiny", **json.loads(weights.with_suffix(".json").read_text())}
    assert file_sha256(pushed / "model.safetensors") == config["sha256"]
    model = load_model(pushed)
    assert model.name == "tiny" and same(model, load_model(weights))
    assert 'license: "mit"' in (pushed / "README.md").read_text()
    assert names(pushed.parent) == ["tiny"]


def test_a_run_is_pushed_as_it_would_be_exported(weights: Path, tmp_path: Path) -> None:
    folder = Path(push(tmp_path / "run", tmp_path / "pushed"))
    assert same(load_model(folder), load_model(weights))


def test_a_pulled_folder_is_a_copy_and_can_be_pushed_on(pushed: Path, tmp_path: Path) -> None:
    (pushed / "pytorch_model.bin").write_bytes(pickle.dumps("not for us"))
    pulled = pull(pushed, tmp_path / "new" / "copy")
    assert names(pulled) == ["README.md", "config.json", "model.safetensors"]
    again = Path(push(pulled, tmp_path / "again"))
    assert (again / "config.json").read_bytes() == (pushed / "config.json").read_bytes()


def test_with_onnx_the_folder_works_where_torch_is_missing(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(source: Path, out: Path) -> None:
        assert load_model(source).name == "tiny"
        out.write_bytes(ganmut_onnx())

    monkeypatch.setattr(exporting, "export_onnx", write)
    folder = Path(push(weights, tmp_path / "both", onnx=True))
    copied = pull(folder, tmp_path / "copied")
    assert names(copied) == ["README.md", "config.json", "model.onnx", "model.safetensors"]
    monkeypatch.setattr(loading, "installed", lambda package: package != "torch")
    assert isinstance(mien.load(copied).model, PortableModel)


def test_a_folder_that_holds_something_is_left_alone(weights: Path, pushed: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in pushed.iterdir()}
    for act in (lambda: push(weights, pushed), lambda: pull(pushed, pushed), lambda: pull(pushed, weights)):
        with pytest.raises(WeightsError, match="exists and is not empty"):
            act()
    assert {path: path.read_bytes() for path in pushed.iterdir()} == before
    (tmp_path / "empty").mkdir()
    assert load_model(pull(pushed, tmp_path / "empty")).name == "tiny"


def alter_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")


def alter_config(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (alter_weights, "does not match its hash"),
        (lambda folder: (folder / "config.json").unlink(), "config.json missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors missing"),
        (lambda folder: shutil.rmtree(folder), "config.json and model.safetensors missing"),
        (lambda folder: alter_config(folder, "{"), "config.json is broken"),
        (lambda folder: alter_config(folder, "[1]"), "config.json is broken"),
        (lambda folder: alter_config(folder, '{"model_type": "bert"}'), "of another program"),
    ],
)
def test_what_is_no_whole_model_is_not_pulled(
    pushed: Path, tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    spoil(pushed)
    before = names(tmp_path)
    with pytest.raises(WeightsError, match=message):
        pull(pushed, tmp_path / "copy")
    assert names(tmp_path) == before


def test_a_broken_model_is_not_pushed(weights: Path, tmp_path: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x07")
    before = names(tmp_path)
    with pytest.raises(WeightsError, match="hash"):
        push(weights, tmp_path / "pushed")
    assert names(tmp_path) == before


# --- the hub, whose functions are stood in for -------------------------------------------------------------------


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for the hub: `user/name` is a folder in it; calls are noted in `calls.json`."""
    home = tmp_path / "remote"
    home.mkdir()

    class Api:
        def __init__(self, **_: object) -> None: ...

        def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
            assert exist_ok
            (home / repo_id).mkdir(parents=True, exist_ok=True)
            (home / "private.json").write_text(json.dumps(private))
            return f"https://huggingface.co/{repo_id}"

        def upload_folder(self, *, repo_id: str, folder_path: str, revision: str | None, commit_message: str) -> None:
            assert "mien" in commit_message
            shutil.copytree(folder_path, home / repo_id, dirs_exist_ok=True)

    def download(repo_id: str, *, revision: str | None, allow_patterns: list[str], **_: object) -> str:
        target = tmp_path / "cache" / f"{repo_id}@{revision or 'main'}"
        target.mkdir(parents=True, exist_ok=True)
        for pattern in allow_patterns:
            assert "*" not in pattern
            if (home / repo_id / pattern).is_file():
                shutil.copyfile(home / repo_id / pattern, target / pattern)
        return str(target)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return home


def test_a_model_goes_to_the_hub_and_comes_back(remote: Path, weights: Path, tmp_path: Path) -> None:
    assert push(weights, "hf://ada/tiny") == "https://huggingface.co/ada/tiny"
    assert json.loads((remote / "private.json").read_text()) is True
    (remote / "ada/tiny/pytorch_model.bin").write_bytes(pickle.dumps("not for us"))
    pulled = pull("hf://ada/tiny@v1", tmp_path / "tiny")
    assert names(pulled) == ["README.md", "config.json", "model.safetensors"]
    assert 'mien.load("hf://ada/tiny")' in (pulled / "README.md").read_text()
    editor = mien.load("hf://ada/tiny")
    assert isinstance(editor.model, Model) and same(editor.model, load_model(weights))
    assert names(tmp_path / "cache/ada/tiny@main") == ["README.md", "config.json", "model.safetensors"]
    push(weights, "hf://ada/open", public=True)
    assert json.loads((remote / "private.json").read_text()) is False


def test_what_was_altered_on_the_hub_is_refused(remote: Path, weights: Path, tmp_path: Path) -> None:
    push(weights, "hf://ada/tiny")
    alter_weights(remote / "ada/tiny")
    for act in (lambda: mien.load("hf://ada/tiny"), lambda: pull("hf://ada/tiny", tmp_path / "tiny")):
        with pytest.raises(WeightsError, match="hf://ada/tiny does not match its hash"):
            act()
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize("reference", ["hf://", "hf://ada", "hf://ada/", "hf://ada/tiny/more", "hf:///tiny@v1"])
def test_names_of_no_repository_are_refused(reference: str, tmp_path: Path) -> None:
    for act in (lambda: fetch(reference), lambda: push(tmp_path / "run", reference)):
        with pytest.raises(WeightsError, match="names no repository"):
            act()


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (OSError("Name or service not known\nand a page more"), "cannot be reached .*: Name or", "network"),
        (RuntimeError("\n"), "cannot be reached .*: RuntimeError", "network"),
        (LocalTokenNotFoundError("Token is required"), "shows no .*Token is required", "hf auth login"),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_line(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str, hint: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", fail)
    before = names(tmp_path)
    for act in (lambda: push(weights, "hf://ada/tiny"), lambda: pull("hf://ada/tiny", tmp_path / "tiny")):
        with pytest.raises(WeightsError, match=message) as refusal:
            act()
        assert "\n" not in str(refusal.value) and hint in refusal.value.hint
    assert names(tmp_path) == before


def test_a_name_without_a_scheme_never_goes_to_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "_repository", lambda _: pytest.fail("the hub was asked"))
    with pytest.raises(WeightsError, match="holds no model") as refusal:
        pull("ada/tiny", tmp_path / "tiny")
    assert refusal.value.hint == "for the hub say `hf://ada/tiny`"
