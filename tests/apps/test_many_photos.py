"""`mien edit` on many photos, `mien read`, and where edits start from: through the command line."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from mien.images import read_photo


@pytest.fixture
def album(portrait: Image.Image, tmp_path: Path) -> Path:
    """A folder with two portraits, one in a folder below and in a format that is not written, and three bad files."""
    folder = tmp_path / "album"
    (folder / "below").mkdir(parents=True)
    portrait.save(folder / "a.png")
    ImageOps.mirror(portrait).save(folder / "below" / "b.tif")
    Image.new("RGB", (120, 90), (90, 120, 90)).save(folder / "empty.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a photo")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def edit(mien: Callable[..., Any], model: Path, *arguments: object) -> Any:
    return mien("edit", *arguments, "-e", "happy", "--model", model)


def test_one_bad_photo_costs_only_itself(mien: Callable[..., Any], model: Path, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    said = edit(mien, model, album, "-o", out)
    assert said.code == 1  # some failed
    assert said.out.splitlines() == [str(out / "a.png"), str(out / "below" / "b.tif.png")]
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == ["a.png", "below/b.tif.png"]
    told = said.err.splitlines()
    assert told[0] == f"{album / 'a.png'}: 1 of 1 face -> happy @ 0.9"
    assert "broken.jpg: not edited:" in told[2] and "empty.png: not edited: no face found" in told[3]
    assert told[-1].startswith("2 of 4 photos edited, 2 faces, ")
    for name, original in (("a.png", "a.png"), ("below/b.tif.png", "below/b.tif")):
        before, after = read_photo(album / original).pixels, read_photo(out / name).pixels
        assert 0.02 < (before != after).any(axis=-1).mean() < 0.9


def test_a_telephones_photo_becomes_a_jpeg(mien: Callable[..., Any], model: Path, album: Path, tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    shutil.copy(Path(__file__).parent.parent / "photos" / "on-its-side.heic", album / "IMG_1.HEIC")
    out = tmp_path / "results"
    assert f"{out / 'IMG_1.HEIC.jpg'}\n" in edit(mien, model, album, "-o", out).out
    before, after = read_photo(album / "IMG_1.HEIC"), read_photo(out / "IMG_1.HEIC.jpg")
    assert after.pixels.shape == before.pixels.shape and after.icc_profile == before.icc_profile


def test_a_photo_among_many_comes_out_as_alone(
    mien: Callable[..., Any], model: Path, album: Path, tmp_path: Path
) -> None:
    edit(mien, model, album, "-o", tmp_path / "many")
    edit(mien, model, album / "a.png", "-o", tmp_path / "alone.png")
    together = read_photo(tmp_path / "many" / "a.png").pixels.astype(int)
    assert np.abs(together - read_photo(tmp_path / "alone.png").pixels).max() <= 1


def test_json_says_what_became_of_each(mien: Callable[..., Any], model: Path, album: Path, tmp_path: Path) -> None:
    said = edit(mien, model, album / "a.png", album / "broken.jpg", "-o", tmp_path / "out", "--json")
    good, bad = map(json.loads, said.out.splitlines())
    assert said.code == 1
    assert good["photo"] == str(album / "a.png") and good["out"] == str(tmp_path / "out" / "a.png")
    (face,) = good["faces"]
    x0, y0, x1, y1 = face["box"]
    assert face["edited"] and face["face"] == 1 and 0 < x0 < x1 < 216 and 0 < y0 < y1 < 224
    assert (
        face["frontality"] > 0.8
        and good["condition"] == "happy @ 0.9"
        and good["found"] == 1
        and good["from"] == "auto"
    )
    assert bad["out"] is None and "not a picture" in bad["error"] and bad["hint"] and bad["faces"] == []


def test_json_says_why_a_single_photo_was_not_edited(
    mien: Callable[..., Any], model: Path, album: Path, tmp_path: Path
) -> None:
    for name, why in (("broken.jpg", "not a picture"), ("empty.png", "no face found"), ("gone.jpg", "cannot read")):
        said = edit(mien, model, album / name, "-o", tmp_path / "out.png", "--json")
        told = json.loads(said.out)
        assert said.code == 2 and why in said.err and why in told["error"] and told["hint"] and told["out"] is None


def test_a_result_that_cannot_be_written_costs_only_itself(
    mien: Callable[..., Any], model: Path, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    out.mkdir()
    (out / "below").write_text("a file where a folder should be")
    said = edit(mien, model, album, "-o", out)
    assert said.code == 1 and said.out.splitlines() == [str(out / "a.png")]
    assert f"b.tif: not edited: cannot write `{out / 'below'}`" in said.err
    assert (out / "below").read_text() == "a file where a folder should be"


def test_a_pattern_stands_for_its_files(mien: Callable[..., Any], model: Path, album: Path, tmp_path: Path) -> None:
    said = edit(mien, model, f"{album}/**/*.tif", "-o", tmp_path / "out")
    assert said.code == 0 and said.out.splitlines() == [str(tmp_path / "out" / "b.tif.png")]


def test_what_would_lose_a_photo_is_refused_before_any_work(
    refused: Callable[..., None], model: Path, album: Path, tmp_path: Path
) -> None:
    def attempt(*arguments: object, error: str, hint: str) -> None:
        refused("edit", *arguments, "-e", "happy", "--model", model, error=error, hint=hint)

    attempt(album, "-o", album, error="is the photo itself", hint="give another folder")
    attempt(album, "-o", tmp_path / "one.png", error="is one picture for 4 photos", hint="give a folder")
    attempt(f"{album}/*.bmp", "-o", tmp_path / "out", error="no photos at", hint=".png")
    Image.new("RGB", (9, 9)).save(album / "below" / "a.png")
    twice = (album / "a.png", album / "below" / "a.png")
    attempt(*twice, "-o", tmp_path / "out", error="would both become", hint="edit them apart")
    before = (album / "below" / "a.png").read_bytes()  # another photo, of the name that the result of a.png has there
    attempt(album, "-o", album / "below", error="is itself one of the photos", hint="give another folder")
    assert (album / "below" / "a.png").read_bytes() == before
    attempt(album / "a.png", "-o", tmp_path / "x.png", "--from", "there", error="start from `there`", hint="auto")
    attempt(album / "a.png", "-o", tmp_path / "x.png", "--profiles", "maybe", error="`maybe`", hint="`skip` or `edit`")


def test_a_face_in_profile_is_left_alone_unless_it_is_wanted(
    mien: Callable[..., Any], refused: Callable[..., None], model: Path, photo: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from mien.editing.photo import Face

    monkeypatch.setattr(Face, "frontality", property(lambda self: 0.1))
    out = tmp_path / "out.png"
    wanted = ("edit", photo, "-e", "happy", "--model", model, "-o", out)
    refused(*wanted, error="turned too far aside: the face of", hint="`--profiles edit`")
    assert mien(*wanted, "--profiles", "edit").code == 0 and out.exists()


def test_starts_differ_and_auto_is_what_a_call_without_a_word_gives(
    mien: Callable[..., Any], model: Path, photo: Path, tmp_path: Path
) -> None:
    pictures = {}
    for start in ("auto", "neutral", "direct", "keep", None):
        out = tmp_path / f"{start}.png"
        word = () if start is None else ("--from", start)
        assert edit(mien, model, photo, "-o", out, *word).code == 0
        pictures[start] = read_photo(out).pixels
    assert np.array_equal(pictures["auto"], pictures[None])
    assert (pictures["neutral"] != pictures["auto"]).any() and (pictures["neutral"] != pictures["direct"]).any()
    assert (pictures["auto"] != pictures["direct"]).any() and (pictures["keep"] != pictures["direct"]).any()


def test_read_names_every_expression_of_each_face(mien: Callable[..., Any], model: Path, photo: Path) -> None:
    (face,) = json.loads(mien("read", photo, "--model", model, "--json").out)
    assert sum(face["expressions"].values()) == pytest.approx(1, abs=0.001)
    assert face["expression"] == max(face["expressions"], key=face["expressions"].get)
    assert face["intensity"] == pytest.approx(1 - face["expressions"]["neutral"], abs=0.001)
    assert 0 <= face["angle_degrees"] < 360 and face["face"] == 1 and len(face["box"]) == 4
    said = mien("read", photo, "--model", model)
    assert said.code == 0 and said.out.startswith(f"face 1: {face['expression']} {face['confidence']:.2f}")


def test_what_was_read_can_be_drawn(mien: Callable[..., Any], model: Path, photo: Path, tmp_path: Path) -> None:
    assert mien("read", photo, "--model", model, "-o", tmp_path / "card.png").code == 0
    card = read_photo(tmp_path / "card.png").pixels
    assert card.shape[1] > 3 * card.shape[0] and len(np.unique(card.reshape(-1, 3), axis=0)) > 100


def test_many_photos_are_read_as_lines_and_as_a_table_and_one_without_a_face_costs_itself(
    mien: Callable[..., Any], model: Path, photo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(photo.read_bytes())
    (folder / "b.png").write_bytes(photo.read_bytes())
    Image.new("RGB", (200, 200), "grey").save(folder / "empty.png")
    (face,) = json.loads(mien("read", photo, "--model", model, "--json").out)
    table = tmp_path / "new" / "faces.csv"
    said = mien("read", folder, "--model", model, "-o", table)
    assert said.code == 1 and said.out == ""
    assert "empty.png: not read: no face found" in said.err and "2 of 3 photos read, 2 faces" in said.err
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [Path(row["photo"]).name for row in rows] == ["a.png", "b.png"]
    for row in rows:
        assert (row["face"], row["expression"]) == ("1", face["expression"])
        assert float(row["p_happy"]) == pytest.approx(face["expressions"]["happy"], abs=2e-4)
        assert [float(row[f"box_{name}"]) for name in ("x0", "y0", "x1", "y1")] == face["box"]
    lines = mien("read", folder / "a.png", folder / "b.png", "--model", model, "--json")
    assert (
        lines.code == 0
        and [json.loads(line)["expression"] for line in lines.out.splitlines()] == [face["expression"]] * 2
    )
    words = mien("read", str(folder / "[ab].png"), "--model", model)
    assert words.out.splitlines()[1].startswith(f"{folder / 'b.png'}: face 1: {face['expression']}")
    assert mien("read", photo, "--model", model, "-o", tmp_path / "one.csv").code == 0
    assert (tmp_path / "one.csv").read_text().count("\n") == 2


def test_what_cannot_be_read_together_or_written_is_refused(
    refused: Callable[..., None], model: Path, photo: Path, tmp_path: Path
) -> None:
    film = tmp_path / "talk.mp4"
    film.write_bytes(b"no film")
    refused("read", photo, film, error="is a film", hint="by itself")
    refused("read", film, error="cannot be read as a film", hint="play it")
    refused("read", film, "-o", tmp_path / "a.webp", error="unknown suffix", hint=".csv, .png, .svg, .pdf")
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    refused("read", photo, other, "-o", tmp_path / "a.png", error="unknown suffix", hint=".csv")
    refused("read", photo, "-o", tmp_path / "a.gif", error="unknown suffix", hint=".png")


def test_the_model_that_ships_reads_the_portraits_smile(mien: Callable[..., Any], photo: Path) -> None:
    (face,) = json.loads(mien("read", photo, "--json").out)
    assert face["expression"] == "happy" and face["confidence"] > 0.9 and face["intensity"] > 0.9


def test_of_an_animation_the_first_frame_is_edited_and_said_to_be(
    mien: Callable[..., Any], model: Path, portrait: Image.Image, tmp_path: Path
) -> None:
    frames = [portrait, ImageOps.mirror(portrait), portrait]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    said = edit(mien, model, tmp_path / "moving.gif", "-o", tmp_path / "out.png")
    assert said.code == 0 and "only the first of 3 frames, `mien video` edits all" in said.err
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    said = edit(mien, model, tmp_path / "moving.webp", "-o", tmp_path / "out.png")
    assert "only the first of 3 frames" in said.err and "mien video" not in said.err  # which cannot read it


def test_one_photo_goes_into_a_folder_whose_name_ends_in_a_slash(
    mien: Callable[..., Any], model: Path, photo: Path, tmp_path: Path
) -> None:
    assert mien("edit", photo, "-e", "sad", "-m", model, "-o", f"{tmp_path / 'new'}/").code == 0
    assert (tmp_path / "new" / photo.name).is_file()


def test_what_is_hidden_in_a_folder_stays_so(
    mien: Callable[..., Any], model: Path, photo: Path, tmp_path: Path
) -> None:
    for name in ("a.png", ".hidden/b.png", "open/.c.png", "open/d.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(photo.read_bytes())
    said = mien("edit", tmp_path / "in", "-e", "sad", "-m", model, "-o", tmp_path / "out")
    assert said.code == 0
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png")) == [
        "a.png", "open/d.png"
    ]  # fmt: skip
