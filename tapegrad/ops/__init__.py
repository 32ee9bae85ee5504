"""The operations: the table of rows, their values on floats, and how they are spelled in core rows.

May import: ``errors``, ``_support``.
Start reading: ``primitive`` (what a row is), then ``table``, where every derivative is stated once.
To add an operation: a row in ``table``, its value in ``floats`` or ``special``, its public name in
``tapegrad.math``, its true value in ``tests/oracle.py``, and perhaps its spelling in ``lowering``.
"""
