"""Programs of tapes on which some values are arrays, and the code that runs them.

It is loaded by name when a compiled function meets the first array.
Start reading: ``lowering`` (how a tape becomes a program), ``plan`` (the code of a program),
``calls`` (how an entry is spelled in numpy's functions), ``frames`` (the memory that code keeps),
``loops`` (runs of steps on large arrays as machine code), ``chains`` (runs of steps on small ones),
``nests`` (which steps are done row by row), ``nest_steps`` (how these go through a row) and
``nest_runs`` (their code).
"""
