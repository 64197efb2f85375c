"""Every kind of picture file people have, the bad ones, and the mark of an edit."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms

from mien.errors import ImageError
from mien.images import (
    MAX_PIXELS,
    Photo,
    is_grey,
    luma,
    read_image,
    read_mark,
    read_photo,
    resize,
    to_float,
    to_uint8,
    write_photo,
    written_as,
)
from mien.provenance import DIGITAL_SOURCE_TYPE, EditMark, merge_mark, parse_mark

SUFFIXES = (".png", ".jpg", ".webp")
ASTRONAUT = Path(__file__).parent.parent / "assets" / "astronaut.png"
MARK = EditMark(condition="happy:0.6+surprise:0.4 @ 0.9", model="0123abcd")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def ramp(height: int = 24, width: int = 32) -> np.ndarray:
    """A smooth picture, so that lossy formats come close."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + 4 * x, 200 - 5 * y, 90 + 2 * x + y], axis=-1).astype(np.uint8)


def test_rgb_comes_back_exactly_from_path_bytes_and_stream(tmp_path: Path) -> None:
    pixels = ramp()
    data = encode(Image.fromarray(pixels))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for source in (path, str(path), data, io.BytesIO(data)):
        assert np.array_equal(read_image(source), pixels)
    assert read_photo(path).path == path


def test_16_bit_grey_is_scaled_to_8() -> None:
    values = np.array([[0, 128, 257, 32896, 65407, 65535]], np.uint16)
    read = read_image(encode(Image.fromarray(values)))
    assert read.shape == (1, 6, 3)
    assert read[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255]  # value / 257, rounded
    assert is_grey(read)


def test_cmyk_without_profile_and_with_a_broken_one() -> None:
    # No ink is white, full black ink is black, full cyan absorbs red.
    image = Image.merge("CMYK", [Image.fromarray(np.array([row], np.uint8)) for row in
                                 ([0, 0, 255], [0, 0, 0], [0, 0, 0], [0, 255, 0])])  # fmt: skip
    for options in ({}, {"icc_profile": b"no profile" * 20}):
        photo = read_photo(encode(image, "TIFF", **options))
        assert photo.pixels[0].tolist() == [[255, 255, 255], [0, 0, 0], [0, 255, 255]]
        assert photo.icc_profile is None


def test_cmyk_jpeg_is_read() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(read_image(encode(image, "JPEG", quality=95))[8, 8].astype(int) - [255, 0, 0]).max() <= 3


def test_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert read_image(encode(image))[0].tolist() == [[10, 20, 30], [200, 100, 50]]
    photo = read_photo(encode(image, transparency=0))
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[0, 255]]
    assert read_image(encode(image, transparency=0))[0].tolist() == [[255, 255, 255], [200, 100, 50]]


def test_alpha_is_kept_apart_and_laid_on_white_for_read_image() -> None:
    pixels = np.array([[[100, 0, 200, 255], [100, 0, 200, 0], [100, 0, 200, 51]]], np.uint8)
    photo = read_photo(encode(Image.fromarray(pixels)))
    assert np.array_equal(photo.pixels, pixels[..., :3])
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 51]]
    # 51 is a fifth: 0.2 * 100 + 0.8 * 255 = 224, 204, 244.
    assert read_image(encode(Image.fromarray(pixels)))[0].tolist() == [[100, 0, 200], [255, 255, 255], [224, 204, 244]]
    grey = Image.merge("LA", [Image.new("L", (1, 1), 80), Image.new("L", (1, 1), 7)])
    photo = read_photo(encode(grey))
    assert photo.alpha is not None
    assert (photo.pixels[0, 0].tolist(), photo.alpha[0, 0]) == ([80, 80, 80], 7)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (read_image(data) == [255, 0, 0]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_reset(orientation: int, tmp_path: Path) -> None:
    upright = ramp()
    # What a camera stores: the inverse of what a viewer must do (EXIF 2.3, tag 0x0112).
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1), 7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Camera"
    photo = read_photo(encode(Image.fromarray(np.ascontiguousarray(stored)), exif=exif.tobytes()))
    assert np.array_equal(photo.pixels, upright)
    write_photo(tmp_path / "b.png", photo.pixels, photo)
    again = Image.open(tmp_path / "b.png").getexif()
    assert again.get(ExifTags.Base.Orientation, 1) == 1
    assert again[ExifTags.Base.Make] == "Camera"
    assert np.array_equal(read_image(tmp_path / "b.png"), upright)


