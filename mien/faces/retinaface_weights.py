"""RetinaFace's published weights: found on the machine, or fetched once; never read before their hash is checked.

They are `weights/mobilenet0.25_Final.pth` of biubug6/Face-Detector-1MB-with-landmark (MIT licence), looked for in

1. `$MIEN_WEIGHTS`, a folder, under the published name or as `retinaface_mobilenet0.25.pth`;
2. mien's cache, `$XDG_CACHE_HOME/mien` or `~/.cache/mien`, as safetensors;
3. GitHub, at first use.

The published file is a pickle, the one that mien ever opens: only where its SHA-256 is the pinned one, and only with
torch's `weights_only`, which unpickles tensors and nothing else. What the cache keeps of it is no pickle, and the
tensors have a pinned hash of their own, so that every load is checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mien.errors import WeightsError

URL = (
    "https://raw.githubusercontent.com/biubug6/Face-Detector-1MB-with-landmark/"
    "2b075657aef954b9426f938ac7fce100b6910fe6/weights/mobilenet0.25_Final.pth"
)
#: Of the published file.
SHA256 = "ed6fa7d45a5179f03cb5ce82c73b0c6711372968e53782e88395acee88d319e1"
#: Of its tensors, as `tensors_sha256` counts.
TENSORS_SHA256 = "94336274df8620f236b3ad202da0f333e651675075dbb780bf1b30ab0549a28c"
SIZE = 1_789_735

_NAMES = ("mobilenet0.25_Final.pth", "retinaface_mobilenet0.25.pth")
_CACHED = "retinaface_mobilenet0.25.safetensors"
#: Seconds without a byte after which a download is given up, and bytes between two lines of progress.
_PATIENCE, _STEP = 20.0, 2**19


def published_tensors() -> dict[str, Tensor]:
    """Return the published tensors by their published names, on the CPU.

    Raises `WeightsError` where a file is not the published one, or where there is none and none can be fetched.
    """
    if folder := os.environ.get("MIEN_WEIGHTS"):
        for path in (Path(folder) / name for name in _NAMES):
            if path.is_file():
                return _unpickled(path.read_bytes(), path)
    cached = cache_folder() / _CACHED
    if (tensors := _cached_tensors(cached)) is not None:
        return tensors
    tensors = _unpickled(download(URL), URL)
    _keep(cached, tensors)
    return tensors


def on_this_machine() -> bool:
    """Say whether the published tensors can be had without fetching them; their hashes are checked when they are read."""
    folder = os.environ.get("MIEN_WEIGHTS")
    return (cache_folder() / _CACHED).is_file() or any(folder and (Path(folder) / name).is_file() for name in _NAMES)


def cache_folder() -> Path:
    """Return where mien keeps what it fetched; whether it exists or not."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mien"


def download(url: str) -> bytes:
    """Fetch the published file, its progress on stderr; raises `WeightsError` with the other way out."""
    print(f"RetinaFace's weights are fetched once, {SIZE / 1e6:.1f} MB, from {url}", file=sys.stderr)
    parts: list[bytes] = []
    told = done = 0
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as response:
            # A byte more than it should have is enough to see that it is another file.
            while done <= SIZE and (part := response.read(min(2**16, SIZE + 1 - done))):
                parts.append(part)
                done += len(part)
                if done - told >= _STEP or done == SIZE:
                    told = done
                    print(f"fetched {done / 1e6:.1f} of {SIZE / 1e6:.1f} MB", file=sys.stderr)
    except (OSError, ValueError) as error:  # urllib's own errors are kinds of OSError
        reason = getattr(error, "reason", None) or error
        raise WeightsError(f"RetinaFace's weights cannot be fetched: {reason}", hint=_ways_out()) from None
    return b"".join(parts)


def _ways_out() -> str:
    return (
        f"connect this machine once, or fetch {URL} elsewhere, put it into a folder and set MIEN_WEIGHTS to that folder"
        "; `--detector mtcnn` needs no download"
    )


def _unpickled(data: bytes, origin: Path | str) -> dict[str, Tensor]:
    """Return the tensors of the published file, and of no other."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise WeightsError(
            f"`{origin}` is not the published RetinaFace: its sha256 is {digest[:12]}..., not {SHA256[:12]}...",
            hint=f"delete it if it is yours, and fetch {URL}",
        )
    tensors = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    # How many batches each normalisation has seen decides nothing.
    return {name: tensor.contiguous() for name, tensor in tensors.items() if tensor.is_floating_point()}


def _cached_tensors(path: Path) -> dict[str, Tensor] | None:
    """Return what the cache holds, or None where it holds nothing or not all of it."""
    try:
        tensors = load(path.read_bytes())
    except (OSError, SafetensorError):
        return None
    return tensors if tensors_sha256(tensors) == TENSORS_SHA256 else None


def _keep(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the cache, whole or not at all; a machine that cannot keep it works without."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(save(dict(tensors), metadata={"origin": URL, "licence": "MIT", "sha256": SHA256}))
        os.replace(unfinished, path)
    except OSError as error:
        print(f"the weights cannot be kept in `{path.parent}`: {error.strerror or error}", file=sys.stderr)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes and values, in the names' order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}\n".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
