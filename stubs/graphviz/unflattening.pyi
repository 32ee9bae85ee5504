# `Unflatten`: Graphviz's second program, which narrows a wide drawing.

from graphviz.sources import Source

class Unflatten:
    def unflatten(
        self, stagger: int | None = None, fanout: bool = False, chain: int | None = None
    ) -> Source: ...