def test_broken_exif_does_not_cost_the_picture() -> None:
    data = encode(Image.fromarray(ramp()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    assert read_image(data).shape == (24, 32, 3)


def bomb() -> bytes:
    """A PNG of a few bytes whose header announces 900 million pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"this is text, not a picture", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "not a picture"),
        (encode(Image.fromarray(ramp(200, 200)), "JPEG")[:900], "broken or cut short"),
        (encode(Image.fromarray(ramp(200, 200)))[:300], "broken or cut short"),
        (encode(Image.fromarray(ramp(200, 200)), "WEBP")[:200], "broken"),
        (bomb(), "million pixels"),
        (encode(Image.new("F", (2, 2), 0.5), "TIFF"), "floating-point"),
        (encode(Image.new("I", (2, 2), 100_000), "TIFF"), "more than 16 bits"),
    ],
)
def test_bad_input_gets_one_line_and_a_hint(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=words) as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)
    assert "bad.png" in str(caught.value)
    assert caught.value.hint


HEIC = Path(__file__).parent / "photos" / "on-its-side.heic"


def test_a_telephones_photo_is_read_upright() -> None:
    """It is stored on its side, with the turn that HEIF has for that, and with an orientation in its EXIF."""
    pytest.importorskip("pi_heif")
    photo = read_photo(HEIC)
    portrait = Image.open(ASTRONAUT).convert("RGB").crop((112, 8, 328, 232))
    assert photo.pixels.shape == (224, 216, 3) and photo.alpha is None
    assert np.abs(photo.pixels.astype(int) - np.asarray(portrait)).mean() < 4  # it is lossy
    assert photo.exif is not None and photo.icc_profile is not None
    exif = Image.Exif()
    exif.load(photo.exif)
    assert exif[ExifTags.Base.ImageDescription] == "A portrait" and exif.get(ExifTags.Base.Orientation, 1) == 1


def test_what_a_photo_is_best_written_as(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    names = {"a.PNG": ".png", "a.jpeg": ".jpeg", "a.tif": ".png", "a.avif": ".png", "gone.heic": ".jpg", "a": ".png"}
    assert {name: written_as(Path(name)) for name in names} == names
    clear = HEIC.with_name("transparent.heic")
    assert (written_as(HEIC), written_as(clear)) == (".jpg", ".png")
    alpha = read_photo(clear).alpha
    assert alpha is not None and alpha[:, :18].max() < 20 and alpha[:, 22:].min() > 235


def test_heic_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    cut = tmp_path / "cut.heic"
    for share in (0.9, 0.5, 0.1, 0.003):
        cut.write_bytes(HEIC.read_bytes()[: int(share * HEIC.stat().st_size)])
        with pytest.raises(ImageError, match=r"cut.heic` is broken or cut short"):
            read_photo(cut)
    monkeypatch.setattr("mien.images.MAX_PIXELS", 216 * 224 - 1)
    with pytest.raises(ImageError, match="million pixels"):
        read_photo(HEIC)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ImageError, match="is a HEIC picture") as caught:
        read_photo(HEIC)
    assert "mien[heic]" in caught.value.hint


def test_a_size_between_our_limit_and_pillows_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 * (Image.MAX_IMAGE_PIXELS or 0) > MAX_PIXELS
    monkeypatch.setattr("mien.images.MAX_PIXELS", 24 * 32 - 1)
    with pytest.raises(ImageError, match="million pixels"):
        read_image(encode(Image.fromarray(ramp())))


def test_missing_file_and_folder_are_told() -> None:
    for source in ("no/such/photo.jpg", Path(__file__).parent):
        with pytest.raises(ImageError, match="cannot read") as caught:
            read_image(source)
        assert caught.value.hint == "check the path"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata_survives_and_the_mark_is_read_back(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.ImageDescription] = "my holiday"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 2.8
    like = Photo(ramp(), icc_profile=SRGB, exif=exif.tobytes())
    path = tmp_path / f"out{suffix}"
    write_photo(path, ramp(), like, MARK)
    assert read_mark(path) == {
        "digital_source_type": DIGITAL_SOURCE_TYPE,
        "software": MARK.software,
        "condition": MARK.condition,
        "model": MARK.model,
    }
    assert np.abs(read_image(path).astype(int) - ramp()).max() <= (0 if suffix == ".png" else 6)
    photo = read_photo(path)
    assert photo.icc_profile == SRGB
    written = Image.open(path).getexif()
    assert written[ExifTags.Base.Make] == "Camera"
    assert written[ExifTags.Base.ImageDescription] == "my holiday"  # the person's words stay
    assert written[ExifTags.Base.Software] == MARK.software
    assert float(written.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber]) == pytest.approx(2.8)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_mark_there_is_none(suffix: str, tmp_path: Path) -> None:
    write_photo(tmp_path / f"out{suffix}", ramp())
    assert read_mark(tmp_path / f"out{suffix}") is None


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_alpha_is_written_where_the_format_has_it(suffix: str, tmp_path: Path) -> None:
    alpha = np.full((24, 32), 255, np.uint8)
    alpha[:5] = 0
    write_photo(tmp_path / f"a{suffix}", ramp(), Photo(ramp(), alpha=alpha))
    assert np.array_equal(read_photo(tmp_path / f"a{suffix}").alpha, alpha)  # type: ignore[arg-type]
    write_photo(tmp_path / "a.jpg", ramp(), Photo(ramp(), alpha=alpha))
    assert read_photo(tmp_path / "a.jpg").alpha is None


EXISTING = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<r:Description r:about="uuid:7" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:CreatorTool="Darkroom 3" xmp:Rating="4">
<dc:rights><r:Alt><r:li xml:lang="x-default">\xc2\xa9 Ada &amp; Co</r:li></r:Alt></dc:rights>
<e:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture</e:DigitalSourceType>
</r:Description></r:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_photos_own_xmp_is_merged(suffix: str, tmp_path: Path) -> None:
    assert parse_mark(EXISTING) is None  # a camera's source type is no mark
    write_photo(tmp_path / f"m{suffix}", ramp(), Photo(ramp(), xmp=EXISTING), MARK)
    photo = read_photo(tmp_path / f"m{suffix}")
    mark = read_mark(tmp_path / f"m{suffix}")
    assert mark is not None
    assert mark["digital_source_type"] == DIGITAL_SOURCE_TYPE
    assert photo.xmp is not None
    text = photo.xmp.decode()
    assert "© Ada &amp; Co" in text
    assert 'xmp:Rating="4"' in text
    assert "digitalCapture" not in text
    assert "Darkroom" not in text
    assert text.count("uuid:7") == 2  # RDF's second description speaks of the same resource
    # A second edit replaces the first one's mark.
    again = merge_mark(photo.xmp, EditMark("sad @ 0.5", "ffff"))
    assert (parse_mark(again) or {})["condition"] == "sad @ 0.5"
    assert b"happy" not in again


@pytest.mark.parametrize(
    "xmp",
    [
        b"not xml at all",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]><a>&f;</a>',
        b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>',
        b"<a/>",
        b"\xff\xfe<\0",
    ],
)
def test_hostile_or_broken_xmp_is_replaced(xmp: bytes) -> None:
    assert parse_mark(xmp) is None
    marked = merge_mark(xmp, EditMark('<"&\x00> happy', "m"))
    assert (parse_mark(marked) or {})["condition"] == '<"&> happy'
    assert b"DOCTYPE" not in marked


def test_xmp_too_long_for_jpeg_leaves_the_mark(tmp_path: Path) -> None:
    long = EXISTING.replace(b"Ada", b"A" * 70_000)
    write_photo(tmp_path / "l.jpg", ramp(), Photo(ramp(), xmp=long), MARK)
    assert (read_mark(tmp_path / "l.jpg") or {})["condition"] == MARK.condition


def test_a_failed_write_leaves_nothing_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keep.png"
    path.write_bytes(b"old")

    def fail(self: Image.Image, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(ImageError, match="No space left"):
        write_photo(path, ramp())
    assert [p.name for p in tmp_path.iterdir()] == ["keep.png"]
    assert path.read_bytes() == b"old"


def test_write_refuses_unknown_suffix_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="unknown suffix") as caught:
        write_photo(tmp_path / "a.gif", ramp())
    assert ".png" in caught.value.hint
    with pytest.raises(ImageError, match="cannot write"):
        write_photo(tmp_path / "none" / "a.png", ramp())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "most"), [("a.webp", 16_383), ("a.jpg", 65_500)])
def test_what_a_format_has_no_room_for_is_said_before_it_is_tried(tmp_path: Path, name: str, most: int) -> None:
    write_photo(tmp_path / f"fits-{name}", np.zeros((1, most, 3), np.uint8))
    with pytest.raises(ImageError, match=f"{most + 1} x 1 pixels, {most} a side at most") as caught:
        write_photo(tmp_path / name, np.zeros((1, most + 1, 3), np.uint8))
    assert ".png" in caught.value.hint and not (tmp_path / name).exists()


def test_conversions_in_closed_form() -> None:
    levels = np.arange(256, dtype=np.uint8)
    image = np.stack([levels[None], levels[None, ::-1], np.zeros((1, 256), np.uint8)], axis=-1)
    tensor = to_float(image)
    assert (tensor.shape, tensor.dtype) == ((1, 3, 1, 256), torch.float32)
    assert tensor[0, 0, 0, [0, 51, 255]].tolist() == pytest.approx([-1.0, -0.6, 1.0])
    assert np.array_equal(to_uint8(tensor)[0], image)
    # Half a level up is rounded, what is out of range is clamped.
    values = torch.tensor([-3.0, -1 + 0.6 / 127.5, 0.0, 5.0]).reshape(1, 1, 1, 4).expand(1, 3, 1, 4)
    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 1, 128, 255]


def test_luma_and_grey() -> None:
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [7, 7, 7]]], np.uint8)
    assert luma(image)[0].tolist() == [76, 150, 29, 7]  # 0.299, 0.587, 0.114 of 255
    assert luma(image / 255.0)[0] == pytest.approx([0.299, 0.587, 0.114, 7 / 255])
    assert not is_grey(image)
    assert is_grey(np.repeat(np.random.default_rng(0).integers(0, 255, (9, 9, 1), np.uint8), 3, axis=2))


def test_resize_averages_when_it_shrinks() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200  # nearest or bilinear sampling would see one of the stripes only
    small = resize(stripes, (8, 16))
    assert small.shape == (8, 16, 3)
    assert np.abs(small[:, 2:-2].astype(int) - 100).max() <= 2


def test_importing_images_imports_no_torch() -> None:
    code = "import sys, mien.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_size_in_print_of_a_tiff_is_turned_too() -> None:
    data = encode(Image.fromarray(ramp(24, 32)), "TIFF", dpi=(300, 150), tiffinfo={274: 6})
    photo = read_photo(data)
    assert photo.pixels.shape == (32, 24, 3) and photo.dots_per_inch == pytest.approx((150, 300), abs=0.1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_size_in_print_is_kept_and_turned_with_the_picture(suffix: str, tmp_path: Path) -> None:
    kind = {".png": "PNG", ".jpg": "JPEG"}[suffix]
    photo = read_photo(encode(Image.fromarray(ramp()), kind, dpi=(300, 150)))
    assert photo.dots_per_inch == pytest.approx((300, 150), abs=0.1)
    write_photo(tmp_path / f"a{suffix}", photo.pixels, like=photo)
    assert Image.open(tmp_path / f"a{suffix}").info["dpi"] == pytest.approx((300, 150), abs=0.1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = read_photo(encode(Image.fromarray(ramp()), kind, dpi=(300, 150), exif=exif.tobytes()))
    assert turned.dots_per_inch == pytest.approx((150, 300), abs=0.1)
    assert read_photo(encode(Image.fromarray(ramp()), "PNG")).dots_per_inch is None


def test_a_second_edit_says_so_itself_but_a_photos_own_words_stay(tmp_path: Path) -> None:
    first, second = EditMark("sad @ 0.9", "m"), EditMark("happy @ 0.3", "m")
    write_photo(tmp_path / "a.jpg", ramp(), mark=first)
    once = read_photo(tmp_path / "a.jpg")
    write_photo(tmp_path / "b.jpg", once.pixels, like=once, mark=second)
    described = Image.open(tmp_path / "b.jpg").getexif()[ExifTags.Base.ImageDescription]
    assert described == second.describe() and (read_mark(tmp_path / "b.jpg") or {})["condition"] == "happy @ 0.3"
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "my holiday"
    write_photo(tmp_path / "c.jpg", ramp(), like=Photo(ramp(), exif=exif.tobytes()), mark=second)
    assert Image.open(tmp_path / "c.jpg").getexif()[ExifTags.Base.ImageDescription] == "my holiday"
