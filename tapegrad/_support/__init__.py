"""Helpers that know nothing of tapes: text, source positions, argument checks, progress bars.

May import: ``errors`` and the standard library.
Start reading: ``source_position``, which finds the user's line that every error message names.
To add a helper: a new module, which must make sense to somebody who has never heard of a tape.
"""
