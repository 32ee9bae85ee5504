"""The command line: ``tapegrad COMMAND file.py:function --at point``.

May import: everything but ``tapegrad.__main__``, which has the options of the commands.
Start reading: ``commands``, one function for each command.
To add a command: its function in ``commands`` (whose docstring is its help) and its options in
``tapegrad/__main__.py``.
"""
