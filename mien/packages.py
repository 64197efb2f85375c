"""Which packages are installed: extras bring some of them, and not everybody has all."""

from __future__ import annotations

from importlib.util import find_spec


def installed(package: str) -> bool:
    """Say whether a package can be imported, without importing it."""
    try:
        return find_spec(package) is not None
    except ImportError:
        return False


def need(*packages: str) -> None:
    """Raise `ModuleNotFoundError` for the first package that is not installed: at once, and not after hours of work."""
    for package in packages:
        if not installed(package):
            raise ModuleNotFoundError(f"no package {package}", name=package)
