"""A step cut into parts is the step taken whole; nothing in it makes the CPU wait for the device."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mien.batches import Augmentation, Batches
from mien.methods import METHODS
from mien.methods.base import WHOLE, Anchored, Method, Part, compile_network, is_compiled
from mien.methods.ganmut import GANmutConfig
from mien.methods.ganmut_gaussian import GaussianGANmutConfig
from mien.methods.stargan import StarGANConfig
from mien.prepared import PreparedSet
from mien.processes import make_fabric
from mien.stepping import TrainConfig, Trainer, take_step

CPU = torch.device("cpu")
TINY_STARGAN = StarGANConfig(
    expressions=("happy", "sad", "anger"), image_size=16, generator_channels=8, generator_blocks=1, critic_channels=8,
    critic_layers=2, penalty="gradient", targets="different", rec_share=0.4,
)  # fmt: skip


def cases(tiny_ganmut: GANmutConfig) -> Iterator[tuple[str, Any]]:
    yield "stargan", TINY_STARGAN
    yield "ganmut", dataclasses.replace(tiny_ganmut, critic_steps=1, targets="uniform", soft_labels=True)
    yield (
        "ganmut",
        dataclasses.replace(
            tiny_ganmut, generator="residual", adversarial="wasserstein", penalty="gradient", penalty_interval=1,
            critic_steps=1, num_free_codes=3, rec_share=0.4, cycle="coordinates", free_radius="uniform", threshold=0.7,
        ),
    )  # fmt: skip
    yield (
        "ganmut",
        dataclasses.replace(
            tiny_ganmut, critic_steps=1, targets="uniform", num_free_codes=1, lambda_detour=16.0, lambda_lips=16.0,
            detour_to=("surprise", "fear"), lips_of=("surprise", "fear", "disgust", "anger"), lambda_anchor=8.0,
            lambda_strokes=300.0, strokes_of=("happy", "sad", "fear"),
        ),
    )  # fmt: skip
    yield (
        "ganmut-gaussian",
        GaussianGANmutConfig(
            image_size=16, image_channels=1, generator_channels=8, generator_blocks=1, critic_channels=8, critic_layers=2,
            critic_steps=1, centres="spread", initial_width=0.1, lambda_info_generator=1.0, rec_share=0.4,
        ),
    )  # fmt: skip


def source_of(prepared: PreparedSet, config: Any) -> Batches:
    return Batches(
        prepared,
        config.expressions,
        image_size=16,
        image_channels=1,
        batch_size=8,
        seed=3,
        augmentation=Augmentation(),
    )


def made(name: str, config: Any, device: torch.device = CPU) -> Method:
    """Return a new method, and hold it near another where a setting asks for that."""
    other, method = (METHODS[name](config) for _ in range(2))
    if getattr(config, "lambda_strokes", 0.0):  # new networks hardly take any light
        for each in method.generator.parameters():
            each.data.normal_(std=0.3)
    if getattr(config, "lambda_anchor", 0.0):
        assert isinstance(method, Anchored)
        method.hold(other.state_dict(), device)
    return method


def gradients(name: str, config: Any, source: Batches, parts: list[Part]) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Return the gradients and losses of step 0, without any player moving."""
    torch.manual_seed(0)
    trainer = Trainer(made(name, config), TrainConfig(batch_size=8), CPU)
    for optimizer in trainer.optimizers.values():
        optimizer.step = lambda: None  # type: ignore[method-assign]
    losses = {}
    torch.manual_seed(1)
    for player, terms in take_step(trainer, [source.draw(0, part) for part in parts], 0, make_fabric("32-true")):
        losses |= {f"{player}/{term}": value.item() for term, value in terms.items()}
    found = {n: p.grad.clone() for n, p in trainer.method.named_parameters() if p.grad is not None}
    return found, losses


