"""The commands that edit photos: what they write, and what bad pictures, wishes and models get."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from untrained import write_run

from mien.apps.output import PICTURES
from mien.conditions import Condition
from mien.files import file_sha256
from mien.images import is_grey, read_mark, read_photo
from mien.loading import load
from mien.pretrained import DEFAULT, shipped
from mien.provenance import DIGITAL_SOURCE_TYPE
from mien.runs import read_tensors, write_tensors
from mien.version import VERSION

ASTRONAUT = Path(__file__).parent.parent.parent / "assets" / "astronaut.png"


def with_border(pixels: np.ndarray, width: int = 6) -> np.ndarray:
    """Return the pixels along the border, which no edit of this portrait reaches but at its lower edge."""
    return np.concatenate([pixels[:width].reshape(-1, 3), pixels[:, -width:].reshape(-1, 3)])


# --- editing -----------------------------------------------------------------------------------------------------


def test_a_colour_photo_is_edited_in_colour_at_its_size_and_marked(
    mien: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "folder" / "surprised.png"
    said = mien("edit", ASTRONAUT, "--expression", "surprise", "-i", 0.9, "--model", model, "-o", out)
    assert said == (0, f"{out}\n", "1 of 1 face -> surprise @ 0.9\n")
    before, after = read_photo(ASTRONAUT).pixels, read_photo(out).pixels
    assert after.shape == before.shape and not is_grey(after)
    changed = (after != before).any(axis=-1)
    assert 0.02 < changed.mean() < 0.4  # a face in a photo of a whole person
    rows, columns = np.nonzero(changed)
    assert columns.min() > 100 and columns.max() < 350 and rows.max() < 260  # where that face is
    mark = read_mark(out)
    assert mark is not None and mark["digital_source_type"] == DIGITAL_SOURCE_TYPE
    assert mark["condition"] == "surprise @ 0.9" and file_sha256(model) in mark["model"] and VERSION in mark["software"]
    assert os.listdir(out.parent) == [out.name]


@pytest.mark.parametrize("suffix", PICTURES)
@pytest.mark.parametrize("marked", [True, False])
def test_the_mark_is_in_every_format_unless_it_is_declined(
    mien: Callable[..., Any], model: Path, photo: Path, suffix: str, marked: bool
) -> None:
    out = photo.with_name(f"out{suffix}")
    assert mien("edit", photo, "-e", "happy", "-m", model, "-o", out, *(() if marked else ("--no-mark",))).code == 0
    mark = read_mark(out)
    assert (mark is not None) == marked
    assert (DIGITAL_SOURCE_TYPE.encode() in out.read_bytes()) == marked


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_pictures_are_as_close_as_asked_for(mien: Callable[..., Any], model: Path, photo: Path, suffix: str) -> None:
    sizes = []
    for quality in ([], ["--quality", 95], ["--quality", 30]):
        out = photo.with_name(f"out{suffix}")
        assert mien("edit", photo, "-e", "happy", "-m", model, "-o", out, *quality).code == 0
        sizes.append(out.stat().st_size)
    assert sizes[0] == sizes[1] > 2 * sizes[2]
    assert mien("edit", photo, "-e", "happy", "-m", model, "-o", out, "--quality", 0).code == 2


def test_blends_angles_and_faces(mien: Callable[..., Any], model: Path, photo: Path) -> None:
    def pixels(*arguments: object) -> np.ndarray:
        out = photo.with_name("out.png")
        assert mien("edit", photo, "-m", model, "-o", out, *arguments).code == 0
        return read_photo(out).pixels.astype(int)

    # The untrained axes are spread evenly: happy at 0, sad at 60 degrees; 30 is between them, and no blend of both.
    between = pixels("--angle", 30, "-i", 0.8, "--face", "largest")
    assert np.abs(between - pixels("--angle", 390, "-i", 0.8, "--face", 1, "--threshold", 0.5)).max() <= 1
    assert np.abs(between - pixels("--angle", 210, "-i", 0.8)).max() > 10
    blend = pixels("-e", "happy:0.5,sad:0.5", "-i", 0.8)
    assert np.array_equal(blend, pixels("-e", "sad,happy", "-i", 0.8)) and (blend != between).any()
    steps = pixels("-e", "sad,happy", "--from", "keep"), pixels("--angle", 30, "--from", "keep")
    assert np.abs(steps[0] - steps[1]).max() <= 1
    # Words of everyday language mean the same.
    assert np.array_equal(pixels("-e", "Angry"), pixels("-e", "anger"))


def test_each_face_gets_its_own_wish(
    mien: Callable[..., Any], refused: Callable[..., None], model: Path, photo: Path
) -> None:
    pair, out = photo.with_name("pair.png"), photo.with_name("out.png")
    portrait = read_photo(photo).pixels
    Image.fromarray(np.concatenate([portrait, portrait], axis=1)).save(pair)

    def changed(*arguments: object) -> list[bool]:
        said = mien("edit", pair, "-m", model, "-o", out, *arguments)
        assert said.code == 0, said
        difference = (read_photo(out).pixels != read_photo(pair).pixels).any(axis=(0, 2))
        return [bool(half.any()) for half in np.array_split(difference, 2)]

    assert changed("--for", "1:happy", "--for", "2:surprise@0.5") == [True, True]
    mark = read_mark(out)
    assert mark is not None and mark["condition"] == "face 1: happy @ 0.9; face 2: surprise @ 0.5"
    first, second = changed("--for", "1:happy"), changed("--for", "2:happy")
    assert sorted([first, second]) == [[False, True], [True, False]]
    said = mien("edit", pair, "-m", model, "-o", out, "--for", "2:happy", "-i", 0.4, "--json")
    told = json.loads(said.out)
    assert told["condition"] == "face 2: happy @ 0.4" and told["found"] == 2
    said = mien("edit", pair, photo, "-m", model, "-o", photo.with_name("both"), "--for", "2:happy")
    assert said.code == 1 and "portrait.png: not edited: there is no face 2" in said.err and "1 of 2 photos" in said.err
    assert [(face["face"], face["condition"]) for face in told["faces"]] == [(2, "happy @ 0.4")]
    listed = mien("read", pair, "-m", model).out.splitlines()  # which is which
    places = [re.match(r"face (\d) \(about x (\d+), y \d+\): ", line) for line in listed]
    found = {int(place[1]): int(place[2]) for place in places if place}
    assert sorted(found) == [1, 2] and (found[1] < portrait.shape[1]) == first[0]
    out.unlink()
    hint = "--for 1:happy --for 2:sad@0.5"
    for more in (("-e", "sad"), ("--angle", 30), ("--face", "largest")):
        refused("edit", pair, "-m", model, "-o", out, "--for", "1:happy", *more, error="--for stands for", hint=hint)
    refused("edit", pair, "-m", model, "-o", out, "--for", "3:happy", error="there is no face 3", hint="has 2")


@pytest.mark.parametrize("command", ["gamut", "sweep"])
def test_figures_are_written_and_marked(mien: Callable[..., Any], model: Path, photo: Path, command: str) -> None:
    out = photo.with_name("figure.webp")
    settings = ("--rings", 1) if command == "gamut" else ("--expressions", "happy,fear", "--intensities", "0,1")
    said = mien(command, photo, "-m", model, "-o", out, "--tile", 48, *settings)
    assert (said.code, said.out) == (0, f"{out}\n")
    figure, mark = read_photo(out).pixels, read_mark(out)
    assert mark is not None and mark["condition"] == command
    if command == "sweep":
        assert figure.shape == (round(48 * 0.3) + 2 * 52, round(48 * 0.75) + 3 * 52, 3)
    else:
        assert figure.shape[0] == figure.shape[1] > 3 * 48


@pytest.mark.parametrize("command", ["gamut", "sweep"])
def test_figures_start_where_edits_may(mien: Callable[..., Any], model: Path, photo: Path, command: str) -> None:
    opened = load(model)
    picture = read_photo(photo)
    (face,) = opened.find(picture)
    settings = ("--rings", 1) if command == "gamut" else ("--expressions", "sad", "--intensities", "1")
    (x, y), sad = ((0, 0), None) if command == "gamut" else ((36 + 52, 14), Condition.named("sad", 1.0))
    drawn = {}
    for start in ("auto", "neutral", "direct"):
        out = photo.with_name(f"{start}.png")
        assert mien(command, photo, "-m", model, "-o", out, "--tile", 48, *settings, "--from", start).code == 0
        drawn[start] = read_photo(out).pixels
        if sad is not None:  # the tile beside the photo's is that of an edit from there
            (alone,) = opened.preview(picture, opened.render(face, [sad], start), 48)
            assert np.array_equal(drawn[start][y : y + 48, x : x + 48], alone), start
    assert not np.array_equal(drawn["neutral"], drawn["direct"])


@pytest.mark.parametrize("command", ["gamut", "sweep"])
def test_a_figure_holds_no_steps(refused: Callable[..., None], photo: Path, command: str) -> None:
    out = photo.with_name("figure.png")  # said before a model is opened: there is none
    asked = (command, photo, "-m", "none.safetensors", "-o", out, "--from")
    refused(*asked, "keep", error="a figure of places cannot start from `keep`", hint="auto, neutral, direct")
    refused(*asked, "sideways", error="an edit cannot start from `sideways`", hint="auto, neutral, direct")


@pytest.mark.parametrize("command", ["gamut", "sweep"])
def test_figures_take_another_detector(refused: Callable[..., None], model: Path, photo: Path, command: str) -> None:
    out = photo.with_name("figure.png")
    refused(command, photo, "-m", model, "-o", out, "--detector", "haar", error="unknown detector", hint="retinaface")


def test_the_shipped_model_edits(mien: Callable[..., Any], photo: Path) -> None:
    assert DEFAULT in shipped()
    out = photo.with_name("out.png")
    assert mien("edit", photo, "-e", "surprise", "-o", out).code == 0
    mark = read_mark(out)
    assert mark is not None and mark["model"].startswith(DEFAULT)
    assert (read_photo(out).pixels != read_photo(photo).pixels).any(axis=-1).mean() > 0.05


# --- pictures of every kind --------------------------------------------------------------------------------------


def save_16_bit(portrait: Image.Image, path: Path) -> None:
    grey = np.asarray(portrait.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(path.with_suffix(".png"))


def save_cmyk(portrait: Image.Image, path: Path) -> None:
    portrait.convert("CMYK").save(path.with_suffix(".jpg"), quality=95)


def save_palette(portrait: Image.Image, path: Path) -> None:
    portrait.quantize(128).save(path.with_suffix(".png"))


def save_alpha(portrait: Image.Image, path: Path) -> None:
    clear = portrait.copy()
    clear.putalpha(Image.linear_gradient("L").resize(portrait.size))
    clear.save(path.with_suffix(".png"))


def save_animated(portrait: Image.Image, path: Path) -> None:
    black = Image.new("RGB", portrait.size)
    portrait.save(path.with_suffix(".webp"), save_all=True, append_images=[black, black], lossless=True)


def save_rotated(portrait: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the viewer turns it clockwise: so it is stored the other way
    portrait.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".jpg"), exif=exif, quality=98, subsampling=0)


@pytest.mark.parametrize(
    "save", [save_16_bit, save_cmyk, save_palette, save_alpha, save_animated, save_rotated], ids=lambda f: f.__name__
)
def test_unusual_pictures_are_edited_upright(
    mien: Callable[..., Any], model: Path, portrait: Image.Image, tmp_path: Path, save: Callable[..., None]
) -> None:
    save(portrait, tmp_path / "unusual")
    (source,) = tmp_path.glob("unusual.*")
    out = tmp_path / "out.png"
    assert mien("edit", source, "-e", "happy", "-m", model, "-o", out).code == 0
    before, after, true = read_photo(source), read_photo(out), np.asarray(portrait)
    if save is save_16_bit:
        true = np.repeat(np.asarray(portrait.convert("L"))[..., None], 3, axis=2)
    assert after.pixels.shape == true.shape
    # Where the edit does not reach it is the first frame, upright, in its colours, but for what the format loses.
    assert np.array_equal(with_border(after.pixels), with_border(before.pixels))
    assert np.abs(with_border(after.pixels).astype(int) - with_border(true)).mean() < 8
    assert (after.pixels != before.pixels).any(axis=-1).mean() > 0.1
    if save is save_alpha:
        assert after.alpha is not None and np.array_equal(after.alpha, np.asarray(Image.open(source))[..., 3])
    assert Image.open(out).getexif().get(ExifTags.Base.Orientation, 1) == 1


def bomb() -> bytes:
    """Return a PNG that says it is 100,000 pixels wide and as high, which would be 30 gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def cut_short(portrait: Image.Image) -> bytes:
    stream = io.BytesIO()
    portrait.save(stream, "JPEG")
    return stream.getvalue()[: len(stream.getvalue()) // 3]


@pytest.mark.parametrize(
    ("content", "error", "hint"),
    [
        (b"", "is empty (0 bytes)", "again"),
        (b"This is a letter.", "is not a picture", "JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture", "JPEG, PNG"),
        (cut_short, "broken or cut short", "again"),
        (bomb(), "million pixels", "scale"),
    ],
    ids=["empty", "text", "postscript", "truncated", "bomb"],
)
@pytest.mark.parametrize("command", ["edit", "gamut"])
def test_what_is_no_picture_is_refused(
    refused: Callable[..., None],
    model: Path,
    portrait: Image.Image,
    tmp_path: Path,
    content: bytes | Callable[..., bytes],
    error: str,
    hint: str,
    command: str,
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(content if isinstance(content, bytes) else content(portrait))
    asked = ("-e", "happy") if command == "edit" else ()
    refused(command, photo, *asked, "-m", model, "-o", tmp_path / "new" / "out.png", error=error, hint=hint)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (200, 200)])
