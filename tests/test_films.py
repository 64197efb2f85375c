"""Reading films: what comes out of the file is what was put into it, upright, in time, as far as it goes."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from films_made import COLOURS, scene, write_film
from PIL import Image

from mien.errors import FilmError
from mien.films import FrameReader, count_frames, is_film, read_frame, read_frames

PLACES = [(60 + 4 * i, 100) for i in range(12)]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [scene({"red": (*place, 40)}) for place in PLACES]
    return write_film(
        tmp_path_factory.mktemp("film") / "film.mp4", frames, times=[0, 1, 2, 5, 6, 7, 8, 9, 20, 21, 22, 23]
    )


def test_frames_come_in_order_with_their_times_and_colours(film: Path) -> None:
    frames = list(read_frames(film))
    assert [frame.index for frame in frames] == list(range(12))
    assert [round(frame.seconds * 25) for frame in frames] == [0, 1, 2, 5, 6, 7, 8, 9, 20, 21, 22, 23]
    for frame, (x, y) in zip(frames, PLACES, strict=True):
        assert frame.pixels.shape == (240, 320, 3) and frame.pixels.dtype == np.uint8
        assert np.abs(frame.pixels[y, x].astype(int) - COLOURS["red"]).max() <= 3
        assert np.abs(frame.pixels[20, 20].astype(int) - 128).max() <= 3
    assert count_frames(film) == 12


def test_one_frame_by_number_forwards_and_backwards(film: Path) -> None:
    expected = [frame.pixels for frame in read_frames(film)]
    for index in (3, 4, 11, 0, 7):
        assert np.array_equal(read_frame(film, index), expected[index])
    with pytest.raises(FilmError, match="no frame 12"):
        read_frame(film, 12)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_film_that_was_held_sideways_comes_upright(tmp_path: Path, rotation: int) -> None:
    """A square at the left, above the middle; turned counterclockwise by hand."""
    path = write_film(tmp_path / "turned.mp4", [scene({"blue": (100, 60, 30)})] * 2, rotation=rotation)
    pixels = next(read_frames(path)).pixels
    assert pixels.shape == ((320, 240, 3) if rotation % 180 else (240, 320, 3))
    rows, columns = np.nonzero(pixels[..., 2].astype(int) - pixels[..., 0] > 100)
    turned = {90: (60, 320 - 100), 180: (320 - 100, 240 - 60), 270: (240 - 60, 100)}[rotation]
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(turned, abs=1)


def test_a_film_that_is_broken_off_ends_there(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mkv", [scene({"red": (60 + i, 100, 40)}) for i in range(60)])
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 5 < len(list(read_frames(broken))) < 55


@pytest.mark.parametrize("content", [None, b"", b"no film at all" * 100])
def test_what_is_no_film_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "none.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FilmError) as caught:
        list(read_frames(path))
    assert caught.value.hint


def test_sound_alone_is_no_film(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        track = out.add_stream("aac", rate=48_000)
        track.codec_context.layout = "mono"  # pyright: ignore[reportAttributeAccessIssue]
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        silence.sample_rate = 48_000
        out.mux(track.encode(silence))
        out.mux(track.encode(None))
    with pytest.raises(FilmError, match="holds no pictures"):
        list(read_frames(tmp_path / "sound.mp4"))


def write_grey_film(path: Path, codec: str, count: int, **options: str) -> None:
    """Write a film whose frame i has the grey level 2 i (modulo 240), so that a picture tells its number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(count):
            pixels = np.full((48, 64, 3), 2 * index % 240, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def test_frames_after_a_damaged_one_keep_their_numbers(tmp_path: Path) -> None:
    film = tmp_path / "damaged.avi"
    write_grey_film(film, "mjpeg", 30)
    with av.open(str(film)) as container:
        damaged = [packet for packet in container.demux(video=0) if packet.size][12]
        place, length = damaged.pos, damaged.size
    data = bytearray(film.read_bytes())
    start = data.index(b"\xff\xd8", place)  # the picture begins after the chunk's head
    data[start : start + length] = bytes(length)
    film.write_bytes(data)
    assert count_frames(film) == 30 and len(list(read_frames(film))) == 29
    for index in (3, 11, 13, 20, 29):
        assert abs(int(read_frame(film, index).mean()) - 2 * index) <= 3, index
    with pytest.raises(FilmError, match="no frame 12 that can be decoded"):
        read_frame(film, 12)


def test_a_film_of_which_nothing_can_be_decoded_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    film = tmp_path / "damaged.avi"
    write_grey_film(film, "mjpeg", 3)
    with av.open(str(film)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(film.read_bytes())
    for place, length in places:
        start = data.index(b"\xff\xd8", place)
        data[start : start + length] = bytes(length)
    film.write_bytes(data)
    with pytest.raises(FilmError, match="has no frame that can be read") as caught:
        list(read_frames(film))
    assert "play it once" in caught.value.hint

    animated = tmp_path / "animated.webp"
    first, *others = (Image.new("RGB", (32, 32), (0, 0, 80 * i)) for i in range(3))
    first.save(animated, save_all=True, append_images=others)
    try:
        frames = list(read_frames(animated))
    except FilmError as error:
        assert "GIF or MP4" in error.hint
    else:
        assert len(frames) == 3  # of an ffmpeg that has learned it


def test_a_jump_ahead_gives_the_frame_that_reading_through_gives(tmp_path: Path) -> None:
    film = tmp_path / "long.mp4"
    write_grey_film(film, "libx264", 200, g="12", bf="2")
    through = [frame.pixels for frame in read_frames(film)]
    other = tmp_path / "other.mp4"
    write_grey_film(other, "libx264", 2)
    for index in (150, 199, 60, 110, 0):
        read_frame(other, 0)  # so that the film is opened anew
        assert np.array_equal(read_frame(film, index), through[index]), index
    for index in (5, 70, 75, 180):  # in one go, with two jumps
        assert np.array_equal(read_frame(film, index), through[index]), index


@pytest.mark.parametrize(("suffix", "codec", "options"), [
    (".mp4", "libx264", {"g": "25", "bf": "3"}), (".webm", "libvpx-vp9", {"g": "30"}), (".avi", "mjpeg", {}),
    (".mpg", "mpeg2video", {"g": "15", "bf": "2"}),
])  # fmt: skip
def test_frames_are_read_there_and_back_as_in_one_go(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    film = tmp_path / f"long{suffix}"
    write_grey_film(film, codec, 120, **options)
    through = [frame.pixels for frame in read_frames(film)]
    reader = FrameReader(film)
    for index in (0, 119, 60, 59, 59, 58, 3, 100, 20, 0):
        pixels = reader.read(index)
        assert pixels is not None and np.array_equal(pixels, through[index]), index
    assert reader.read(120) is None and reader.read(7) is not None
    reader.close()


def test_films_are_told_from_photos_by_their_names() -> None:
    assert is_film(Path("a.MP4")) and is_film(Path("b.mkv")) and is_film(Path("c.webm"))
    assert not is_film(Path("a.gif")) and not is_film(Path("a.jpg")) and not is_film(Path("mp4"))
