"""The generators that every method can have.

- `ResidualGenerator`: StarGAN's (Choi et al. 2018, table 4), which GANmut takes over: it paints a whole new image.
- `WarpGenerator`: ours. It moves what is there (displacement) and adds only what moving cannot give (a masked residual),
  so that the edit can be carried to a photo of any resolution.

Both answer with an `Edit` (`mien.edit_maps`). Images are float NCHW in [-1, 1]. Codes are float (N, size).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mien.edit_maps import Edit, blurred, mirrored, sampling_grid, warp, wiped
from mien.errors import ConfigError
from mien.face_windows import edge_window, mouth_window

#: The largest light of generators that do not say it (`WarpGenerator`), in half ranges.
MAX_LIGHT = 0.8


def smooth(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Blur with the binomial kernel (1, 2, 1) / 4 along both axes; the border repeats."""
    # Computed there and not copied: a copy would make the CPU wait for the GPU.
    kernel = (2 - (torch.arange(3, device=maps.device, dtype=maps.dtype) - 1).abs()) / 4
    channels = maps.shape[1]
    weight = (kernel[:, None] * kernel[None, :]).expand(channels, 1, 3, 3)
    return F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), weight, groups=channels)


def _planes(codes: Tensor, images: Tensor) -> Tensor:
    """Repeat each code over the image plane, as extra input channels."""
    return codes[:, :, None, None].expand(-1, -1, *images.shape[-2:]).to(images.dtype)


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


