"""Give the largest face of a photo a blend of expressions, and say what the model read in it before.

python examples/edit_portrait.py portrait.jpg edited.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mien
from mien.provenance import EditMark


def main() -> None:
    """Edit the photo that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default=None, help="shipped name, run folder or .safetensors file")
    given = parser.parse_args()

    editor = mien.load(given.model)
    photo = mien.read_photo(given.photo)
    face = editor.find(photo)[0]
    wanted = mien.Condition.blend({"surprise": 0.6, "happy": 0.4}, intensity=0.9)
    edited = editor.paste(photo, editor.render(face, [wanted]))

    mark = EditMark(condition=str(wanted), model=editor.model.sha256)
    mien.write_photo(given.out, edited, like=photo, mark=mark)
    shares = editor.read(face).expressions
    likeliest = sorted(shares, key=lambda name: -shares[name])[:3]
    print("before: " + ", ".join(f"{name} {shares[name]:.0%}" for name in likeliest))
    print(f"after: {wanted} -> {given.out}")


if __name__ == "__main__":
    main()
