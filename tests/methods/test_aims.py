"""What edits are held to beside labels: other edits, of the same generator and of the one before it, and their light."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from ganmut_cases import batch_of, drawn
from torch import Tensor, nn

from mien.edit_maps import Edit, apply_edit
from mien.errors import ConfigError
from mien.face_windows import mouth_window
from mien.losses import NO_CLASS
from mien.methods.aims import Asked
from mien.methods.base import Batch
from mien.methods.disc_codes import Draw, codes_of
from mien.methods.ganmut import GANmut, GANmutConfig


def asked_of(method: GANmut, batch: Batch, edited: Tensor, draw: Draw, codes: Tensor | None = None) -> Asked:
    """Return edits, which add light alone, at the places that were drawn."""
    edit = Edit(torch.zeros(len(edited), 2, *edited.shape[-2:]), edited - batch.images)
    return method.asked(batch, edit, edited, codes_of(draw, method.axes) if codes is None else codes, draw)


class Halfway(nn.Module):
    """Bring an image half of the way to the level that is the code's length: what was there shines through."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor, codes: Tensor) -> Edit:
        level = codes.norm(dim=1)[:, None, None, None]
        return Edit(torch.zeros(len(images), 2, *images.shape[-2:]), self.share * (level - images))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_detour_by_way_of_neutral_leaves_half_of_what_shines_through(
    tiny_ganmut: GANmutConfig, compiled: bool
) -> None:
    """From level c straight to 1: (c + 1) / 2; by way of 0: c / 2, then c / 4 + 1 / 2; a quarter of c lies between."""
    method = GANmut(dataclasses.replace(tiny_ganmut, lambda_detour=2.0, detour_to=("sad", "fear")))
    halfway = Halfway()
    setattr(method, "generator", halfway)  # noqa: B010  # of another type
    if compiled:  # what was compiled for a batch takes all of it, as a GPU does
        setattr(halfway, "_compiled_call_impl", halfway.forward)  # noqa: B010
    shown, asked = [1, 0, 2, 5, 1, 1, 1, NO_CLASS], [2, 2, 2, 4, 3, 2, 0, 4]
    draw = drawn(asked, [1.0] * 8, free=0)._replace(free=torch.tensor([False] * 5 + [True] + [False] * 2))
    # Counted are 0, 3 and 7: of the others one is neutral, one shows it, two are asked for another, one has no label.
    levels = torch.tensor([0.8, 0.3, 0.5, 0.4, 0.9, 0.7, 0.6, 0.2])
    images = levels[:, None, None, None].expand(8, 1, 64, 64).clone().requires_grad_()
    batch = Batch(images, torch.tensor(shown))
    codes = torch.tensor([[1.0, 0.0]]).expand(8, 2).clone().requires_grad_()
    seen = []
    halfway.register_forward_hook(lambda _, inputs, output: seen.append(len(inputs[0])))
    edited = apply_edit(images, method.generator(images, codes))
    found = method.aims.detour(asked_of(method, batch, edited, draw, codes))
    assert seen == ([] if compiled else [8, 3, 3])  # no hooks see what compiled code does
    assert found.item() == pytest.approx((0.8 + 0.4 + 0.2) / 4 / 8, rel=1e-3)
    gradient, share = torch.autograd.grad(found, (codes, halfway.share))
    assert [bool(each) for each in gradient.abs().sum(1) > 0] == [place in (0, 3, 7) for place in range(8)]
    # The edit is to come to where the detour leads, which is not to come to meet it: only the first depends on the share.
    assert share.item() == pytest.approx((0.2 + 0.6 + 0.8) / 8, rel=1e-3)
    none = drawn([3] * 8, [1.0] * 8, free=0)
    nothing = method.aims.detour(asked_of(method, batch, edited, none, codes))
    assert nothing.item() == 0.0 and nothing.requires_grad


