"""Batches: a function of one row run over arrays of rows, on threads or on an executor's workers.

May import: ``compile`` and what is left of it.
Start reading: ``vmap`` (what a user calls), ``runner`` (one call from arguments to answer).
To add a way to run rows: a module beside ``execute`` that submits pieces and returns futures.
"""
