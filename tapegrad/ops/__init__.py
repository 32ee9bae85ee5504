"""The operations: what a row of the table is, the table, and the values of rows on floats.

May import: ``_support``.
Start reading: ``primitive`` (what a row is), then ``table``, where every derivative is stated once.
To add an operation: a row in ``table``, its value in ``floats`` or ``special``, its public name in
``tapegrad.math``, and its true value in ``tests/oracle.py``. ``lowering`` may say it in core rows.
"""
