"""Models that travel: one ONNX file with everything that the editor needs, run by onnxruntime, without torch.

The file is an ordinary ONNX model, of use to any program: inputs `images` (n, c, h, w) in [-1, 1] and `codes` (n, s);
outputs `displacement`, `delta` and, where the model wipes, `wipe` (what the generator makes of both), `probabilities` and
`place` (what the critic reads from the images alone). The two halves share nothing, so they are taken apart when the
file is opened, and rendering does not pay for reading. What else there is to know lies in the model's metadata:
conditional space, size of the images, name, hash of the original weights, and the description that stood beside them.

A SHA-256 of the file stands in the file: in its `doc_string`, which is counted as zeros. `mien.exporting` writes it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import MienError, WeightsError
from mien.sessions import open_session
from mien.spaces import Space, space_from_json

if TYPE_CHECKING:
    import onnx
    import onnxruntime

#: Of files that are read; those of a model that wipes are 2, since an older mien would leave that out.
FORMATS = (1, 2)
#: Names of what goes in and what comes out, in the order of the file.
INPUTS = ("images", "codes")
RENDERED = ("displacement", "delta", "wipe")
READ = ("probabilities", "place")

_SEAL = b"mien model, sha256:"
_DIGITS = 64
#: The seal stands in the file's first fields, before the graph.
_HEADER = 1024


@dataclass(frozen=True, eq=False)
class PortableModel:
    """A model out of an ONNX file, for the editor; arrays go in and out, float32."""

    name: str
    """Name of the model, as it was exported."""
    sha256: str
    """Hash of the weights that were exported: the same as of the model in torch."""
    description: Mapping[str, Any]
    """What is known of where the weights come from."""
    image_size: int
    """Side of the crops that the model takes, in pixels."""
    image_channels: int
    """1 for a model of grey images, 3 for RGB."""
    space: Space
    """The conditional space: which codes there are and what they mean."""
    renderer: onnxruntime.InferenceSession
    """The generator."""
    reader: onnxruntime.InferenceSession
    """The critic."""

    def render(self, images: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return an edit's maps for images (n, c, h, w) in [-1, 1] and codes (n, s), in the order of `EditMaps`.

        Displacement (n, 2, h, w), delta (n, c, h, w) and, where the model wipes detail away, wipe (n, 1, h, w).
        """
        given = {"images": _floats(images), "codes": _floats(codes)}
        return tuple(np.asarray(maps) for maps in self.renderer.run(None, given))

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability of each expression (n, k) and the place in the space (n, s) of each image."""
        probabilities, place = self.reader.run(list(READ), {"images": _floats(images)})
        return np.asarray(probabilities), np.asarray(place)


def _floats(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)


def load_portable(path: str | Path, device: str = "cpu") -> PortableModel:
    """Load an ONNX file of `mien export`.

    Raises `WeightsError` for a file that is missing, altered, of something else, or of a newer mien.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read `{path}`: {error.strerror or error}", hint="check the path") from None
    return open_portable(content, str(path), device)


def open_portable(content: bytes, source: str, device: str = "cpu") -> PortableModel:
    """Open the bytes of such a file; `source` names them in errors, which are those of `load_portable`."""
    found = _find_seal(content)
    if found is None:
        raise WeightsError(
            f"{source} is no model that mien wrote", hint="`mien export RUN --to onnx -o model.onnx` writes one"
        )
    if _digest(content, found) != content[found : found + _DIGITS].decode():
        raise WeightsError(
            f"{source} does not match its hash: it was altered or cut short", hint="download or export it again"
        )
    import onnx

    try:
        whole = onnx.load_model_from_string(content)
        facts = {entry.key: entry.value for entry in whole.metadata_props}
        if (version := int(facts["mien.format"])) not in FORMATS:
            raise WeightsError(f"{source} has format {version}, this mien reads {FORMATS[-1]}", hint="update mien")
        rendered = tuple(output.name for output in whole.graph.output if output.name in RENDERED)
        return PortableModel(
            name=facts["mien.name"],
            sha256=facts["mien.sha256"],
            description=json.loads(facts["mien.description"]),
            image_size=int(facts["mien.image_size"]),
            image_channels=int(facts["mien.image_channels"]),
            space=space_from_json(json.loads(facts["mien.space"])),
            renderer=open_session(_part(whole, INPUTS, rendered), device),
            reader=open_session(_part(whole, INPUTS[:1], READ), device),
        )
    except MienError:
        raise
    except Exception as error:  # sealed, and yet not as written here: protobuf and onnxruntime raise nearly anything
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise WeightsError(f"{source} is broken: {reason}", hint="update onnxruntime, or export it again") from None


def metadata(model: Any, wipes: bool) -> dict[str, str]:
    """Return what an ONNX file says of a model (a `mien.editing.model.ExpressionModel`) besides its graph."""
    return {
        "mien.format": str(FORMATS[wipes]),
        "mien.name": model.name,
        "mien.sha256": model.sha256,
        "mien.image_size": str(model.image_size),
        "mien.image_channels": str(model.image_channels),
        "mien.space": json.dumps(model.space.to_json()),
        "mien.description": json.dumps(dict(model.description)),
    }


def seal(model: onnx.ModelProto) -> bytes:
    """Return an ONNX model as the bytes of a file that holds its own hash."""
    model.doc_string = (_SEAL + b"0" * _DIGITS).decode()
    content = model.SerializeToString()
    at = _find_seal(content)
    assert at is not None, "protobuf writes fields in the order of their numbers, the doc_string before the graph"
    return content[:at] + _digest(content, at).encode() + content[at + _DIGITS :]


def _find_seal(content: bytes) -> int | None:
    """Return where the hash stands, if there is one."""
    match = re.search(re.escape(_SEAL) + rb"([0-9a-f]{64})", content[:_HEADER])
    return match.start(1) if match else None


def _digest(content: bytes, at: int) -> str:
    """Return the hash of a file, its own place counted as zeros."""
    return hashlib.sha256(content[:at] + b"0" * _DIGITS + content[at + _DIGITS :]).hexdigest()


def _part(whole: onnx.ModelProto, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
    """Return the part of a graph that computes some of its outputs: onnxruntime would compute all, whatever is asked."""
    from onnx.utils import Extractor

    return Extractor(whole).extract_model(list(inputs), list(outputs)).SerializeToString()
