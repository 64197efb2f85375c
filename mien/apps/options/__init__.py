"""What the commands take: every argument and option with its name, its bounds and its help, as types for signatures.

Options of commands of one kind have a module with their name here, as the commands have in `mien.apps.commands`; those that
commands of several kinds take are in `shared`.
"""
