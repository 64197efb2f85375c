"""Convert the MTCNN weights of the `mtcnn` wheel to the safetensors file that ships in `mien/weights`.

The wheel (MIT licence) keeps each network as a compressed pickle of arrays in Keras' layout. Users should load neither
a pickle nor a package for it, so this script ran once: `pip install --no-deps mtcnn==1.0.0`, `pip install joblib lz4`,
then `python scripts/convert_mtcnn.py`. A pickle can run code when it is loaded: the files' hashes are checked before.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

TARGET = Path(__file__).parent.parent / "mien" / "weights" / "mtcnn.safetensors"

SOURCE_SHA256 = {
    "pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet.lz4": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}

#: Layers of each network in the order of the pickled list; a PReLU has one array, all others weight and bias.
LAYERS = {
    "pnet": ("conv1", "prelu1", "conv2", "prelu2", "conv3", "prelu3", "box", "face"),
    "rnet": ("conv1", "prelu1", "conv2", "prelu2", "conv3", "prelu3", "dense", "prelu4", "box", "face"),
    "onet": (
        *("conv1", "prelu1", "conv2", "prelu2", "conv3", "prelu3", "conv4", "prelu4"),
        *("dense", "prelu5", "box", "landmarks", "face"),
    ),
}


def source_folder() -> Path:
    """Find the wheel's weights without importing it: its import wants TensorFlow."""
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or spec.origin is None:
        sys.exit("the `mtcnn` wheel is not installed\nhint: pip install --no-deps mtcnn==1.0.0; pip install joblib lz4")
    return Path(spec.origin).parent / "assets" / "weights"


def read_wheel(folder: Path) -> dict[str, np.ndarray]:
    """Return the tensors in PyTorch's layout, named as the modules of `mien.faces.mtcnn` are."""
    import joblib  # pyright: ignore[reportMissingImports]

    tensors: dict[str, np.ndarray] = {}
    for network, layers in LAYERS.items():
        path = folder / f"{network}.lz4"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != SOURCE_SHA256[path.name]:
            sys.exit(f"{path} has sha256 {digest}\nhint: expected {SOURCE_SHA256[path.name]}, of mtcnn 1.0.0")
        arrays = iter(joblib.load(path))
        for layer in layers:
            tensors[f"{network}.{layer}.weight"] = torch_layout(next(arrays))
            if not layer.startswith("prelu"):
                tensors[f"{network}.{layer}.bias"] = np.ascontiguousarray(next(arrays))
        if next(arrays, None) is not None:
            sys.exit(f"{path} holds more arrays than the architecture has")
    return tensors


def torch_layout(array: np.ndarray) -> np.ndarray:
    """Turn Keras' layout into PyTorch's: HWIO to OIHW, (in, out) to (out, in), (1, 1, channels) to (channels,)."""
    if array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    elif array.ndim == 3:
        array = array.reshape(-1)
    elif array.ndim == 2:
        array = array.T
    return np.ascontiguousarray(array, np.float32)


def main() -> None:
    """Write the weights and, beside them, where they come from."""
    TARGET.write_bytes(save(read_wheel(source_folder())))
    description = {
        "what": "MTCNN face detector (Zhang et al. 2016, arXiv 1604.02878): PNet, RNet, ONet",
        "source": f"mtcnn {importlib.metadata.version('mtcnn')} from PyPI, https://github.com/ipazc/mtcnn",
        "licence": "MIT, Copyright (c) 2019-2024 Iván de Paz Centeno",
        "source_sha256": SOURCE_SHA256,
        "sha256": hashlib.sha256(TARGET.read_bytes()).hexdigest(),
        "command": "python scripts/convert_mtcnn.py",
    }
    TARGET.with_suffix(".json").write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
