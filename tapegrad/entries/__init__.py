"""The data of a tape: entries in columns, views of them, and what rewrites entries into entries.

May import: ``pytree`` and what is left of it.
Start reading: ``columns`` (entry by entry), then ``entries`` (what every reading takes).
To add a rewriting: a module that takes entries and writes them with ``builder``.
"""
