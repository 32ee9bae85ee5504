"""The LLVM backend: machine code for one call and for rows, with no compiler to install.

``module`` writes the text of a module: its functions by ``function``, instruction by instruction
(``instructions``), in a straight line (``straight_function``) or in pieces and loops (``pieces``,
``piece_function``), the loop over rows by ``row_loop``, and that over the steps of ``scan`` by
``step_loop``. ``quick_maths`` writes exp and log in line, and ``array_chain`` what calls numpy's
inner loops. Loops are given their numbers at run time (``given_numbers``), so that pieces share a
function, and programs a text. ``machine_code`` compiles the text and links it with the maths
library (``symbols``) and with calls into Python (``host_calls``); ``object_cache`` keeps it on disk
for the next process. ``native_entry`` checks what the code is called with, and is the one place
that calls it.
"""
