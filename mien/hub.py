"""Give models to others and take theirs: folders in the layout of huggingface_hub's mixin, here or on the hub.

    FOLDER/
      README.md            the model card, for people (`mien.model_card`)
      config.json          the description: method, space, data, training, measured numbers, hash of the tensors
      model.safetensors    the tensors
      model.onnx           the same for onnxruntime, where it was asked for

A place that begins with `hf://` is a repository on the hub, everything else a folder of this machine: nothing goes to the
network by a slip. What comes from the network is checked against its hash; no other file is fetched, nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mien.errors import WeightsError
from mien.model_card import model_card
from mien.shipped import FOLDER_CARD, FOLDER_CONFIG, FOLDER_PORTABLE, FOLDER_WEIGHTS
from mien.version import VERSION

SCHEME = "hf://"
_FILES = (FOLDER_CARD, FOLDER_CONFIG, FOLDER_WEIGHTS, FOLDER_PORTABLE)


def push(source: str | Path | None, target: str | Path, *, onnx: bool = False, public: bool = False) -> str:
    """Write a model (as `mien.pretrained.load_model` takes it) to a folder or, by `hf://user/name`, to the hub.

    Returns the folder, or the repository's address. A repository that does not exist is made, a private one unless it
    shall be `public`; with `onnx` the ONNX file is written too. Raises `WeightsError` where the folder holds something
    or the hub refuses.
    """
    if not str(target).startswith(SCHEME):
        with _new_folder(Path(target)) as folder:
            write_folder(source, folder, Path(target).resolve().name, onnx=onnx)
        return str(target)
    name, revision = _repository(str(target))
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory(prefix="mien-") as temporary:
        write_folder(source, Path(temporary), name, onnx=onnx)
        with _hub_errors(str(target)):
            api = HfApi(library_name="mien", library_version=VERSION)
            # Whether a repository that exists already can be seen by all stays as it is.
            address = api.create_repo(name, private=not public, exist_ok=True)
            api.upload_folder(
                repo_id=name, folder_path=temporary, revision=revision, commit_message=f"Upload by mien {VERSION}"
            )
    return str(address)


def pull(source: str | Path, out: str | Path) -> Path:
    """Copy a model from the hub (`hf://user/name`, `@revision` may follow) or from a folder to a new folder; returns it.

    Raises `WeightsError` where there is no such model, its hash does not match, or `out` holds something.
    """
    with _new_folder(Path(out)) as folder:
        origin = fetch(str(source)) if str(source).startswith(SCHEME) else _checked(Path(source), str(source))
        for name in _FILES:
            if (origin / name).is_file():
                shutil.copyfile(origin / name, folder / name)
        _checked(folder, str(source))
    return Path(out)


def fetch(reference: str) -> Path:
    """Download a model of the hub into huggingface_hub's cache, or find it there; returns the folder, checked."""
    name, revision = _repository(reference)
    from huggingface_hub import snapshot_download

    with _hub_errors(reference):
        folder = snapshot_download(
            name, revision=revision, allow_patterns=list(_FILES), library_name="mien", library_version=VERSION
        )
    return _checked(Path(folder), reference)


def write_folder(source: str | Path | None, folder: Path, name: str, *, onnx: bool = False) -> None:
    """Write a model's files into an existing folder; `name` is what the card's example loads."""
    from mien.pretrained import exported_files, load_model

    with tempfile.TemporaryDirectory(prefix="mien-") as temporary:
        weights, _ = exported_files(source, Path(temporary))
        model = load_model(weights)  # what is broken is not given to others
        shutil.copyfile(weights, folder / FOLDER_WEIGHTS)
        description = {"name": model.name, **model.description}
    (folder / FOLDER_CONFIG).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    (folder / FOLDER_CARD).write_text(model_card(description, name), encoding="utf-8")
    if onnx:
        from mien.exporting import export_onnx

        export_onnx(folder, folder / FOLDER_PORTABLE)


def _repository(reference: str) -> tuple[str, str | None]:
    """Split `hf://user/name@revision`."""
    name, _, revision = reference.removeprefix(SCHEME).strip("/").partition("@")
    if name.count("/") != 1 or not all(name.split("/")):
        raise WeightsError(f"`{reference}` names no repository", hint="for example `hf://user/name`")
    return name, revision or None


def _checked(folder: Path, source: str) -> Path:
    """Return a folder if it holds a whole and unaltered model."""
    missing = [name for name in (FOLDER_CONFIG, FOLDER_WEIGHTS) if not (folder / name).is_file()]
    if missing:
        looks_remote = not folder.exists() and source.count("/") == 1
        raise WeightsError(
            f"{source} holds no model: {' and '.join(missing)} missing",
            hint=f"for the hub say `{SCHEME}{source}`" if looks_remote else "`mien push` writes such a folder",
        )
    try:
        description: Any = json.loads((folder / FOLDER_CONFIG).read_text(encoding="utf-8"))
        wanted = description["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{source} holds no model of mien: {FOLDER_CONFIG} is broken or of another program ({error!r})",
            hint="`mien push` writes one that can be read",
        ) from None
    with (folder / FOLDER_WEIGHTS).open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != wanted:
            raise WeightsError(
                f"{FOLDER_WEIGHTS} of {source} does not match its hash: it was altered or is damaged",
                hint="get it again, or ask whoever published it",
            )
    return folder


@contextlib.contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `out` when all went well; otherwise nothing of it stays."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise WeightsError(f"{out} exists and is not empty", hint="choose a new or empty folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        temporary.chmod(0o755)  # it was made for its user alone
        yield temporary
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _hub_errors(reference: str) -> Iterator[None]:
    """Say in one line what went wrong on the way to the hub, whichever library below it noticed."""
    from huggingface_hub.errors import GatedRepoError, LocalTokenNotFoundError, RepositoryNotFoundError

    try:
        yield
    except (RepositoryNotFoundError, GatedRepoError, LocalTokenNotFoundError) as error:
        raise WeightsError(
            f"the hub shows no `{reference}` to you: {_first_line(error)}",
            hint="check the name; for private repositories and for uploads log in: `hf auth login`",
        ) from error
    # The client below huggingface_hub changed twice, and its errors have no base in common.
    except Exception as error:
        raise WeightsError(
            f"the hub cannot be reached for `{reference}`: {_first_line(error)}", hint="check name and network"
        ) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