def test_a_picture_without_a_face_is_said_with_the_detector_and_its_threshold(
    refused: Callable[..., None], model: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    photo = tmp_path / "wall.png"
    Image.new("RGB", size, (120, 130, 140)).save(photo)
    arguments = ("edit", photo, "-e", "happy", "-m", model, "-o", tmp_path / "out.png")
    refused(*arguments, error=f"no face found in `{photo}` by mtcnn", hint="--threshold")


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ("-e hapy", "unknown expression `hapy`", "did you mean `happy`? known: neutral, happy, sad, surprise, fear"),
        ("-e contempt", "unknown expression `contempt`", "known: neutral, happy"),
        ("-e happy -i 1.1", "intensity 1.1 is out of range", "0 to 1"),
        ("-e happy -i -0.1", "intensity -0.1 is out of range", "0 to 1"),
        ("-e happy -i nan", "intensity nan is out of range", "0 to 1"),
        ("-e happy -i inf", "intensity inf is out of range", "0 to 1"),
        ("--angle nan", "angle nan", "degrees"),
        ("-e happy:much", "`happy:much` is not `name:share`", "happy:0.6"),
        ("-e happy:0", "weights above zero", "happy:0.6"),
        ("-e happy:0.3", "one expression", "--intensity 0.3"),
        ("-e happy,fear --from keep", "happy and fear lie opposite each other", "--angle"),
        ("-e happy --angle 30", "either --expression or --angle", "--expression happy"),
        ("", "either --expression or --angle", "--expression happy"),
        ("-e happy --face 2", "there is no face 2", "the photo has 1"),
        ("-e happy --face left", "`left` chooses no face", "largest"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    refused: Callable[..., None], model: Path, photo: Path, arguments: str, error: str, hint: str
) -> None:
    out = photo.with_name("out.png")
    refused("edit", photo, "-m", model, "-o", out, *arguments.split(), error=error, hint=hint)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("gamut --face all", "draws one face"),
        ("sweep --face all", "draws one face"),
        ("sweep --intensities 0,much", "no list of numbers"),
        ("sweep --intensities 0,2", "intensity 2 is out of range"),
        ("sweep --expressions happy,hapy", "unknown expression `hapy`"),
        ("sweep --expressions neutral", "neutral"),
        ("sweep --expressions contempt", "unknown expression `contempt`"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    refused: Callable[..., None], model: Path, photo: Path, arguments: str, error: str
) -> None:
    command, *options = arguments.split()
    refused(command, photo, "-m", model, "-o", photo.with_name("out.png"), *options, error=error)


@pytest.mark.parametrize("command", ["edit", "gamut"])
def test_a_film_is_no_photo_and_the_command_for_films_is_named(
    mien: Callable[..., Any], refused: Callable[..., None], model: Path, photo: Path, tmp_path: Path, command: str
) -> None:
    more = ("-e", "happy") if command == "edit" else ()
    (tmp_path / "talk.mp4").write_bytes(b"")
    for name in ("out.png", "out.mp4"):
        wanted = (command, tmp_path / "talk.mp4", *more, "-o", tmp_path / name)
        refused(*wanted, error="talk.mp4` is a film", hint="`mien video` edits films")
    if command == "edit":  # beside photos it costs only itself
        said = mien("edit", photo, tmp_path / "talk.mp4", *more, "-m", model, "-o", tmp_path / "out")
        assert said.code == 1 and "talk.mp4` is a film" in said.err and (tmp_path / "out" / photo.name).exists()


def test_reading_an_animation_says_that_it_reads_one_frame(mien: Callable[..., Any], model: Path, photo: Path) -> None:
    frames = [Image.open(photo).convert("RGB") for _ in range(2)]
    frames[1].putpixel((0, 0), (255, 0, 0))  # equal frames would become one
    animated = photo.with_name("animated.gif")
    frames[0].save(animated, save_all=True, append_images=frames[1:])
    said = mien("read", animated, "-m", model)
    assert said.code == 0 and "only the first of 2 frames" in said.err
    assert "frames" not in mien("read", photo, "-m", model).err


@pytest.mark.parametrize("name", ["out.gif", "out", "out.png.txt", ""])
def test_a_suffix_that_cannot_be_written_is_refused_first(
    refused: Callable[..., None], tmp_path: Path, name: str
) -> None:
    # There is no such photo and no such model: the suffix is looked at before them.
    out = tmp_path / "new" / name
    refused("edit", "none.png", "-e", "happy", "-m", "none", "-o", out, error="unknown suffix", hint=".webp")


def test_a_folder_that_cannot_be_written_is_refused(refused: Callable[..., None], model: Path, photo: Path) -> None:
    out = photo / "out.png"  # below a file
    refused("edit", photo, "-e", "happy", "-m", model, "-o", out, error=f"`{photo}`", hint="check path")
    if os.geteuid() != 0:  # root may write everywhere
        photo.parent.chmod(0o500)
        try:
            out = photo.with_name("out.png")
            refused("edit", photo, "-e", "happy", "-m", model, "-o", out, error="ermission", hint="check")
        finally:
            photo.parent.chmod(0o700)


# --- models ------------------------------------------------------------------------------------------------------


def copied(model: Path, folder: Path) -> Path:
    for suffix in (".safetensors", ".json"):
        folder.joinpath(f"copy{suffix}").write_bytes(model.with_suffix(suffix).read_bytes())
    return folder / "copy.safetensors"


def alter_last_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_weights_that_were_altered_are_refused(refused: Callable[..., None], model: Path, photo: Path) -> None:
    altered = copied(model, photo.parent)
    alter_last_byte(altered)
    arguments = ("edit", photo, "-e", "happy", "-m", altered, "-o", photo.with_name("out.png"))
    refused(*arguments, error="does not match its hash", hint="again")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_disc_that_is_not_finite_is_refused(
    refused: Callable[..., None], model: Path, photo: Path, value: float
) -> None:
    broken = copied(model, photo.parent)
    tensors = read_tensors(broken)
    write_tensors(broken, tensors | {"axes": torch.full_like(tensors["axes"], value)})
    description = json.loads(broken.with_suffix(".json").read_text())
    broken.with_suffix(".json").write_text(json.dumps(description | {"sha256": file_sha256(broken)}))
    arguments = ("gamut", photo, "-m", broken, "-o", photo.with_name("out.png"))
    refused(*arguments, error="(in axes): its training diverged", hint="earlier checkpoint")


def test_models_that_are_missing_or_of_another_kind_are_refused(
    refused: Callable[..., None], model: Path, photo: Path
) -> None:
    def ask(source: object, error: str, hint: str) -> None:
        out = photo.with_name("out.png")
        refused("edit", photo, "-e", "happy", "-m", source, "-o", out, error=error, hint=hint)

    ask("runs/none", "no model `runs/none`", "give a run folder")
    ask(photo.parent, "is no run folder", "config.json")
    ask(photo, "is no .safetensors file", "not read")
    lonely = photo.with_name("lonely.safetensors")
    lonely.write_bytes(model.read_bytes())
    ask(lonely, "lonely.json is missing", "copy both")
    lonely.with_suffix(".json").write_text("{")
    ask(lonely, "lonely.json is broken", "again")


def test_a_run_is_a_model_until_its_checkpoint_is_altered(
    mien: Callable[..., Any], refused: Callable[..., None], photo: Path
) -> None:
    run = write_run(photo.with_name("run"))
    out, exported = photo.with_name("out.png"), photo.with_name("model.safetensors")
    assert mien("edit", photo, "-e", "happy", "-m", run.path, "-o", out).code == 0
    (checkpoint,) = run.path.glob("checkpoints/*.safetensors")
    alter_last_byte(checkpoint)
    refused("edit", photo, "-e", "sad", "-m", run.path, "-o", out, error="does not match the hash", hint="delete")
    refused("export", run.path, "-o", exported, error="does not match the hash", hint="delete")
    refused("export", photo.parent / "none", "-o", exported, error="no model", hint="run folder")
    refused(
        "export",
        run.path,
        "-o",
        exported.with_suffix(".pt"),
        error="cannot export to `pt`",
        hint="end --out in .safetensors or .onnx",
    )


def test_the_photo_itself_is_not_overwritten(refused: Callable[..., None], model: Path, tmp_path: Path) -> None:
    own = tmp_path / "portrait.png"
    own.write_bytes(ASTRONAUT.read_bytes())
    refused("edit", own, "-e", "happy", "-m", model, "-o", own, error="is the photo itself", hint="another --out")
    assert own.read_bytes() == ASTRONAUT.read_bytes()
