"""Compiled functions: a recording as a program, and the program as code.

May import: ``transforms`` and what is left of it.
Start reading: ``jit`` (what a user calls), ``cache`` (the recordings that it shares with ``vmap``),
``program`` (what a backend is given) and ``lower`` (how a tape becomes one), ``loops`` (what
repeats in it, found by ``entries.repeats``; ``piece_buffer`` has room for what loops keep),
``backends``.
To add a backend: see ``backends``.
"""
