"""Recording: a function is called with traced numbers, which write entries to a recorder.

May import: ``entries`` and the packages below it.
Start reading: ``trace``, which records one call, then ``recorder`` with ``Var`` and ``Condition``.
To add something that models may call: a module here, and its name in ``tapegrad/__init__.py``.
"""
