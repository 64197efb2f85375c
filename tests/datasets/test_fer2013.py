"""FER2013 in its three forms, with FER+'s votes."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.datasets import Rejected, Row, Sample, fer2013
from mien.datasets.fer2013 import majority
from mien.datasets.folder import read as read_folder
from mien.errors import ConfigError, DataError, ImageError

VOTE_HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"  # as published
)


def pixels(level: int) -> str:
    return " ".join([str(level)] * (48 * 48))


def write_kaggle(folder: Path, rows: list[str], header: str = "emotion,pixels,Usage") -> Path:
    path = folder / "fer2013.csv"
    path.write_text("\r\n".join([header, *rows, ""]))
    return path


def sample(item: Row) -> Sample:
    assert isinstance(item, Sample), item
    return item


def test_kaggle_csv(tmp_path: Path) -> None:
    rows = [f"0,{pixels(3)},Training", f"3,{pixels(4)},PublicTest", f"6,{pixels(5)},PrivateTest"]
    write_kaggle(tmp_path, rows)
    items = [sample(item) for item in fer2013.read(tmp_path)]
    assert [(i.key, i.expression, i.split) for i in items] == [
        ("train/0000000", "anger", "train"),
        ("validation/0000001", "happy", "validation"),
        ("test/0000002", "neutral", "test"),
    ]
    np.testing.assert_array_equal(items[1].read(), np.full((48, 48, 3), 4, np.uint8))
    assert items[0].shares is None


def test_kaggle_pixels_go_row_by_row(tmp_path: Path) -> None:
    values = [(i * 7) % 256 for i in range(48 * 48)]
    write_kaggle(tmp_path, [f"2,{' '.join(map(str, values))},Training"])
    image = sample(next(iter(fer2013.read(tmp_path)))).read()
    assert image[0, 1].tolist() == [7, 7, 7]
    assert image[1, 0, 0] == (48 * 7) % 256


def test_kaggle_columns_may_come_in_another_order(tmp_path: Path) -> None:
    # `icml_face_data.csv` of the same competition has blanks in its header.
    (tmp_path / "icml_face_data.csv").write_text(f"emotion, Usage, pixels\n4,Training,{pixels(9)}\n")
    item = sample(next(iter(fer2013.read(tmp_path))))
    assert (item.expression, int(item.read().max())) == ("sad", 9)


def test_broken_rows_do_not_end_the_run(tmp_path: Path) -> None:
    rows = [
        f"7,{pixels(1)},Training", f"x,{pixels(1)},Training", "3,1 2 3,Training", f"3,{pixels(256)},Training",
        f"3,{pixels(1)[:-1]}x,Training", "3", f"3,{pixels(1)},Later", f"5,{pixels(8)},Training",
    ]  # fmt: skip
    write_kaggle(tmp_path, rows)
    items = list(fer2013.read(tmp_path))
    assert items[0] == Rejected("train/0000000", "label 7 is not one of 0 to 6")
    assert items[1] == Rejected("train/0000001", "label `x` is not a number")
    for item, reason in zip(items[2:5], ("3 pixels", "not whole numbers", "not whole numbers"), strict=True):
        with pytest.raises(ImageError, match=reason):
            sample(item).read()
    assert isinstance(items[5], Rejected)
    assert isinstance(items[6], Rejected)
    assert sample(items[7]).expression == "surprise"


def test_votes_beside_kaggles_file(tmp_path: Path) -> None:
    rows = [f"{label},{pixels(1)},Training" for label in (0, 3, 3, 6, 4)]
    write_kaggle(tmp_path, rows)
    votes = [
        "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",  # neutral leads, whatever FER2013 says
        "Training,fer0000001.png,5,5,0,0,0,0,0,0,0,0",  # a tie that FER2013's happy decides
        "Training,,0,0,0,0,0,0,0,0,0,10",  # not a face
        "Training,fer0000003.png,0,0,0,0,0,0,0,8,2,0",  # contempt is none of the seven
        "Training,fer0000004.png,a,b,c,d,e,f,g,h,i,j",  # broken
    ]
    (tmp_path / "fer2013new.csv").write_text("\n".join([VOTE_HEADER, *votes]) + "\n")
    plain, plus = list(fer2013.read(tmp_path)), list(fer2013.read(tmp_path, labels="ferplus"))
    assert [getattr(item, "expression", None) for item in plain] == ["anger", "happy", None, "neutral", None]
    assert [getattr(item, "expression", None) for item in plus] == ["neutral", "happy", None, None, None]
    # 4 neutral, 1 sad, 3 anger, 2 disgust, in the vocabulary's order.
    assert sample(plain[0]).shares == (0.4, 0, 0.1, 0, 0, 0.2, 0.3, 0)
    assert plus[2] == Rejected("train/0000002", "FER+ calls it not a face")
    assert plus[3] == Rejected("train/0000003", "FER+ is for contempt, none of the seven expressions")
    assert isinstance(plus[4], Rejected)


def test_majority() -> None:
    #        neutral happy surprise sad anger disgust fear contempt unknown not-a-face
    assert majority([0, 6, 3, 0, 0, 0, 1, 0, 0, 0], "fear") == "happy"
    assert majority([0, 4, 4, 0, 0, 0, 1, 1, 0, 0], "surprise") == "surprise"
    assert majority([4, 0, 0, 0, 0, 0, 0, 4, 2, 0], "neutral") == "neutral"
    for votes, reason in (
        ([0, 4, 4, 0, 0, 0, 1, 1, 0, 0], "tied between happy and surprise"),
        ([0, 2, 0, 0, 0, 0, 0, 0, 8, 0], "unknown"),
        ([0, 2, 0, 0, 0, 0, 0, 0, 0, 8], "not a face"),
        ([0] * 10, "no votes"),
    ):
        found = majority(votes, "fear")
        assert isinstance(found, Rejected)
        assert reason in found.reason


def test_votes_that_do_not_belong_to_the_file(tmp_path: Path) -> None:
    path = write_kaggle(tmp_path, [f"0,{pixels(1)},Training"] * 2)
    votes = tmp_path / "votes.csv"
    votes.write_text(f"{VOTE_HEADER}\nTraining,fer0000000.png,4,0,0,1,3,2,0,0,0,0\n")
    with pytest.raises(DataError, match=r"1 rows .* 2"):
        list(fer2013.read(path, votes=votes))
    with pytest.raises(DataError, match="no FER\\+ votes beside"):
        list(fer2013.read(path, labels="ferplus"))
    with pytest.raises(ConfigError):
        fer2013.read(path, labels="mine")


def test_class_folders_follow_the_usage_in_file_names(tmp_path: Path) -> None:
    for name in ("train/angry/Training_1.jpg", "test/angry/PublicTest_2.jpg", "test/happy/PrivateTest_3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (48, 48), 60).save(tmp_path / name)
    items = {item.key: item for item in map(sample, fer2013.read(tmp_path))}
    assert {key: (item.expression, item.split) for key, item in items.items()} == {
        "train/angry/Training_1.jpg": ("anger", "train"),
        "test/angry/PublicTest_2.jpg": ("anger", "validation"),
        "test/happy/PrivateTest_3.jpg": ("happy", "test"),
    }
    assert items["train/angry/Training_1.jpg"].read().shape == (48, 48, 3)
    with pytest.raises(DataError, match="cannot be matched"):
        fer2013.read(tmp_path, labels="ferplus")


def test_wrong_places_and_headers_say_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(DataError, match=r"found letter\.txt") as caught:
        fer2013.read(tmp_path)
    assert "fer2013.csv" in caught.value.hint
    with pytest.raises(DataError, match="no such"):
        fer2013.read(tmp_path / "nowhere")
    write_kaggle(tmp_path, [], header="label;image")
    with pytest.raises(DataError, match="no column `emotion`, `pixels`, `usage`; its first line is `label;image`"):
        list(fer2013.read(tmp_path))


def test_parquet_without_votes_cannot_label_by_them(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"image": [{"bytes": b"x"}], "label": [9]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="no column `votes`"):
        list(fer2013.read(tmp_path, labels="ferplus"))
    assert list(fer2013.read(tmp_path)) == [Rejected("train/train-0000000", "label 9 is not one of 0 to 6")]


@pytest.mark.parametrize("order", ["alphabet", "fer2013"])
def test_parquet_that_names_its_labels_in_another_order_is_refused(tmp_path: Path, order: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    names = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    names = sorted(names) if order == "alphabet" else names
    head = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    table = pyarrow.table({"image": [{"bytes": b"x"}], "label": [4]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(head)})
    parquet.write_table(table, tmp_path / "train.parquet")
    if order == "alphabet":  # where 4 is neutral
        with pytest.raises(DataError, match="not FER2013's order") as error:
            list(fer2013.read(tmp_path))
        assert "mien prepare folder" in error.value.hint
        (row,) = read_folder(tmp_path)
        assert sample(row).expression == "neutral"
    else:
        (row,) = fer2013.read(tmp_path)
        assert sample(row).expression == "sad"


def test_the_real_dataset() -> None:
    folder = os.environ.get("MIEN_TEST_DATA")
    if not folder:
        pytest.skip("MIEN_TEST_DATA names no folder that holds fer2013/")
    pytest.importorskip("pyarrow")
    items = [sample(item) for item in fer2013.read(Path(folder) / "fer2013")]
    # The counts that the dataset's own description gives.
    train = Counter(item.expression for item in items if item.split == "train")
    assert train == {
        "anger": 3988, "disgust": 439, "fear": 4096, "happy": 7191, "sad": 4785, "surprise": 3137, "neutral": 4922
    }  # fmt: skip
    assert sum(item.split == "validation" for item in items) == 3579
    assert items[0].read().shape == (48, 48, 3)
    assert items[0].key == "train/fer0000000"
    assert items[0].shares == (0.4, 0, 0.1, 0, 0, 0.2, 0.3, 0)


def test_both_counts_the_label_as_four_votes_more(tmp_path: Path) -> None:
    """Votes 3 neutral, 2 fear, 5 surprise, label fear: fear leads with 6 of 14; happy, whom all chose, stays happy."""
    write_kaggle(tmp_path, [f"2,{pixels(9)},Training", f"3,{pixels(9)},Training"])
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    rows = ["Training,fer0000000.png,3,0,5,0,0,0,2,0,0,0", "Training,fer0000001.png,0,10,0,0,0,0,0,0,0,0"]
    (tmp_path / "fer2013new.csv").write_text("\n".join([header, *rows]) + "\n")
    plus = [sample(row) for row in fer2013.read(tmp_path, labels="ferplus")]
    both = [sample(row) for row in fer2013.read(tmp_path, labels="both")]
    assert [row.expression for row in plus] == ["surprise", "happy"]
    assert [row.expression for row in both] == ["fear", "happy"]
    assert both[0].shares == pytest.approx((3 / 14, 0, 0, 5 / 14, 6 / 14, 0, 0, 0))
