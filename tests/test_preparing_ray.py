"""A set that Ray tasks prepared is the one that this process would have written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prepared_rows import contents, make, rows

PROGRAM = """
import sys
from pathlib import Path
from prepared_rows import make, rows
seen = []
make(Path(sys.argv[1]), rows(), workers=2, engine="ray", report=lambda done, total: seen.append((done, total)))
print(seen[-1])
from mien.datasets import Sample
from mien.errors import DataError
from mien.prepared import prepare
from functools import partial
from prepared_rows import mistake
try:
    make(Path(sys.argv[1] + "-wrong"), [Sample("a", mistake, "happy", "train", "test")], workers=2, engine="ray")
except RuntimeError as error:
    print("an average of nothing" in str(error))
"""


@pytest.mark.slow
def test_ray_writes_the_same_bytes_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    # A process of its own: Ray leaves threads and signal handlers behind.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "ray")],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(40, 40)\nTrue\n"
    assert done.stderr == ""
    make(tmp_path / "here", rows())
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")