class ResidualGenerator(nn.Module):
    """StarGAN's generator: code as extra input channels, two strides down, residual blocks, two up, tanh.

    InstanceNorm keeps no running statistics: the official code does, and its networks then change when they are set to
    `eval()` (junyanz/pytorch-CycleGAN-and-pix2pix #395). With 64 channels, 6 blocks, 3 image channels and a code of 2
    it has 8,421,120 parameters: GANmut's 8,421,138 less its axes (12) and the six biases there that nothing uses.
    """

    def __init__(self, image_channels: int, code_size: int, base_channels: int = 64, num_blocks: int = 6) -> None:
        super().__init__()

        def normalised(conv: nn.Module, channels: int) -> list[nn.Module]:
            return [conv, nn.InstanceNorm2d(channels, affine=True), nn.ReLU(inplace=True)]

        width = base_channels
        layers = normalised(nn.Conv2d(image_channels + code_size, width, 7, 1, 3, bias=False), width)
        for _ in range(2):
            layers += normalised(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), 2 * width)
            width *= 2
        layers += [_ResidualBlock(width) for _ in range(num_blocks)]
        for _ in range(2):
            layers += normalised(nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), width // 2)
            width //= 2
        layers += [nn.Conv2d(width, image_channels, 7, 1, 3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, images: Float[Tensor, "n c h w"], codes: Float[Tensor, "n s"]) -> Edit:
        """Return the edit that replaces the images by what the network paints: no displacement, delta = new - old."""
        painted = self.main(torch.cat([images, _planes(codes, images)], dim=1))
        displacement = images.new_zeros(images.shape[0], 2, *images.shape[-2:], dtype=torch.float32)
        return Edit(displacement, painted.float() - images.float())


class _ModulatedConv(nn.Module):
    """A 3x3 or strided convolution, instance norm, then scale and shift that depend on the code, then ReLU."""

    def __init__(self, channels_in: int, channels_out: int, embedding: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, 1, bias=False)
        self.norm = nn.InstanceNorm2d(channels_out)
        self.modulation = nn.Linear(embedding, 2 * channels_out)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        return F.relu(self.norm(self.conv(x)) * (1 + scale) + shift)


class _Enhancer(nn.Module):
    """Layers round a generator of half the side: they add finer movement and light to what it has drawn, at first none."""

    def __init__(self, image_channels: int, channels_in: int, channels: int, embedding: int, maps: int) -> None:
        super().__init__()
        self.entry = _ModulatedConv(image_channels + 2, channels, embedding, kernel=4, stride=2)
        self.lift = nn.Conv2d(channels_in, channels, 3, 1, 1)
        self.fine = _ModulatedConv(2 * channels, channels, embedding)
        self.to_coarse = nn.Conv2d(channels, maps, 3, 1, 1)
        self.detail = nn.Conv2d(channels, channels, 3, 1, 1)
        self.to_residual = nn.Conv2d(channels, 4 * image_channels, 3, 1, 1)
        _nothing_at_first(self.to_coarse, self.to_residual)

    def forward(
        self, images: Tensor, features: Tensor, coarse: Tensor, residual: Tensor, embedding: Tensor, bound: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return features, movement with mask and wipe (half the images' side), and residual, each twice as large."""
        x = torch.cat([self.entry(_with_places(images), embedding), _doubled(self.lift(features), "nearest")], dim=1)
        x = self.fine(x, embedding)
        added, before = self.to_coarse(x).float(), _doubled(coarse.float())
        movement = (before[:, :2] + bound * torch.tanh(added[:, :2])).clamp(-bound, bound)
        coarse = torch.cat([movement, before[:, 2:] + added[:, 2:]], dim=1)
        return x, coarse, _doubled(residual) + _shuffled(self.to_residual, self.detail, x)


def _nothing_at_first(*layers: nn.Conv2d) -> None:
    for layer in layers:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def _doubled(maps: Tensor, mode: Literal["nearest", "bilinear"] = "bilinear") -> Tensor:
    """Return maps at twice their side."""
    return F.interpolate(maps, scale_factor=2.0, mode=mode, align_corners=None if mode == "nearest" else False)


def _with_places(images: Tensor) -> Tensor:
    """Return images with two planes of coordinates, y and |x|: faces are aligned, a place in the crop is one in the face.

    |x| and not x is meant to make it hard to tell left from right; only `both_sides` makes expressions symmetric.
    """
    places = sampling_grid(images.new_zeros(1, 2, *images.shape[-2:])).permute(0, 3, 1, 2)
    places = torch.cat([places[:, :1].abs(), places[:, 1:]], dim=1)
    return torch.cat([images, places.to(images.dtype).expand(images.shape[0], -1, -1, -1)], dim=1)


def _shuffled(to_residual: nn.Module, detail: nn.Module, features: Tensor) -> Tensor:
    """Return a residual at twice the features' side.

    Four values of each place are its four pixels, smoothed against their chequered pattern. A layer of its own at full
    resolution took a quarter of a training step.
    """
    return smooth(F.pixel_shuffle(to_residual(F.relu(detail(features))).float(), 2))


#: Of the wipe's layer at first: sigmoid(-3) is 0.05.
_WIPE_BIAS = -3.0


class WarpGenerator(nn.Module):
    """Predict a smooth displacement, a soft mask and a bounded residual: y = (1-m) warp(x) + m clamp(warp(x) + r).

    Three things differ from `ResidualGenerator` (docs/log.md says what was seen, and what was not isolated): the code
    scales and shifts every normalised layer, since instance norm takes out nearly all of a constant input plane; the
    displacement is predicted at half resolution and sampled up, so that it is smooth from pixel to pixel; all maps fade
    towards the border (`margin`), so that what is learned is what an editor can paste without a seam. Image sides must be
    multiples of 4.

    With `both_sides` an edit is the mean of that and of its mirror image's edit, mirrored back: a mirrored photo then gets
    the mirrored edit exactly, and no expression is lopsided but by what the face is. It costs as much as a second image.

    With `soft_light` the light that this adds is blurred away from the mouth, over so much of the side: a brow can be moved
    and shaded, and no spot be painted above it, which is what critics ask for when they can have it.

    The residual is bounded by `max_light`: with the default bright teeth can be shaded, and not become the dark of an open
    mouth, which is up to 2 away.

    With `wipes` a third map says how much of the detail that was fetched is wiped away at the mouth; above, warp(x) is then
    what is left. Teeth that are to become a shut mouth can be moved and darkened, but the lines between them stay to be
    seen, the more so the larger the photo is.

    With `enhancers` the network is one for images of half the side, or of a quarter and so on, with layers round it that
    add what is finer (local enhancers: Wang et al., pix2pixHD, CVPR 2018). A new enhancer adds nothing: a network that was
    trained on small faces goes on with larger ones where it stood (`mien.resizing.grown`). Image sides must be multiples of
    4 * 2^enhancers.
    """

    def __init__(
        self,
        image_channels: int,
        code_size: int,
        base_channels: int = 32,
        num_blocks: int = 4,
        *,
        max_displacement: float = 0.25,
        max_light: float = MAX_LIGHT,
        margin: float = 0.1,
        embedding: int = 64,
        both_sides: bool = False,
        soft_light: float = 0.0,
        wipes: bool = False,
        enhancers: int = 0,
    ) -> None:
        super().__init__()
        self.image_channels = image_channels
        self.soft_light = soft_light
        self.max_displacement = max_displacement
        self.max_light = max_light
        self.margin = margin
        self.both_sides = both_sides
        width = base_channels
        self.embed = nn.Sequential(
            nn.Linear(code_size, embedding), nn.ReLU(), nn.Linear(embedding, embedding), nn.ReLU()
        )
        self.down = nn.ModuleList(
            [
                _ModulatedConv(image_channels + 2, width, embedding, kernel=4, stride=2),
                _ModulatedConv(width, 2 * width, embedding, kernel=4, stride=2),
            ]
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList([_ModulatedConv(2 * width, 2 * width, embedding), nn.Conv2d(2 * width, 2 * width, 3, 1, 1)])
            for _ in range(num_blocks)
        )
        self.up = _ModulatedConv(2 * width, width, embedding)
        self.fine = _ModulatedConv(width + width, width, embedding)
        self.to_displacement = nn.Conv2d(width, 2, 3, 1, 1)
        self.to_mask = nn.Conv2d(width, 1, 3, 1, 1)
        self.detail = nn.Conv2d(width, width, 3, 1, 1)
        self.to_residual = nn.Conv2d(width, 4 * image_channels, 3, 1, 1)
        # Small last layers: the network starts near the identity, but not on it (on it, an L1 cycle loss resists
        # every change). The mask starts at sigmoid(-1.5) = 0.18.
        for layer in (self.to_displacement, self.to_residual, self.to_mask):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.to_mask.bias, -1.5)  # type: ignore[arg-type]
        self.to_wipe = nn.Conv2d(width, 1, 3, 1, 1) if wipes else None
        if self.to_wipe is not None:
            _nothing_at_first(self.to_wipe)
            nn.init.constant_(self.to_wipe.bias, _WIPE_BIAS)  # type: ignore[arg-type]
        self.enhancers = nn.ModuleList()
        for _ in range(enhancers):
            finer = max(width // 2, 8)  # half as many channels at twice the side
            self.enhancers.append(_Enhancer(image_channels, width, finer, embedding, 3 + wipes))
            width = finer

    def maps(
        self, images: Float[Tensor, "n c h w"], codes: Float[Tensor, "n s"]
    ) -> tuple[Float[Tensor, "n 2 h w"], Float[Tensor, "n 1 h w"], Float[Tensor, "n c h w"], Tensor | None]:
        """Return displacement (units of half the image), mask in [0, 1], residual and wipe, all at the images' size."""
        height, width = images.shape[-2:]
        least = 4 * 2 ** len(self.enhancers)
        if height % least or width % least:
            raise ConfigError(
                f"the warp generator cannot take {width}x{height} images", hint=f"use multiples of {least}"
            )
        embedding = self.embed(codes)
        sizes = [images]
        for _ in self.enhancers:
            sizes.append(F.avg_pool2d(sizes[-1], 2))
        half = self.down[0](_with_places(sizes.pop()), embedding)
        x = self.down[1](half, embedding)
        for block in self.blocks:
            first, second = block.children()
            x = x + second(first(x, embedding))
        x = self.up(_doubled(x, "nearest"), embedding)
        x = self.fine(torch.cat([x, half], dim=1), embedding)
        drawn = [self.max_displacement * torch.tanh(self.to_displacement(x)), self.to_mask(x)]
        coarse = torch.cat([*drawn, self.to_wipe(x)] if self.to_wipe is not None else drawn, dim=1)
        residual = _shuffled(self.to_residual, self.detail, x)
        for enhancer in self.enhancers:
            x, coarse, residual = enhancer(sizes.pop(), x, coarse, residual, embedding, self.max_displacement)
        window = edge_window(height, width, self.margin, images.device)
        coarse = _doubled(coarse.float())
        residual = self.max_light * torch.tanh(residual)
        wipe = None
        if self.to_wipe is not None:
            wipe = torch.sigmoid(coarse[:, 3:]) * mouth_window(height, width, images.device) * window
        return coarse[:, :2] * window, torch.sigmoid(coarse[:, 2:3]) * window, residual, wipe

    def forward(self, images: Float[Tensor, "n c h w"], codes: Float[Tensor, "n s"]) -> Edit:
        """Return the edit of each image, with `both_sides` the mean of it and its mirror image's, mirrored."""
        if not self.both_sides:
            return self.one_side(images, codes)
        both = self.one_side(torch.cat([images, images.flip(-1)]), codes.repeat(2, 1))
        halves = [None if maps is None else maps.unflatten(0, (2, images.shape[0])) for maps in both]
        edit, other = (Edit(*(None if maps is None else maps[half] for maps in halves)) for half in (0, 1))  # type: ignore[arg-type]
        pairs = zip(edit, mirrored(other), strict=True)
        return Edit(*(None if one is None or two is None else (one + two) / 2 for one, two in pairs))  # type: ignore[arg-type]

    def one_side(self, images: Float[Tensor, "n c h w"], codes: Float[Tensor, "n s"]) -> Edit:
        """Return the edit as one pass gives it: displacement, delta = m (clamp(warp(x) + r) - warp(x)), and wipe."""
        displacement, mask, residual, wipe = self.maps(images, codes)
        moved = warp(images, displacement)
        if wipe is not None:
            moved = wiped(moved, wipe)
        light = mask * ((moved + residual).clamp(-1, 1) - moved)
        if self.soft_light:
            height, width = light.shape[-2:]
            mouth = mouth_window(height, width, light.device)
            light = mouth * light + (1 - mouth) * blurred(light, self.soft_light)
            light = light * edge_window(height, width, self.margin / 2, light.device)  # the blur reaches the border
        return Edit(displacement, light, wipe)


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters, frozen or not."""
    return sum(parameter.numel() for parameter in module.parameters())
