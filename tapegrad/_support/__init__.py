"""Helpers that know nothing of tapes: text, positions in the user's program, checks of arguments.

May import: ``errors`` and the standard library.
Start reading: ``source_position``, which finds the user's line that every error message names.
To add one: a new module; it must make sense to somebody who has never heard of a tape.
"""
