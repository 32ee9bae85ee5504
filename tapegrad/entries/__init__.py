"""The data of a tape: entries in columns, nodes to look at them, and rewritings of entries.

May import: ``pytree`` and what is left of it.
Start reading: ``columns`` (how an entry is stored), then ``entries`` (the input of every reading)
and ``invariants`` (what is checked of it).
To add a rewriting: a module that takes entries and writes them with ``builder``.
"""
