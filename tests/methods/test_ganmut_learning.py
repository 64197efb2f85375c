"""GANmut: who learns from what, and one test for each official bug that touched training."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from ganmut_cases import WARP_TERMS, batch_of, changed, drawn, says, unread_settings, with_stand_ins
from torch import Tensor, nn

from mien.edit_maps import Edit
from mien.errors import ConfigError
from mien.expressions import VOCABULARY
from mien.methods import ganmut, generator
from mien.methods.base import frozen
from mien.methods.disc_codes import codes_of, directions
from mien.methods.ganmut import GANmut, GANmutConfig, draw_codes


@pytest.fixture
def method(tiny_ganmut: GANmutConfig) -> GANmut:
    torch.manual_seed(0)
    return GANmut(tiny_ganmut)


# --- what learns from what ---------------------------------------------------------------------------------------


def test_axes_learn_from_equation_5_through_the_code_itself(method: GANmut) -> None:
    """With a critic that reads always (0, 0), L_info = |z|^2 / 2 on average; noise makes it depend on the direction."""
    draw = drawn([1, 1], [0.5, 0.5], free=0)._replace(noise=torch.tensor([[0.0, 0.2], [0.0, 0.2]]))
    codes = codes_of(draw, method.axes)
    method.equation_5(says([[1.0], [1.0]]), codes).backward()
    # d_1 = (1, 0); moving it by da in y changes z to (0.5, 0.2 + 0.5 da): d(|z|^2 / 2)/da = 0.2 * 0.5.
    assert method.axes.grad is not None
    assert method.axes.grad[0].tolist() == pytest.approx([0.0, 0.1], abs=1e-6)
    assert not method.axes.grad[1:].any()


def test_axes_learn_from_equation_3_through_the_generator(method: GANmut) -> None:
    batch, draw = batch_of(), drawn([1, 1, 1, 2, 3, 4, 5, 0], [0.7] * 8, free=2)
    edited = ganmut.apply_edit(batch.images, method.generator(batch.images, codes_of(draw, method.axes)))
    with frozen(method.critic):
        method.equation_3(method.critic(edited).heads[0], draw).backward()
    assert method.axes.grad is not None
    moved = method.axes.grad.norm(dim=1) > 0
    assert moved.tolist() == [True, True, True, True, True, False]  # nobody asked for anger


def play(method: GANmut, step: int) -> dict[str, Any]:
    """Run one step without moving anything; return for each player what had a gradient after its losses."""
    torch.manual_seed(5)
    found = {}
    for player, terms in method.updates(batch_of(), step):
        method.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        found[player] = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None}
    return found


def test_the_critics_losses_leave_the_generator_alone_and_the_generators_the_critic(method: GANmut) -> None:
    found = play(method, step=1)
    assert found == {"critic": {"critic"}, "generator": {"generator", "axes"}}
    assert all(parameter.requires_grad for parameter in method.parameters())  # `frozen` has let go again


def test_every_parameter_has_a_player_and_a_gradient(method: GANmut) -> None:
    players = method.players()
    owned = [id(p) for parameters in players.values() for p in parameters]
    assert sorted(owned) == sorted(id(p) for p in method.parameters())
    torch.manual_seed(5)
    for player, terms in method.updates(batch_of(), 1):
        method.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        assert all(p.grad is not None for p in players[player]), player


def test_the_critic_moves_every_step_and_the_generator_every_fifth(method: GANmut) -> None:
    changed(method, critic_steps=5)
    order = [[player for player, _ in method.updates(batch_of(), step)] for step in range(10)]
    assert order == ([["critic"]] * 4 + [["critic", "generator"]]) * 2


def test_steps_of_the_critic_alone_build_no_graph_through_the_generator(
    method: GANmut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official code builds it four times out of five, and throws it away."""
    built = []
    forward = type(method.generator).forward

    def watched(self: nn.Module, images: Tensor, codes: Tensor) -> Edit:
        edit = forward(self, images, codes)  # pyright: ignore[reportArgumentType]
        built.append(edit.delta.requires_grad)
        return edit

    monkeypatch.setattr(type(method.generator), "forward", watched)
    list(method.updates(batch_of(), 0))
    assert built == [False]
    built.clear()
    list(method.updates(batch_of(), 1))
    assert built == [True, True]  # the edit, and the way back


