"""Recording: the traced numbers that a user's function is called with, and what they write to.

May import: ``entries`` and what is left of it.
Start reading: ``recorder``: ``Var``, ``Condition`` and ``Recorder`` are one idea in one file.
To add something that models may call: a module here, and its name in ``tapegrad/__init__.py``.
"""
