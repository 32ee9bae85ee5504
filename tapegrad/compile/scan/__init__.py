"""``scan``: a loop of many steps as one entry of a tape.

Start reading at ``call``, which has the function. ``step`` has one step as a function of numbers,
with the paths that it takes; ``users_step`` records the user's, ``derived`` makes those of the
derivatives. ``recorded`` makes a ``loop`` of a step, which ``row``, the row of the table, applies,
and ``run`` runs.
"""