def assert_near(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    largest = max(tensor.abs().max().item() for tensor in wanted.values())
    for name, tensor in wanted.items():
        error = (found[name] - tensor).abs().max().item()
        assert error < 1e-4 * tensor.abs().max().item() + 1e-6 * largest, name


def test_parts_that_accumulate_give_the_gradients_and_losses_of_the_whole_batch(
    prepared: PreparedSet, tiny_ganmut: GANmutConfig
) -> None:
    for name, config in cases(tiny_ganmut):
        source = source_of(prepared, config)
        wanted, losses = gradients(name, config, source, [WHOLE])
        for term in ("detour", "lips", "strokes", "anchor"):
            assert not getattr(config, f"lambda_{term}", 0.0) or losses[f"generator/{term}"] > 1e-3
        for count in (2, 8):  # parts of one image, too
            found, same = gradients(name, config, source, [Part(index, count) for index in range(count)])
            assert_near(found, wanted)
            assert same == pytest.approx(losses, rel=1e-4, abs=1e-5)


def test_the_mean_over_processes_is_the_gradient_of_the_whole_batch(
    prepared: PreparedSet, tiny_ganmut: GANmutConfig
) -> None:
    for name, config in cases(tiny_ganmut):
        source = source_of(prepared, config)
        wanted, _ = gradients(name, config, source, [WHOLE])
        each = [gradients(name, config, source, [Part(rank, 4), Part(rank + 2, 4)])[0] for rank in range(2)]
        assert_near({key: (each[0][key] + each[1][key]) / 2 for key in wanted}, wanted)


def test_a_wrong_share_of_the_batch_is_seen(prepared: PreparedSet, tiny_ganmut: GANmutConfig) -> None:
    """The comparison above can fail: half of the batch is not the batch."""
    name, config = next(cases(tiny_ganmut))
    source = source_of(prepared, config)
    wanted, _ = gradients(name, config, source, [WHOLE])
    with pytest.raises(AssertionError):
        assert_near(gradients(name, config, source, [Part(0, 2)])[0], wanted)


class NoWaiting(TorchDispatchMode):
    """Raise where a value leaves the device, or where a shape depends on values: there a GPU would be waited for."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name in self.WAITS or by_mask:
            raise AssertionError(f"{name} waits for the device")
        return func(*args, **(kwargs or {}))


def test_nothing_in_a_step_waits_for_the_device(prepared: PreparedSet, tiny_ganmut: GANmutConfig) -> None:
    fabric = make_fabric("32-true")
    for name, config in cases(tiny_ganmut):
        # The optimiser counts its steps on the CPU, where reading them waits for nothing; fused, it does so on a GPU.
        trainer = Trainer(made(name, config), TrainConfig(batch_size=8, ema_decay=0.9), CPU)
        for optimizer in trainer.optimizers.values():
            optimizer.step = lambda: None  # type: ignore[method-assign]
        if getattr(config, "lambda_detour", 0.0):  # compiled networks take all of a batch, as a GPU does
            setattr(trainer.method.generator, "_compiled_call_impl", trainer.method.generator.forward)  # noqa: B010
        batch = source_of(prepared, config).draw(0)
        with NoWaiting():
            moves = [player for player, _ in take_step(trainer, [batch], 0, fabric)]
            assert trainer.average is not None
            trainer.average.update(0)
        assert moves == ["critic", "generator"]
    with pytest.raises(AssertionError, match="waits"), NoWaiting():
        torch.zeros(2).sum().item()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_nothing_in_a_step_waits_for_the_gpu(prepared: PreparedSet, tiny_ganmut: GANmutConfig, precision: str) -> None:
    fabric = make_fabric(precision)
    for name, config in cases(tiny_ganmut):
        trainer = Trainer(made(name, config, fabric.device), TrainConfig(batch_size=8, ema_decay=0.9), fabric.device)
        source = Batches(
            prepared, config.expressions, image_size=16, image_channels=1, batch_size=8, seed=0, device=fabric.device
        )
        list(take_step(trainer, [source.draw(0)], 0, fabric))  # what is set up at first may wait
        torch.cuda.set_sync_debug_mode("error")
        try:
            assert len(list(take_step(trainer, [source.draw(2)], 2, fabric))) == 2
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_the_gradient_of_a_single_image_is_right_in_the_layout_that_the_trainer_gives_the_networks() -> None:
    """torch 2.13 gets it wrong on the CPU by its own size, through transposed convolutions in channels_last."""
    config = dataclasses.replace(TINY_STARGAN, critic_layers=1)
    images = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    weights = torch.linspace(-1, 1, images.numel()).reshape(images.shape)

    def gradient(method: Any) -> Tensor:
        (weights * method.generator(images, torch.eye(3)[:1]).delta).sum().backward()
        return torch.cat([p.grad.flatten() for p in method.generator.parameters()])

    torch.manual_seed(0)
    plain = METHODS["stargan"](config)
    trainer = Trainer(METHODS["stargan"](config), TrainConfig(), CPU)
    trainer.method.load_state_dict(plain.state_dict())
    wanted = gradient(plain)
    assert (gradient(trainer.method) - wanted).abs().max() < 1e-4 * wanted.abs().max()


@pytest.mark.parametrize(("device", "compiled_without"), [("cpu", 0), ("cuda", 1)])
def test_compiled_code_runs_on_the_cpu_where_gradients_are_taken(
    monkeypatch: pytest.MonkeyPatch, device: str, compiled_without: int
) -> None:
    """With a stand-in for the compiler, which calls what it is given, and counts."""
    calls: list[bool] = []

    def counting(function: Any, **_: Any) -> Any:
        return lambda *inputs: (calls.append(torch.is_grad_enabled()), function(*inputs))[1]

    monkeypatch.setattr(torch, "compile", counting)
    network = torch.nn.Linear(2, 2)
    compile_network(network, torch.device(device))
    assert is_compiled(network) and not is_compiled(copy.deepcopy(network))
    inputs = torch.ones(1, 2)
    found = network(inputs)
    with torch.no_grad():
        assert torch.equal(network(inputs), found)
    assert (calls.count(True), calls.count(False)) == (1, compiled_without)
