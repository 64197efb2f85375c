"""Tensors out of the files of others, without running what those hold.

torch saves by pickle, and reading a pickle can run code. torch's restricted reader makes tensors and plain containers and
refuses everything else; torch 2.5.1 and older can be tricked there (CVE-2025-32434), and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mien.errors import WeightsError

#: The first torch whose restricted reader holds.
_SAFE_TORCH = (2, 6)


def release(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version: (2, 11) of `2.11.0a0+git` as of `2.11.1`."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def read_pickled(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a pickled state dict by name, on the CPU; nothing in the file is run.

    Raises `WeightsError` for a file that is missing or broken, wants more than tensors, or holds no state dict.
    """
    if release(torch.__version__) < _SAFE_TORCH:
        raise WeightsError(
            f"torch {torch.__version__} cannot read `{path}` safely (CVE-2025-32434)", hint="`pip install -U torch`"
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"cannot read `{path}`: {error.strerror or error}", hint="check the path") from None
    except Exception:  # the reader refuses and fails in many ways, most of them without a class of their own
        raise WeightsError(
            f"`{path}` is no plain state dict: it is damaged, or wants code to be run, which is refused",
            hint="get it again, it may be cut off; or save only tensors: `torch.save(network.state_dict(), FILE)`",
        ) from None
    if not (isinstance(loaded, Mapping) and loaded and all(isinstance(value, Tensor) for value in loaded.values())):
        raise WeightsError(
            f"`{path}` holds no state dict", hint="give the weights as they were published: names and their tensors"
        )
    return {str(name): tensor for name, tensor in loaded.items()}
