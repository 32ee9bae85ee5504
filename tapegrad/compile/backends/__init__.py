"""Backends: each runs programs, for one call or for rows, or writes them as source.

``interface`` says what a backend is, ``registry`` lists them and chooses one. ``python`` and ``c``
write text by way of ``function_writer``; ``numpy`` runs rows by the steps of ``numpy_steps``;
``llvm`` makes machine code. ``row_code`` is the type of code for rows.
May import: the modules of ``compile`` that deal with programs, and what is left of ``compile``.
To add a backend: a module with the functions that ``interface.Backend`` has room for, and an entry
in the registry, which imports it in a function if it needs numpy.
"""
