"""The command line: ``tapegrad COMMAND file.py:function --at point``.

May import: everything else.
Start reading: ``commands``, one function for each command.
To add a command: its function in ``commands`` and its options in ``tapegrad/__main__.py``.
"""
