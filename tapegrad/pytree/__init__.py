"""The user's containers, taken apart into numbers with names and put together again.

May import: ``ops`` and what is left of it.
Start reading: ``structure``; ``flatten`` and ``build`` are the two directions.
To add a kind of container: its case in ``structure`` and in ``codegen``, which spells the same for
compiled functions.
"""
