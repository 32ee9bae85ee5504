"""Sweeps over entries that compute numbers: values' derivatives, forward, in reverse and further.

May import: ``recording`` and what is left of it.
Start reading: ``reverse``; ``codegen`` generates the loop of each sweep from the operations table.
To add a sweep: a module that says what one entry does; ``codegen`` makes the loop.
"""
