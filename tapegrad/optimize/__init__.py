"""``objective`` and ``residuals``: models as compiled functions of one flat vector, for SciPy.

May import: ``batch`` and what is left of it.
Start reading: ``objective``, then ``unknowns`` (the vector and its names) and ``vector_function``.
To add a kind of problem: a class beside ``Objective`` on ``Unknowns``, with SciPy's names.
"""
