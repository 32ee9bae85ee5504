"""``scan``: a loop of many steps as one entry of a tape.

Start reading at ``call``, which has the function. ``step`` has one step as a function of numbers,
with the paths that it takes, ``derived`` the steps of its derivatives, ``loop`` the row of the
table, and ``run`` the code that runs the steps.
"""
