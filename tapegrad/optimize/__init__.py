"""Models as optimisers take them: functions of one flat vector, with derivatives, compiled.

May import: ``batch`` and what is left of it.
Start reading: ``objective``, then ``unknowns``: which numbers the vector holds, and their names.
To add a kind of problem: a module beside ``objective`` that gives what SciPy asks for.
"""
