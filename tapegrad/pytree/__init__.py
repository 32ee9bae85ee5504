"""The user's containers, taken apart into numbers with key paths and put together again.

May import: ``errors``, ``_support``, ``ops``.
Start reading: ``structure``; ``flatten`` and ``build`` are the two directions.
To add a kind of container: an entry of the table in ``containers``.
"""
