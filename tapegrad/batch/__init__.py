"""``vmap``: a function of one row run over arrays of rows, by threads or an executor's workers.

May import: ``compile`` and what is left of it.
Start reading: ``vmap`` (the user's function), ``batched_function`` (a call from arguments to
answer), then ``schedule`` (the loop over chunks) and ``row_runner`` (rows on their paths).
To add a way to run rows: a ``Dispatcher`` of ``chunks``, beside ``remote/executor``.
"""
