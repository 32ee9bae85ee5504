"""Backends: each runs programs, for one call or for rows, or writes them as source.

May import: ``program``, ``partition``, ``loops`` and ``piece_buffer`` of ``compile``, and what is
left of ``compile``.
Start reading: ``interface`` (what a backend is), ``registry`` (the list of them, and the choice).
``python`` and ``c`` write text by way of ``function_writer``; ``numpy`` runs the steps that
``numpy_steps`` plans; ``llvm`` makes machine code; ``row_code`` has the type of code for rows.
To add a backend: a module with the functions that ``interface.Backend`` has fields for, and an
entry in the registry; where it needs numpy, the registry imports it in a function.
"""
