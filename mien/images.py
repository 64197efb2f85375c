"""The one image convention, and every conversion to and from it.

An image is a numpy array, uint8, (height, width, 3), RGB, row 0 at the top, as a viewer shows it. Networks take float32
tensors (batch, 3, height, width) in [-1, 1]. Files are decoded by a closed list of Pillow's decoders, never by one that
starts another program, and only after the header has shown a size that fits into memory. `Photo` keeps what a person's
file holds besides its pixels; `write_photo` puts it back and marks the picture as edited (see `mien.provenance`).
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from mien.errors import ImageError
from mien.provenance import DESCRIBES, EditMark, merge_mark, parse_mark

if TYPE_CHECKING:
    import torch

#: More pixels than this are refused before they are decoded: above the largest cameras (151 million), below the 179
#: million where Pillow itself refuses.
MAX_PIXELS = 170_000_000

#: Decoders that may see a file; others (EPS starts Ghostscript) are no business of a photo editor.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF", "MPO")

#: The format of HEIC, which the package `pi_heif` decodes (the extra `heic`), and how its files call themselves.
_HEIF = "HEIF"
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1"}

#: Formats whose further pictures are frames of an animation, and not other sizes or pages.
_ANIMATED = ("GIF", "PNG", "WEBP")

_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
#: How closely JPEG and WebP keep the pixels, 1 to 100, unless another is asked for.
QUALITY = 95
#: Longest sides that libjpeg, and the formats WebP and GIF, allow.
LONGEST_SIDES = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535}
#: Suffixes that `write_photo` knows, and those by which photos are told from other files in a folder.
WRITABLE_SUFFIXES = tuple(_SUFFIXES)
_HEIF_SUFFIXES = (".heic", ".heif", ".hif")
PHOTO_SUFFIXES = (*WRITABLE_SUFFIXES, *_HEIF_SUFFIXES, ".avif", ".bmp", ".gif", ".jp2", ".pgm", ".ppm", ".tif", ".tiff")

#: A JPEG segment holds 65,533 bytes; a name of its own precedes EXIF (6 bytes) and XMP (29 bytes).
_JPEG_SEGMENT = 65_533 - 29

_LUMA_601 = (0.299, 0.587, 0.114)


#: Where a picture ends in a crop that reaches beyond it: the affine map (a, b, c, d, e, f) from the crop's unit square to
#: the picture's, u = a x + b y + c and v = d x + e y + f. The crop shows the picture where u and v are from 0 to 1.
Frame = tuple[float, float, float, float, float, float]


class Cropped(NamedTuple):
    """A face, cut out of a picture."""

    pixels: np.ndarray
    """uint8 (size, size, 3), RGB."""
    frame: Frame | None = None
    """Where the picture ends in it; None where it fills it."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture file as a person gave it: upright pixels, and what else must survive an edit."""

    pixels: np.ndarray
    """uint8 (height, width, 3), RGB; under transparency, the colour that the file stores there."""
    alpha: np.ndarray | None = None
    """uint8 (height, width), 255 = opaque; None where the file has no transparency."""
    icc_profile: bytes | None = None
    """The colour profile that the RGB values refer to; None means sRGB."""
    exif: bytes | None = None
    """EXIF block, its orientation already applied to the pixels and reset."""
    xmp: bytes | None = None
    """XMP packet."""
    dots_per_inch: tuple[float, float] | None = None
    """How large it is to be printed, across and down; None where the file does not say."""
    path: Path | None = None
    """Where the photo was read; None for bytes and streams."""
    frames: int = 1
    """How many pictures an animation has, of which this is the first."""

    def opaque(self) -> Photo:
        """Return the photo laid on white, with its colour profile and nothing else: what a figure shows of it."""
        pixels = self.pixels if self.alpha is None else on_white(self.pixels, self.alpha)
        return Photo(pixels, icc_profile=self.icc_profile)


def written_as(path: Path) -> str:
    """Return the suffix of the file that best keeps a photo: its own; JPEG for HEIC, as lossy as that; or PNG."""
    suffix = path.suffix.lower()
    if suffix in WRITABLE_SUFFIXES:
        return suffix
    if suffix not in _HEIF_SUFFIXES:
        return ".png"
    with contextlib.suppress(Exception), warnings.catch_warnings():  # what is wrong with it is told when it is read
        warnings.simplefilter("ignore")
        if _decodable_heif():
            with Image.open(path, formats=[_HEIF]) as header:
                return ".png" if header.has_transparency_data else ".jpg"
    return ".jpg"


