"""Methods: one paper per file, strangers to each other; the table below is all that knows them together."""

from __future__ import annotations

from mien.methods.base import Batch, Method, Reading
from mien.methods.ganmut import GANmut
from mien.methods.ganmut_gaussian import GaussianGANmut
from mien.methods.stargan import StarGAN

METHODS: dict[str, type[Method]] = {"stargan": StarGAN, "ganmut": GANmut, "ganmut-gaussian": GaussianGANmut}

__all__ = ["METHODS", "Batch", "GANmut", "GaussianGANmut", "Method", "Reading", "StarGAN"]