def test_a_detour_is_followed_at_the_mouth_up_to_what_warping_twice_blurs(tiny_ganmut: GANmutConfig) -> None:
    """Stripes of two pixels hardly count, a bright patch does at the mouth, and at the brows it does not."""

    def distance(change: Tensor) -> float:
        method = GANmut(dataclasses.replace(tiny_ganmut, lambda_detour=1.0, detour_to=("sad",)))
        setattr(method, "generator", Halfway())  # noqa: B010
        images = torch.zeros(1, 1, 128, 128)
        codes = torch.tensor([[1.0, 0.0]])
        aim = torch.full((1, 1, 128, 128), 0.5)
        draw = drawn([2], [1.0], free=0)
        return method.aims.detour(asked_of(method, Batch(images, torch.tensor([1])), aim + change, draw, codes)).item()

    columns = torch.arange(128) // 2 % 2 * 0.2 - 0.1
    mouth, brows = torch.zeros(2, 1, 1, 128, 128)
    mouth[..., 90:104, 50:78], brows[..., 30:44, 50:78] = 0.1, 0.1
    assert distance(torch.zeros(1, 1, 128, 128)) == pytest.approx(0.0, abs=1e-6)
    assert distance(columns.expand(1, 1, 128, 128)) < 0.02
    assert distance(mouth) > 0.02
    assert distance(brows) < 1e-4


def assert_is_a_term_with_its_weight(config: GANmutConfig, name: str, batch: Batch) -> None:
    """With 0 a generator's step has no such term, else as much as its weight says."""
    terms = {}
    for weight in (0.0, 1.0, 3.0):
        torch.manual_seed(2)
        changed: dict[str, Any] = {f"lambda_{name}": weight}
        method = GANmut(dataclasses.replace(config, targets="uniform", critic_steps=1, **changed))
        for each in method.generator.parameters():  # a new one changes nothing
            each.data.normal_(std=0.3)
        terms[weight] = dict(method.updates(batch, 1))["generator"].get(name)
    assert terms[0.0] is None and terms[3.0].item() == pytest.approx(3 * terms[1.0].item()) and terms[1.0] > 0


def test_a_detour_is_a_term_where_it_has_a_weight(tiny_ganmut: GANmutConfig) -> None:
    assert_is_a_term_with_its_weight(tiny_ganmut, "detour", batch_of(16, [1] * 16))
    assert dataclasses.replace(tiny_ganmut, detour_to=("smile",)).detour_to == ("happy",)


class Towards(nn.Module):
    """Bring the lower half to the level that the code's second number is, and the upper one to its first."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: Tensor, codes: Tensor) -> Edit:
        level = self.gain * codes.repeat_interleave(images.shape[-2] // 2, dim=1)[:, None, :, None]
        return Edit(torch.zeros(len(images), 2, *images.shape[-2:]), level - images)


@pytest.mark.parametrize("compiled", [False, True])
def test_shut_lips_are_those_of_a_weaker_edit_to_another_expression(tiny_ganmut: GANmutConfig, compiled: bool) -> None:
    """Mouths that are at 0.9 are to come to three quarters of the radius, along the other's axis."""
    method = GANmut(dataclasses.replace(tiny_ganmut, lambda_lips=2.0, lips_of=("fear", "disgust"), lips_as="surprise"))
    with torch.no_grad():
        method.axes[2] = torch.tensor([0.0, 5.0])  # surprise: of any length
    towards = Towards()
    setattr(method, "generator", towards)  # noqa: B010  # of another type
    if compiled:
        setattr(towards, "_compiled_call_impl", towards.forward)  # noqa: B010
    shown, asked = [0, 1, 0, 0, 0, NO_CLASS], [4, 4, 5, 4, 3, 5]
    draw = drawn(asked, [0.8, 0.8, 0.4, 0.8, 0.8, 0.8], free=0)._replace(
        free=torch.tensor([False] * 3 + [True, False, False])
    )
    # Counted are 0 and 2: of the others one smiles, one has no label, one code is free, one is another expression's.
    batch = Batch(torch.zeros(6, 1, 64, 64), torch.tensor(shown))
    seen: list[int] = []
    towards.register_forward_hook(lambda _, inputs, output: seen.append(len(inputs[0])))
    edited = torch.full((6, 1, 64, 64), 0.9, requires_grad=True)
    found = method.aims.lips(asked_of(method, batch, edited, draw))
    assert seen == ([] if compiled else [2])
    assert found.item() == pytest.approx(((0.9 - 0.6) + (0.9 - 0.3)) / 6, rel=1e-3)
    # The edit is to come to where the other one is, which is not to come to meet it.
    gradient, *others = torch.autograd.grad(found, (edited, towards.gain, method.axes), allow_unused=True)
    assert others == [None, None]
    assert [bool(each) for each in gradient.abs().amax((1, 2, 3)) > 0] == [True, False, True, False, False, False]
    assert (
        gradient[0, 0, 49, 32] > 0.0 and gradient[0, 0, 15:35].abs().max() < 1e-3 * gradient.max()
    )  # not at the brows
    nothing = method.aims.lips(asked_of(method, batch, edited, drawn([3] * 6, [1.0] * 6, free=0)))
    assert nothing.item() == 0.0 and nothing.requires_grad