def test_losses_of_a_step_follow_from_the_seed(method: GANmut) -> None:
    def losses() -> list[dict[str, float]]:
        torch.manual_seed(11)
        return [{k: v.item() for k, v in terms.items()} for _, terms in method.updates(batch_of(), 1)]

    assert losses() == losses()


def test_a_generator_step_against_the_gradient_lowers_its_loss(method: GANmut) -> None:
    """What the terms say is what moves: one small step down the sum's gradient makes the sum smaller."""
    changed(method, rec_share=1.0)

    def total() -> Tensor:
        torch.manual_seed(5)
        return torch.stack(list(dict(method.updates(batch_of(), 1))["generator"].values())).sum()

    before = total()
    before.backward()
    with torch.no_grad():
        for parameter in method.players()["generator"]:
            assert parameter.grad is not None
            parameter -= 1e-4 * parameter.grad / parameter.grad.norm().clamp_min(1e-6)
    assert total().item() < before.item()


def test_reading_gives_probabilities_and_a_place_on_the_disc(method: GANmut) -> None:
    nn.init.constant_(method.critic.heads[1].weight, 5.0)  # type: ignore[arg-type]  # reads far outside
    reading = method.read(batch_of().images)
    assert torch.allclose(reading.probabilities.sum(1), torch.ones(8))
    assert reading.codes.norm(dim=1).max().item() <= 1 + 1e-6


# --- official bugs -----------------------------------------------------------------------------------------------


def test_official_bug_1_a_batch_of_neutral_targets_is_no_nan(method: GANmut) -> None:
    draw = drawn([0] * 4, [0.1] * 4, free=2)
    assert method.equation_6(says([[1.0]] * 4), draw).item() == 0.0
    for _, terms in method.updates(batch_of(8, [0] * 8), 1):
        assert all(torch.isfinite(value) for value in terms.values())


def test_official_bug_1_a_batch_without_labelled_codes_is_refused(method: GANmut) -> None:
    with pytest.raises(ConfigError, match="a batch of 5 has no room for 5 free codes and a labelled one") as error:
        draw_codes(torch.ones(5, dtype=torch.long), GANmutConfig())
    assert "raise batch_size" in error.value.hint


def test_official_bug_2_the_way_back_has_no_noise_and_no_random_directions(method: GANmut) -> None:
    """The official cycle reuses the training-time sampler, whose first five codes are random and others noisy."""
    generator = with_stand_ins(method, [[0.1, 0.9]] * 8)
    batch = batch_of(8, [1] * 8)
    for seed in range(3):
        torch.manual_seed(seed)
        method.equation_7(batch, batch.images)
    assert torch.allclose(torch.cat(generator.codes), 0.9 * directions(method.axes)[1].expand(24, 2))


def test_official_bug_7_any_number_of_expressions_works(tiny_ganmut: GANmutConfig) -> None:
    for names in (VOCABULARY, ("neutral", "happy", "sad")):
        method = GANmut(dataclasses.replace(tiny_ganmut, expressions=names))
        labels = torch.arange(8) % len(names)
        for _, terms in method.updates(dataclasses.replace(batch_of(), labels=labels), 1):
            assert all(torch.isfinite(value) for value in terms.values())
        assert method.space().expressions == names


def test_official_bug_12_there_is_no_setting_that_nothing_reads() -> None:
    of_the_loop = {"betas", "critic_rate", "hide_beyond", "learning_rate"}
    assert unread_settings(GANmutConfig, ganmut) == of_the_loop
    # Those that are checked as well would be missed, too, if nothing else read them.
    assert unread_settings(GANmutConfig, ganmut, generator.warp_terms) == of_the_loop | WARP_TERMS
