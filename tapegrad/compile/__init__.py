"""Compiled functions: a recording as a program, and the program as code.

May import: ``transforms`` and what is left of it.
Start reading: ``jit`` (what a user calls), ``program`` (what a backend is given), ``backends``.
To add a backend: a module in ``backends``, and one line in its registry.
"""