@pytest.mark.parametrize(("width", "seen"), [(2, 0.610), (8, 0.903)])
def test_lips_are_compared_up_to_a_hundredth_of_the_side(tiny_ganmut: GANmutConfig, width: int, seen: float) -> None:
    """Means over 1.28 pixels, twice: of stripes of two 0.781 is left each time; of eight, edges come to 0.634."""
    method = GANmut(dataclasses.replace(tiny_ganmut, lambda_lips=1.0))
    setattr(method, "generator", Towards())  # noqa: B010
    with torch.no_grad():
        method.axes[1] = torch.tensor([1.0, 0.0])  # sad: 0 at the mouth
    stripes = (torch.arange(128) // width % 2 * 0.2 - 0.1).expand(1, 1, 128, 128)
    anger = tiny_ganmut.expressions.index("anger")
    batch, draw = Batch(torch.zeros(1, 1, 128, 128), torch.tensor([0])), drawn([anger], [1.0], free=0)
    assert method.aims.lips(asked_of(method, batch, stripes, draw)).item() / 0.1 == pytest.approx(seen, abs=0.01)


def test_lips_are_a_term_where_they_have_a_weight_and_the_set_has_both_expressions(tiny_ganmut: GANmutConfig) -> None:
    assert_is_a_term_with_its_weight(tiny_ganmut, "lips", batch_of(32, [0] * 32))
    for names in (("neutral", "happy", "anger"), ("neutral", "happy", "sad")):
        few = GANmut(dataclasses.replace(tiny_ganmut, expressions=names, lambda_lips=1.0, critic_steps=1))
        assert "lips" not in dict(few.updates(batch_of(32, [0] * 32), 1))["generator"]


def test_an_anchor_leaves_free_what_lips_count(tiny_ganmut: GANmutConfig) -> None:
    method = GANmut(dataclasses.replace(tiny_ganmut, lambda_anchor=2.0))
    method.aims.anchor = lambda images, draw: images
    images = torch.zeros(3, 1, 64, 64)
    edited = torch.tensor([0.1, 0.2, 0.4])[:, None, None, None].expand(3, 1, 64, 64)
    anger, disgust = tiny_ganmut.expressions.index("anger"), tiny_ganmut.expressions.index("disgust")
    batch, draw = Batch(images, torch.tensor([0, 1, 0])), drawn([anger, anger, disgust], [1.0] * 3, free=0)
    assert method.aims.drift(asked_of(method, batch, edited, draw)).item() == pytest.approx(2 * 0.7 / 3, rel=1e-5)
    method.aims.config = dataclasses.replace(method.config, lambda_lips=1.0)
    assert method.aims.drift(asked_of(method, batch, edited, draw)).item() == pytest.approx(2 * 0.6 / 3, rel=1e-5)


def test_an_anchor_leaves_free_what_pays_for_strokes(tiny_ganmut: GANmutConfig) -> None:
    method = GANmut(dataclasses.replace(tiny_ganmut, lambda_anchor=2.0, strokes_of=("fear", "disgust")))
    method.aims.anchor = lambda images, draw: images
    edited = torch.tensor([0.1, 0.2, 0.4])[:, None, None, None].expand(3, 1, 64, 64)
    fear, disgust, anger = (tiny_ganmut.expressions.index(name) for name in ("fear", "disgust", "anger"))
    batch = Batch(torch.zeros(3, 1, 64, 64), torch.tensor([0, 1, 0]))
    draw = drawn([fear, disgust, anger], [1.0] * 3, free=0)
    assert method.aims.drift(asked_of(method, batch, edited, draw)).item() == pytest.approx(2 * 0.7 / 3, rel=1e-5)
    method.aims.config = dataclasses.replace(method.config, lambda_strokes=1.0)
    assert method.aims.drift(asked_of(method, batch, edited, draw)).item() == pytest.approx(2 * 0.4 / 3, rel=1e-5)


def test_settings_of_lips_that_do_nothing_are_refused(tiny_ganmut: GANmutConfig) -> None:
    asked = dataclasses.replace(tiny_ganmut, lambda_lips=1.0, lips_of=("angry", "disgusted"), lips_as="sadness")
    assert (asked.lips_of, asked.lips_as) == (("anger", "disgust"), "sad")
    for wrong in ((), ("sad",), ("contempt",)):
        with pytest.raises(ConfigError, match="lips_of") as error:
            dataclasses.replace(tiny_ganmut, lambda_lips=1.0, lips_of=wrong)
        assert "one or more of happy, surprise, fear, disgust, anger beside lips_as=sad" in error.value.hint
    with pytest.raises(ConfigError, match="lips_of"):
        dataclasses.replace(tiny_ganmut, lips_of=("neutral", "anger"))
    for model in ("neutral", "contempt"):
        with pytest.raises(ConfigError, match="lips_as"):
            dataclasses.replace(tiny_ganmut, lambda_lips=1.0, lips_as=model)
    with pytest.raises(ConfigError) as error:
        dataclasses.replace(tiny_ganmut, lambda_lips=1.0, lips_as="anger")  # its own mouth
    assert "beside lips_as=anger" in error.value.hint
    some = dataclasses.replace(tiny_ganmut, lambda_lips=1.0, lips_of=("sad", "contempt", "fear"))  # as far as it may
    assert GANmut(some).aims._pressed.nonzero()[:, 0].tolist() == [tiny_ganmut.expressions.index("fear")]


def test_an_anchor_holds_what_no_detour_counts(tiny_ganmut: GANmutConfig) -> None:
    """The anchor adds nothing and the generator goes half the way from level c to 1: (1 - c) / 2 apart, counted twice."""
    method = GANmut(dataclasses.replace(tiny_ganmut, lambda_anchor=2.0, detour_to=("sad",)))
    method.aims.anchor = lambda images, draw: images
    shown, asked = [1, 0, 1, 1, 3], [2, 3, 0, 5, 2]
    draw = drawn(asked, [1.0] * 5, free=0)._replace(free=torch.tensor([False] * 3 + [True, False]))
    levels = torch.tensor([0.8, 0.2, 0.4, 0.6, 0.0])
    images = levels[:, None, None, None].expand(5, 1, 64, 64)
    codes = torch.tensor([[1.0, 0.0]]).expand(5, 2).clone().requires_grad_()
    edited = (images + codes[:, :1, None, None] * (1 - images) / 2).expand_as(images)
    batch = Batch(images, torch.tensor(shown))
    found = method.aims.drift(asked_of(method, batch, edited, draw))
    assert found.item() == pytest.approx(2 * (0.1 + 0.4 + 0.5) / 5, rel=1e-5)
    (gradient,) = torch.autograd.grad(found, codes, retain_graph=True)
    assert [bool(each) for each in gradient.abs().sum(1) > 0] == [True, True, False, False, True]
    method.aims.config = dataclasses.replace(method.config, lambda_detour=1.0)
    held = method.aims.drift(asked_of(method, batch, edited, draw))  # what is to be sad is free now
    assert held.item() == pytest.approx(2 * 0.4 / 5, rel=1e-5)
    # At the mouth a difference counts in full, by its share of the mouth's place.
    spot = edited.detach().clone()
    spot[1, 0, 48:50, 31:33] += 0.1
    moved = method.aims.drift(asked_of(method, batch, spot, draw)) - held
    window = mouth_window(64, 64, images.device, 0.22)
    at_mouth = window[48:50, 31:33].sum() / window.sum()
    assert moved.item() == pytest.approx(0.1 / 5 * (4 / 64**2 + at_mouth.item()), rel=1e-3)


def test_an_anchor_asks_the_generator_of_before_for_the_same_expression(tiny_ganmut: GANmutConfig) -> None:
    """Also where an axis has turned since: what is held is what an expression looks like, not what a place does."""
    torch.manual_seed(3)
    method = GANmut(dataclasses.replace(tiny_ganmut, lambda_anchor=1.0, axes="spread"))
    for each in method.generator.parameters():
        each.data.normal_(std=0.3)
    batch, draw = batch_of(16, [1] * 16), drawn([2, 3, 4, 5] * 4, [0.9] * 16, free=0)

    def drift() -> Tensor:
        return method.aims.drift(asked_of(method, batch, method.edited(batch, draw)[2], draw))

    method.hold({name: tensor.clone() for name, tensor in method.state_dict().items()}, torch.device("cpu"))
    assert drift().item() == pytest.approx(0.0, abs=1e-6)
    assert not any("anchor" in name for name in method.state_dict())
    with torch.no_grad():
        method.axes.copy_(method.axes.flip(1))
    turned = drift()
    assert turned > 1e-3
    asked = {"axes", *(f"generator.{name}" for name, _ in method.generator.named_parameters())}
    turned.backward()
    found = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    assert "axes" in found and found <= asked


def test_settings_of_detour_and_anchor_that_do_nothing_are_refused(tiny_ganmut: GANmutConfig) -> None:
    few = dataclasses.replace(tiny_ganmut, expressions=("neutral", "happy", "anger"), lambda_detour=1.0)
    assert not GANmut(few).aims.detours  # guided presets on a set that lacks both
    for wrong in (("contempt",), ("neutral", "sad"), ()):
        with pytest.raises(ConfigError, match="detour_to"):
            dataclasses.replace(tiny_ganmut, lambda_detour=1.0, detour_to=wrong)
    everything = tiny_ganmut.expressions[1:]
    with pytest.raises(ConfigError, match="lambda_anchor"):
        dataclasses.replace(tiny_ganmut, lambda_detour=1.0, lambda_anchor=1.0, detour_to=everything)
    with pytest.raises(ConfigError, match="lambda_anchor"):
        dataclasses.replace(
            tiny_ganmut, lambda_detour=1.0, lambda_strokes=1.0, lambda_anchor=1.0, detour_to=everything[:4],
            strokes_of=everything[4:],
        )  # fmt: skip
    dataclasses.replace(tiny_ganmut, lambda_anchor=1.0, detour_to=everything)  # without a detour all are held


def test_strokes_are_the_fourth_power_of_darkness_where_it_is_asked(tiny_ganmut: GANmutConfig) -> None:
    """A quarter of an image 0.8 darker, and all of it brighter: 0.8^4 / 4, of those that are to be fearful or angry."""
    method = GANmut(dataclasses.replace(tiny_ganmut, lambda_strokes=2.0, strokes_of=("afraid", "anger")))
    light = torch.full((5, 1, 64, 64), 0.5)
    light[:, :, 32:, 32:] = -0.8
    light.requires_grad_()
    fear, anger, sad = (tiny_ganmut.expressions.index(name) for name in ("fear", "anger", "sad"))
    draw = drawn([fear, anger, sad, 0, fear], [1.0, 0.3, 1.0, 0.1, 1.0], free=0)
    draw = draw._replace(free=torch.tensor([False] * 4 + [True]))
    batch = Batch(torch.zeros(5, 1, 64, 64), torch.tensor([fear, 0, 0, 0, 0]))  # whatever they showed
    found = method.aims.strokes(asked_of(method, batch, light, draw))
    assert found.item() == pytest.approx(2 * 0.8**4 / 4 / 5)
    (gradient,) = torch.autograd.grad(found, light)
    assert [bool(each) for each in gradient.abs().amax((1, 2, 3)) > 0] == [True, True, False, False, False]
    assert gradient[0, 0, 40, 40].item() == pytest.approx(-4 * 0.8**3 / 64**2 / 5) and not gradient[0, 0, 0, 0]
    assert method.aims.terms(asked_of(method, batch, light, draw))["strokes"].item() == pytest.approx(2 * found.item())


def test_strokes_are_of_light_and_not_of_what_moves(tiny_ganmut: GANmutConfig) -> None:
    method = GANmut(dataclasses.replace(tiny_ganmut, lambda_strokes=1.0))
    fear = tiny_ganmut.expressions.index("fear")
    batch, draw = Batch(torch.ones(1, 1, 64, 64), torch.tensor([0])), drawn([fear], [1.0], free=0)
    edited = -torch.ones(1, 1, 64, 64)  # whatever has come of it
    edit = Edit(torch.ones(1, 2, 64, 64), torch.full((1, 1, 64, 64), -0.5))
    asked = method.asked(batch, edit, edited, codes_of(draw, method.axes), draw)
    assert method.aims.strokes(asked).item() == pytest.approx(0.5**4)


def test_strokes_are_a_term_where_they_have_a_weight_and_the_set_has_the_expression(tiny_ganmut: GANmutConfig) -> None:
    assert_is_a_term_with_its_weight(tiny_ganmut, "strokes", batch_of(32))
    for names, has in ((("neutral", "sad", "surprise"), False), (("neutral", "happy", "fear"), True)):
        assert GANmut(dataclasses.replace(tiny_ganmut, expressions=names, lambda_strokes=1.0)).aims.shades is has
    for wrong in (("contempt",), ("neutral", "fear"), ()):
        with pytest.raises(ConfigError, match="strokes_of"):
            dataclasses.replace(tiny_ganmut, lambda_strokes=1.0, strokes_of=wrong)
