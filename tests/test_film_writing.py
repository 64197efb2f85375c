"""Writing films: what is not changed stays as it is, and what is changed is changed by what was asked."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from films_made import planes, scene, sound_packets, times, write_film

from mien.errors import FilmError
from mien.film_marks import read_film_mark
from mien.film_writing import FilmWriter, unfinished
from mien.films import decode, open_film, packets, read_frames, upright
from mien.provenance import DIGITAL_SOURCE_TYPE, EditMark

FRAMES = [scene({"red": (60 + 9 * i, 100, 40), "green": (200, 150, 60)}) for i in range(8)]


def copy(source: Path, out: Path, crf: int = 0, mark: EditMark | None = None) -> list[str]:
    """Write a film again, frame by frame; with crf 0, H.264 is lossless."""
    with open_film(source) as container:
        writer = FilmWriter(out, out.suffix, crf=crf, mark=mark)
        notes = writer.take_over(container)
        for packet in packets(container, container.streams.video[0], *container.streams.audio):
            if packet.stream.type == "audio":
                writer.write_sound(packet)
            else:
                for frame in packet.decode():
                    writer.write(frame)
        writer.close()
    return notes


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_frames_that_are_not_changed_are_the_same_to_the_bit(tmp_path: Path, suffix: str) -> None:
    source = write_film(tmp_path / "in.mp4", FRAMES)
    copy(source, tmp_path / f"out{suffix}")
    before, after = planes(source), planes(tmp_path / f"out{suffix}")
    assert len(before) == len(after) == 8
    assert all(
        np.array_equal(a, b) for one, two in zip(before, after, strict=True) for a, b in zip(one, two, strict=True)
    )


def test_times_are_kept_when_they_are_uneven_and_begin_late(tmp_path: Path) -> None:
    moments = [5000, 5040, 5200, 5201, 6000, 6033, 6066, 7100]
    source = write_film(tmp_path / "in.mkv", FRAMES, times=moments, unit=Fraction(1, 1000))
    copy(source, tmp_path / "out.mp4")
    assert [round(1000 * moment) for moment in times(tmp_path / "out.mp4")] == [m - 5000 for m in moments]


def test_all_sound_is_copied_where_the_container_takes_it(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mp4", FRAMES, sounds=["aac", "aac"])
    assert copy(source, tmp_path / "out.mp4") == []
    assert sound_packets(source) == sound_packets(tmp_path / "out.mp4")
    assert len(sound_packets(source)) == 2 and len(sound_packets(source)[0]) > 50
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert [track.language for track in film.streams.audio] == ["eng", "hrv"]


def test_sound_of_an_avi_is_copied_too(tmp_path: Path) -> None:
    """Its decoder has another name than its kind of sound."""
    source = write_film(tmp_path / "in.avi", FRAMES, sounds=["libmp3lame"])
    assert copy(source, tmp_path / "out.mp4") == []
    assert sound_packets(source) == sound_packets(tmp_path / "out.mp4") and len(sound_packets(source)[0]) > 50


def test_sound_that_a_container_does_not_take_is_converted_and_said(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mkv", FRAMES, sounds=["pcm_s16le"])
    assert copy(source, tmp_path / "out.mp4") == ["sound track 1: pcm_s16le -> aac"]
    with av.open(str(tmp_path / "out.mp4")) as film:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    # The tone of 440 Hz is still there: a second and a half, and by far the strongest.
    assert len(heard) / 48_000 == pytest.approx(1.5, abs=0.05)
    spectrum = np.abs(np.fft.rfft(heard[24_000:48_000]))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)


def test_webm_is_vp9_with_opus(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mp4", FRAMES, sounds=["aac"])
    assert copy(source, tmp_path / "out.webm", crf=20) == ["sound track 1: aac -> libopus"]
    with av.open(str(tmp_path / "out.webm")) as film:
        assert film.streams.video[0].codec_context.name == "vp9" and film.streams.audio[0].codec_context.name == "opus"
    written = [frame.pixels for frame in read_frames(tmp_path / "out.webm")]
    assert len(written) == 8
    assert np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(written, FRAMES, strict=True)]) < 3


@pytest.mark.parametrize("matrix", [1, 5])
def test_tags_of_colour_are_carried_and_pixels_mean_the_same(tmp_path: Path, matrix: int) -> None:
    source = write_film(tmp_path / "in.mp4", FRAMES[:2], matrix=matrix)
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert next(film.decode(video=0)).colorspace == matrix
    assert np.array_equal(next(read_frames(source)).pixels, next(read_frames(tmp_path / "out.mp4")).pixels)


@pytest.mark.parametrize("matrix", [1, 5])
def test_an_edit_is_added_where_it_is_and_nowhere_else(tmp_path: Path, matrix: int) -> None:
    """Light on a grey ground: luma by 219/255 of the levels, chroma not at all (ITU-T H.273)."""
    source = write_film(tmp_path / "in.mp4", FRAMES[:2], matrix=matrix)
    with open_film(source) as container:
        writer = FilmWriter(tmp_path / "out.mp4", ".mp4", crf=0)
        writer.take_over(container)
        for frame in decode(container, container.streams.video[0]):
            before = upright(frame)
            after = before.copy()
            after[10:31, 11:40] += 50  # grey there
            after[12:20, 280:300, 0] += 40  # red alone
            writer.write(frame, before, after, (11, 10, 301, 31))
        writer.close()
    (y, u, v), (new_y, new_u, new_v) = planes(source)[0], planes(tmp_path / "out.mp4")[0]
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114)}[matrix]
    assert set((new_y.astype(int) - y)[10:31, 11:40].ravel()) == {round(50 * 219 / 255)}
    assert (new_y.astype(int) - y)[12:20, 280:300] == pytest.approx(40 * red * 219 / 255, abs=0.51)
    assert (new_v.astype(int) - v)[6:10, 140:150] == pytest.approx(20 * 224 / 255, abs=0.51)
    assert (new_u.astype(int) - u)[6:10, 140:150] == pytest.approx(-20 * red / (1 - blue) * 224 / 255, abs=0.51)
    changed = np.zeros(y.shape, bool)
    changed[10:31, 11:40] = changed[12:20, 280:300] = True
    assert np.array_equal(new_y[~changed], y[~changed])
    assert np.array_equal(new_u[:, :130], u[:, :130]) and np.array_equal(new_v[20:], v[20:])


def test_a_film_that_was_held_sideways_is_written_upright(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mp4", [scene({"blue": (100, 60, 30)})] * 2, rotation=90)
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as film:
        frame = next(film.decode(video=0))
        assert (frame.rotation, frame.width, frame.height) == (0, 240, 320)
    assert np.array_equal(np.rot90(planes(source)[0][0]), planes(tmp_path / "out.mp4")[0][0])


def test_an_odd_picture_repeats_its_last_lines(tmp_path: Path) -> None:
    import gc

    pixels = scene({"red": (60, 50, 40)}, (101, 131))
    with av.open(str(tmp_path / "in.mkv"), "w") as out:
        picture = out.add_stream("ffv1", rate=25)
        picture.width, picture.height, picture.pix_fmt = 131, 101, "yuv420p"
        for _ in range(2):
            out.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(picture.encode(None))
    gc.collect()
    copy(tmp_path / "in.mkv", tmp_path / "out.mp4")
    before, after = planes(tmp_path / "in.mkv")[0], planes(tmp_path / "out.mp4")[0]
    assert before[0].shape == (101, 131) and after[0].shape == (102, 132)
    assert np.array_equal(after[0][:101, :131], before[0]) and np.array_equal(after[0][101, :131], before[0][100])
    assert np.array_equal(after[1], before[1])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_the_mark_and_the_title_can_be_read_back(tmp_path: Path, suffix: str) -> None:
    source = write_film(tmp_path / "in.mp4", FRAMES[:2], title="A walk", comment="by the sea")
    mark = EditMark("happy @ 0.9", "brightener 0000")
    out = tmp_path / f"out{suffix}"
    copy(source, out, crf=30, mark=mark)
    assert read_film_mark(out) == {"digital_source_type": DIGITAL_SOURCE_TYPE, **vars(mark)}
    with av.open(str(out)) as film:
        said = {key.lower(): value for key, value in film.metadata.items()}
        assert said["title"] == "A walk" and said["comment"] == f"by the sea | {mark.describe()}"
        assert len(list(film.decode(video=0))) == 2
    assert read_film_mark(source) is None


@pytest.mark.parametrize(("version", "told"), [("18.1.0", {"metadata_errors": "ignore"}), ("19.0.0", {}), ("20.1", {})])
def test_pyav_is_told_what_it_knows(monkeypatch: pytest.MonkeyPatch, version: str, told: dict[str, str]) -> None:
    def opened(file: str, **given: str) -> None:
        assert (file, given) == ("talk.mp4", told)
        raise OSError("seen")

    monkeypatch.setattr(av, "__version__", version)
    monkeypatch.setattr(av, "open", opened)
    with pytest.raises(FilmError), open_film("talk.mp4"):
        pass


def test_tags_in_another_encoding_neither_stop_a_film_nor_get_lost(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mp4", FRAMES[:2], title="Zagrxb", comment="by the sxa")
    content = source.read_bytes()
    assert content.count(b"Zagrxb") == content.count(b"by the sxa") == 1
    latin = content.replace(b"Zagrxb", "Zagréb".encode("latin-1")).replace(b"the sxa", "the séa".encode("latin-1"))
    source.write_bytes(latin)
    mark = EditMark("happy @ 0.9", "brightener 0000")
    for suffix in (".mp4", ".webm"):
        copy(source, tmp_path / f"out{suffix}", crf=30, mark=mark)
        written = (tmp_path / f"out{suffix}").read_bytes()
        assert b"Zagr" in written and b"by the s" in written and mark.describe().encode() in written
        assert read_film_mark(tmp_path / f"out{suffix}") is not None
        with open_film(tmp_path / f"out{suffix}") as film:
            assert len(list(film.decode(video=0))) == 2


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"no film can be written as `\.avi`"):
        FilmWriter(tmp_path / "x", ".avi")
    (tmp_path / "old.mp4").write_bytes(b"old")
    for error in (OSError(28, "No space left on device"), av.error.InvalidDataError(1, "Invalid data")):
        with pytest.raises(FilmError, match="cannot write"), unfinished(tmp_path / "old.mp4") as file:
            file.write_bytes(b"half")
            raise error
    with pytest.raises(KeyboardInterrupt), unfinished(tmp_path / "old.mp4") as file:
        file.write_bytes(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["old.mp4"]
    assert (tmp_path / "old.mp4").read_bytes() == b"old"
