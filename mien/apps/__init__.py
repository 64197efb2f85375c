"""Applications on top of the package: the command line (cli.py)."""