def is_still(path: Path) -> bool | None:
    """Say whether a file is a photo, by its beginning: False for an animation, None for what is no picture.

    Several sizes or pages are no animation.
    """
    with contextlib.suppress(Exception), warnings.catch_warnings():  # decoders raise nearly anything
        warnings.simplefilter("ignore")
        with path.open("rb") as file:
            if _is_heif(file.read(256)):
                return True
        with Image.open(path, formats=[kind for kind in _FORMATS if _decodable(kind)]) as header:
            return header.format not in (*_ANIMATED, "AVIF") or not getattr(header, "is_animated", False)
    return None


def read_image(source: str | Path | bytes | BinaryIO) -> np.ndarray:
    """Decode any picture to uint8 (height, width, 3) RGB, upright, transparency laid on white.

    Raises `ImageError` for what is missing, empty, broken, too large or no picture.
    """
    photo = read_photo(source)
    return photo.pixels if photo.alpha is None else on_white(photo.pixels, photo.alpha)


def on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lay pixels, uint8 (height, width, 3), with their opacity (height, width) on white."""
    opacity = alpha[..., None].astype(np.uint16)
    return ((pixels * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def read_photo(source: str | Path | bytes | BinaryIO, name: str = "") -> Photo:
    """Decode a photo with its transparency, colour profile, EXIF and XMP.

    16-bit files are scaled to 8 bits, CMYK goes through its own profile to sRGB, of an animation the first frame is
    taken, EXIF orientation is applied. `name` is what errors call it. Raises `ImageError` for what is missing, empty,
    broken, too large or no picture.
    """
    name = f"`{name or source}`" if name or isinstance(source, (str, Path)) else "the picture"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's: corrupt EXIF costs only itself, and size has our own limit
        decoded, on_its_side = _decode(source, name)
        frames = getattr(decoded, "n_frames", 1) if decoded.format in _ANIMATED else 1
        image, exif = _upright(decoded)
    icc_profile = image.info.get("icc_profile")
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    alpha = None
    if image.has_transparency_data and not image.mode.startswith("I"):
        image = image.convert("RGBA")
        alpha = np.array(image.getchannel("A"))
    return Photo(
        pixels=_rgb(image, icc_profile, name),
        alpha=alpha,
        # A profile of another colour space (grey, CMYK) would be wrong for the RGB values that leave here.
        icc_profile=icc_profile if icc_profile and icc_profile[16:20] == b"RGB " else None,
        exif=exif,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp,
        dots_per_inch=_dots_per_inch(decoded, on_its_side),
        path=Path(source) if isinstance(source, (str, Path)) else None,
        frames=frames,
    )


def _decode(source: str | Path | bytes | BinaryIO, name: str) -> tuple[Image.Image, bool]:
    """Read all of a picture, the size checked before any pixel is decoded; and say whether its file lies on its side.

    Of a TIFF that is asked before its pixels are read: Pillow turns it then, and forgets that it did.
    """
    kinds = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF, BMP and PPM can be read"
    try:
        data = Path(source).read_bytes() if isinstance(source, (str, Path)) else source
        data = data if isinstance(data, bytes) else data.read()
    except OSError as error:
        raise ImageError(f"cannot read {name}: {error.strerror or error}", hint="check the path") from None
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)", hint="copy or download the file again")
    too_large = ImageError(
        f"{name} has more than {MAX_PIXELS // 1_000_000} million pixels", hint="scale the picture down first"
    )
    if _is_heif(data) and not _decodable_heif():
        raise ImageError(
            f"{name} is a HEIC picture", hint="`pip install 'mien[heic]'` brings what reads it, or save a JPEG"
        )
    formats = [_HEIF] if _is_heif(data) else [kind for kind in _FORMATS if _decodable(kind)]
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        if formats == [_HEIF]:
            raise ImageError(f"{name} is broken or cut short", hint="copy or download the file again") from None
        raise ImageError(f"{name} is not a picture, or one of an unknown kind", hint=kinds) from None
    except Image.DecompressionBombError:
        raise too_large from None
    except Exception as error:  # a header that looks right and is not: decoders raise nearly anything
        raise ImageError(f"{name} has a broken header: {error}", hint=kinds) from None
    if image.width * image.height > MAX_PIXELS:
        raise too_large
    on_its_side = image.format == "TIFF" and _lies_on_its_side(image)
    try:
        image.load()
    except Exception as error:  # as above
        raise ImageError(f"{name} is broken or cut short: {error}", hint="copy or download the file again") from None
    return image, on_its_side or _lies_on_its_side(image)


def _lies_on_its_side(image: Image.Image) -> bool:
    with contextlib.suppress(Exception):  # EXIF that cannot be parsed must not cost the picture
        return image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return False


def _dots_per_inch(image: Image.Image, on_its_side: bool) -> tuple[float, float] | None:
    """Return what a file says of its size in print, turned with the picture where that lies on its side."""
    found = image.info.get("dpi")
    try:
        across, down = (float(value) for value in found)  # type: ignore[union-attr]
    except (TypeError, ValueError):  # no pair of numbers
        return None
    if not (0 < across < math.inf and 0 < down < math.inf):
        return None
    return (down, across) if on_its_side else (across, down)


def _decodable(kind: str) -> bool:
    """Say whether this build of Pillow has a decoder (AVIF and JPEG 2000 are optional)."""
    Image.init()
    return kind in Image.OPEN


def _is_heif(data: bytes) -> bool:
    """Say whether a file begins as the photos of a telephone do, and is not AVIF, which begins alike."""
    if data[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[start : start + 4] for start in (8, *range(16, length, 4))}
    return bool(brands & _HEIF_BRANDS) and not brands & {b"avif", b"avis"}


def _decodable_heif() -> bool:
    """Say whether there is a decoder for HEIC, and tell Pillow of it."""
    if _HEIF not in Image.OPEN:
        with contextlib.suppress(ImportError):
            import pi_heif

            pi_heif.register_heif_opener(thumbnails=False)
    return _HEIF in Image.OPEN


def _upright(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """Apply and reset the orientation; EXIF that cannot be parsed is dropped, the pixels are kept as they lie."""
    try:
        upright = ImageOps.exif_transpose(image)
        exif = upright.getexif()
        return upright, exif.tobytes() if len(exif) else None
    except Exception:  # EXIF is written by every camera in its own way; a broken block must not cost the picture
        return image, None


def _rgb(image: Image.Image, icc_profile: bytes | None, name: str) -> np.ndarray:
    """Turn any mode of Pillow into uint8 (height, width, 3)."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow keeps some of it in 32-bit integers
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(f"{name} has more than 16 bits per channel", hint="save it with 8 or 16 bits")
        return np.repeat(((values + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ImageError(f"{name} holds floating-point values", hint="save it with 8 or 16 bits")
    if image.mode == "CMYK" and icc_profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # a broken profile: the plain formula below must do
            image = _to_srgb(image, icc_profile)
    try:
        return np.array(image.convert("RGB"))
    except ValueError:
        raise ImageError(f"{name} has the colour mode {image.mode}", hint="save it as RGB") from None


def _to_srgb(image: Image.Image, icc_profile: bytes) -> Image.Image:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return converted or image


def write_photo(
    path: str | Path,
    pixels: np.ndarray,
    like: Photo | None = None,
    mark: EditMark | None = None,
    quality: int = QUALITY,
) -> None:
    """Write PNG, JPEG or WebP, as the suffix says, whole or not at all.

    What `like` holds is kept: colour profile, EXIF, XMP, and transparency where format and size allow it. `mark` adds
    the provenance of the edit to XMP (merged into the photo's own; see `merge_mark`) and names the software in EXIF.
    Raises `ImageError` for an unknown suffix or a path that cannot be written.
    """
    path = Path(path)
    image, options = _savable(path, pixels, like, mark, quality)
    # In the same folder, so that the final step is a rename; its own name, so that two writers do not meet.
    unfinished = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part")
    try:
        image.save(unfinished, **options)
        os.replace(unfinished, path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None
    finally:
        unfinished.unlink(missing_ok=True)


def encode_photo(
    name: str | Path,
    pixels: np.ndarray,
    like: Photo | None = None,
    mark: EditMark | None = None,
    quality: int = QUALITY,
) -> bytes:
    """Return the bytes of the file that `write_photo` would write under that name."""
    stream = io.BytesIO()
    image, options = _savable(Path(name), pixels, like, mark, quality)
    try:
        image.save(stream, **options)
    except (OSError, ValueError) as error:
        raise _unwritable(Path(name), error) from None
    return stream.getvalue()


def _unwritable(path: Path, error: OSError | ValueError) -> ImageError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return ImageError(f"cannot write `{path}`: {reason}", hint="check folder, free space and picture size")


def _savable(
    path: Path, pixels: np.ndarray, like: Photo | None, mark: EditMark | None, quality: int
) -> tuple[Image.Image, dict[str, Any]]:
    """Return Pillow's picture of what is to become the file `path`, and the arguments of its `save`."""
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise ImageError(f"cannot write `{path}`: unknown suffix", hint="use .png, .jpg or .webp")
    height, width = pixels.shape[:2]
    if max(height, width) > (most := LONGEST_SIDES.get(kind, math.inf)):
        reason = f"{kind} has no room for {width} x {height} pixels, {most} a side at most"
        raise ImageError(f"cannot write `{path}`: {reason}", hint="write a .png")
    alpha = like.alpha if like is not None else None
    if alpha is None or alpha.shape != pixels.shape[:2]:
        image = Image.fromarray(pixels)
    elif kind == "JPEG":  # knows no transparency
        image = Image.fromarray(on_white(pixels, alpha))
    else:
        image = Image.fromarray(pixels)
        image.putalpha(Image.fromarray(alpha))
    options = {"format": kind, **_metadata(like, mark, kind)}
    if kind != "PNG":
        options["quality"] = quality
    if kind != "WEBP" and like is not None and like.dots_per_inch:
        options["dpi"] = like.dots_per_inch
    if kind == "JPEG":
        options["subsampling"] = 0  # lips and eyes are small patches of colour
    if kind == "WEBP":
        options["exact"] = True  # the colours under full transparency too
    return image, options


def _metadata(like: Photo | None, mark: EditMark | None, kind: str) -> dict[str, Any]:
    """Return the arguments of Pillow's `save` that carry profile, EXIF and XMP."""
    exif = Image.Exif()
    if like is not None and like.exif:
        exif.load(like.exif)
    xmp = like.xmp if like is not None else None
    if mark is not None:
        xmp = merge_mark(xmp, mark)
        exif[ExifTags.Base.Software] = mark.software
        before = str(exif.get(ExifTags.Base.ImageDescription, ""))
        if not before.strip() or before.startswith(
            DESCRIBES
        ):  # a photo's own words stay, those of an edit before do not
            exif[ExifTags.Base.ImageDescription] = mark.describe()
    if kind == "JPEG" and xmp is not None and len(xmp) > _JPEG_SEGMENT:
        # JPEG has no room for it: the mark matters most, what the photo carried besides goes.
        xmp = merge_mark(None, mark) if mark is not None else None
    block = exif.tobytes() if len(exif) else b""
    if kind == "JPEG" and len(block) > _JPEG_SEGMENT:
        block = b""
    options: dict[str, Any] = {"exif": block} if block else {}
    if like is not None and like.icc_profile:
        options["icc_profile"] = like.icc_profile
    if xmp is not None and kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        options["pnginfo"] = text
    elif xmp is not None:
        options["xmp"] = xmp
    return options


def read_mark(path: str | Path) -> dict[str, str] | None:
    """Return the provenance that `write_photo` put into a picture, or None where there is none.

    Keys: `digital_source_type`, `software`, `condition`, `model`.
    """
    return parse_mark(read_photo(path).xmp)


def to_float(images: np.ndarray) -> torch.Tensor:
    """Turn uint8 (batch, height, width, 3), or one image, into float32 (batch, 3, height, width) in [-1, 1]."""
    import torch

    batch = torch.from_numpy(np.require(images if images.ndim == 4 else images[None], requirements=["C", "W"]))
    return batch.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0).contiguous()


def to_uint8(images: torch.Tensor) -> np.ndarray:
    """Turn a tensor (batch, 3, height, width) in [-1, 1] into uint8 (batch, height, width, 3), rounded and clamped."""
    import torch

    levels = images.detach().to(torch.float32).add(1.0).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def luma_weights(device: torch.device | str = "cpu") -> torch.Tensor:
    """Return Rec. 601's weights of red, green and blue on a device: float32 (3, 1, 1)."""
    import torch

    return torch.tensor(_LUMA_601, device=device)[:, None, None]


def fit_images(images: torch.Tensor, size: int, channels: int, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Bring images, float (n, c, h, w) in [-1, 1], to a side and to 1 (grey: the luma) or 3 channels (RGB).

    Bicubic with antialiasing; the range is kept. `weights` are those of the luma, (3, 1, 1), where they lie on the device
    already: to bring them there makes the host wait.
    """
    import torch.nn.functional as F

    if images.shape[1] == 3 and channels == 1:
        if weights is None:
            weights = luma_weights(images.device)
        images = (images * weights).sum(1, keepdim=True)
    images = images.expand(-1, channels, -1, -1)
    if images.shape[-2:] != (size, size):
        images = F.interpolate(images, size=(size, size), mode="bicubic", antialias=True, align_corners=False).clamp(
            -1, 1
        )
    return images.contiguous()


def luma(image: np.ndarray) -> np.ndarray:
    """Return Rec. 601 luma, (..., height, width), of (..., height, width, 3); uint8 stays uint8, floats stay floats."""
    weights = np.asarray(_LUMA_601, np.float32 if image.dtype == np.uint8 else image.dtype)
    value = image @ weights
    return np.rint(value).astype(np.uint8) if image.dtype == np.uint8 else value


def is_grey(image: np.ndarray, tolerance: int = 4) -> bool:
    """Say whether 99.9 % of a uint8 RGB image is without colour, but for `tolerance` levels as JPEG leaves them."""
    channels = image.astype(np.int16)
    spread = channels.max(axis=-1) - channels.min(axis=-1)
    return bool((spread > tolerance).mean() < 0.001)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a uint8 image to (height, width), bicubic, averaged over the source pixels when it shrinks."""
    if image.shape[:2] == size:
        return image.copy()
    return np.array(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BICUBIC))
