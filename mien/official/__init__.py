"""Published checkpoints of the official GANmut and StarGAN code, opened as models like any other.

    specification.py   `official-ganmut:G.ckpt,size=128` taken apart; the orders of expressions where none is given
    checkpoint.py      tensors out of a checkpoint without running what it holds; its networks as mien's own
    model.py           the model that the editor and the benchmark take, and the way to safetensors

docs/official.md says what is read, what is refused, and what such a model means.
"""

from mien.official.model import OfficialModel, convert, load_official

__all__ = ["OfficialModel", "convert", "load_official"]
