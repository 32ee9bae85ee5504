"""Readings of a tape for people: tables, listings, explanations, differences.

May import: ``sweep`` and what is left of it.
Start reading: ``table``, the shortest; a reading takes ``Entries`` and gives a value that prints.
To add a reading: its module here, one method of ``Tape``, and one command in ``cli.commands``.
"""
