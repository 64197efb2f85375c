"""The version, apart from everything else so that a build and a mark can read it without importing the package."""

VERSION = "0.1.0"
