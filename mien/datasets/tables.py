"""The two kinds of table in which datasets list their images: CSV, and Parquet as the Hugging Face hub lays it out.

Not datasets but forms in which several are published. Only Parquet needs pyarrow, and only once such a file is opened.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.datasets.sample import TRAIN, split_of
from mien.errors import DataError

#: Rows of Parquet held in memory at once: a thousand photos of 100 kB are 100 MB.
_BATCH_ROWS = 1024


@dataclass(frozen=True)
class CsvTable:
    """A CSV file with a header, of which only the header has been read; made by `open_csv`."""

    path: Path
    """The file."""
    columns: tuple[str, ...]
    """Names of its columns as the header gives them, in lower case and without blanks around them."""

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield the rows as column -> text, blanks stripped; blank lines are left out.

        A row that is too short lacks its last columns and one that is no CSV lacks all: the caller rejects it by what
        it misses, and rows of two files that belong together stay in step.
        """
        with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = csv.reader(file)
            next(lines, None)
            while True:
                try:
                    cells = next(lines)
                except StopIteration:
                    return
                except csv.Error:
                    yield {}
                    continue
                if cells:
                    yield {name: cell.strip() for name, cell in zip(self.columns, cells, strict=False)}


def open_csv(path: Path, required: Sequence[str]) -> CsvTable:
    """Read the header of a CSV file (UTF-8, with or without a byte order mark) and check that columns are there.

    Raises `DataError` where the file cannot be read or lacks one of the `required` columns (in lower case).
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            header = next(csv.reader(file), [])
    except (OSError, csv.Error) as error:
        raise DataError(f"`{path}` cannot be read: {error}") from error
    columns = tuple(name.strip().lower() for name in header)
    if missing := [name for name in required if name not in columns]:
        raise DataError(
            f"`{path}` has no column `{'`, `'.join(missing)}`; its first line is `{','.join(header)[:80]}`",
            hint=f"the first line must name the columns, separated by commas: {', '.join(required)}",
        )
    return CsvTable(path, columns)


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file, of which only the head has been read; made by `open_parquet`."""

    path: Path
    """The file."""
    columns: tuple[str, ...]
    """Names of its columns."""
    label_names: tuple[str, ...] | None
    """Words for the integers of the `label` column, where the file says them."""

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows in order, as plain values of those of the `columns` that exist."""
        wanted = [name for name in columns if name in self.columns]
        try:
            for batch in _parquet_file(self.path).iter_batches(_BATCH_ROWS, columns=wanted):
                yield from batch.to_pylist()
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these two kinds
            raise _broken_parquet(self.path, error) from error


def parquet_files(source: Path) -> list[tuple[str, Path]]:
    """List the Parquet files of a folder (or of its `data` folder, or the file itself) as (split, path), sorted.

    A file whose name says no split, `faces.parquet`, is taken for training data.
    """
    if source.is_file():
        found = [source] if source.suffix.lower() == ".parquet" else []
    else:
        found = sorted(source.glob("*.parquet")) or sorted(source.glob("data/*.parquet"))
    return [(split_of(path.stem) or TRAIN, path) for path in found]


def open_parquet(path: Path, required: Sequence[str]) -> ParquetTable:
    """Read the head of a Parquet file (its columns, the words of its labels) and check that columns are there.

    Raises `DataError` where the file cannot be read, lacks one of the `required` columns, or pyarrow is not installed.
    """
    schema = _parquet_file(path).schema_arrow
    if missing := [name for name in required if name not in schema.names]:
        raise DataError(
            f"`{path}` has no column `{'`, `'.join(missing)}`, only {', '.join(schema.names)}",
            hint=f"needed are {', '.join(required)}",
        )
    label_names = None
    try:
        description = json.loads((schema.metadata or {})[b"huggingface"])
        label_names = tuple(str(name) for name in description["info"]["features"]["label"]["names"])
    except (ValueError, KeyError, TypeError):
        pass  # The hub's description is optional; another program may have left it out or written its own.
    return ParquetTable(path, tuple(schema.names), label_names)


def image_bytes(cell: Any) -> bytes | None:
    """Return the encoded image of an `image` cell, a struct with `bytes` or plain bytes; None where it is empty."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return data if isinstance(data, bytes) and data else None


def _parquet_file(path: Path) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"`{path}` is a Parquet file, and reading those needs pyarrow", hint="`pip install pyarrow`"
        ) from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise _broken_parquet(path, error) from error


def _broken_parquet(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"`{path}` cannot be read as Parquet: {reason}", hint="copy or download the file again")
