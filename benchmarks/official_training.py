"""Run the training loops of the official GANmut and StarGAN code, from a checkout that the user gives, and time them.

Their `Solver.train` runs as it is, on a batch that is given to it; it neither logs, nor samples, nor saves meanwhile.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

#: The official defaults (main.py of either), and what keeps the loop from logging, sampling and saving.
_NEVER = 10**9
_SETTINGS: dict[str, Any] = {
    "g_conv_dim": 64, "g_repeat_num": 6, "d_conv_dim": 64, "lambda_cls": 1.0, "lambda_rec": 10.0, "lambda_gp": 10.0,
    "lambda_regularization": 10.0, "regularization_type": "gp", "lambda_d_strength": 1.0, "lambda_g_strength": 1.0,
    "lambda_g_info": 1.0, "lambda_d_info": 1.0, "lambda_expr": 1.0, "lambda_prediction": 1.0, "tridimensional": False,
    "parametrization": "linear", "architecture_v2": False, "num_iters_decay": 0, "g_lr": 1e-4, "d_lr": 1e-4,
    "n_critic": 5, "beta1": 0.5, "beta2": 0.999, "resume_iter": None, "resume_iters": None, "n_r_l": 5, "n_r_g": 5,
    "cycle_loss": "approximate", "test_iters": 0, "use_tensorboard": False, "log_dir": "", "sample_dir": "",
    "model_save_dir": "", "result_dir": "", "log_step": _NEVER, "sample_step": _NEVER, "model_save_step": _NEVER,
    "lr_update_step": _NEVER, "dataset": "RaFD", "selected_attrs": [], "c2_dim": 8,
}  # fmt: skip


class _Clock:
    """A loader that gives the same batch again and again, and notes when it is asked."""

    def __init__(self, batch: tuple[Tensor, ...], now: Callable[[], float]) -> None:
        self.batch, self.now = batch, now
        self.asked: list[float] = []

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        while True:
            self.asked.append(self.now())
            yield self.batch


def _import_solver(checkout: Path) -> Any:
    """Import their solver.py; of torchvision it wants `save_image`, which is never called here."""
    absent = {name: types.ModuleType(name) for name in ("torchvision", "torchvision.utils")}
    absent["torchvision.utils"].save_image = None  # type: ignore[attr-defined]
    sys.modules.update(absent)
    sys.path.insert(0, str(checkout))
    specification = importlib.util.spec_from_file_location("official_solver", checkout / "solver.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    finally:
        for name in absent:  # torch looks whether torchvision is there
            del sys.modules[name]
    return module


def official_seconds(
    checkout: Path,
    kind: str,
    images: Tensor,
    labels: Tensor,
    *,
    layers: int,
    classes: int,
    rounds: int,
    now: Callable[[], float],
) -> float:
    """Return the seconds per step of the official loop (kind `ganmut` or `stargan`), over whole rounds of five.

    `now` gives the time when the device has done what it was given.
    """
    module = _import_solver(checkout)
    config = types.SimpleNamespace(
        **_SETTINGS,
        c_dim=classes,
        image_size=images.shape[-1],
        d_repeat_num=layers,
        batch_size=len(images),
        num_iters=5 * (rounds + 1),
    )
    clock = _Clock((images, labels) if kind == "stargan" else (images, labels, labels), now)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        solver = module.Solver(None, clock, config) if kind == "stargan" else module.Solver(clock, config)
        solver.train()
    end = now()
    steps = clock.asked[1:]  # the first batch is what samples would be made of
    return (end - steps[5]) / (5 * rounds)  # the first round warms up
