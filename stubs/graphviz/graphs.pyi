# `Graph` and `Digraph`: DOT text built by calls.
#
# Attributes of DOT are strings; an attribute that is None is left out.

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from os import PathLike
from typing import Self, TypeAlias, overload

from graphviz.jupyter_integration import JupyterIntegration
from graphviz.rendering import Render
from graphviz.unflattening import Unflatten

_Attributes: TypeAlias = Mapping[str, str | None] | Iterable[tuple[str, str | None]]

class BaseGraph(Render, JupyterIntegration, Unflatten):
    name: str | None
    comment: str | None
    graph_attr: dict[str, str | None]
    node_attr: dict[str, str | None]
    edge_attr: dict[str, str | None]
    body: list[str]
    strict: bool
    def __init__(
        self,
        name: str | None = None,
        comment: str | None = None,
        filename: str | PathLike[str] | None = None,
        directory: str | PathLike[str] | None = None,
        format: str | None = None,
        engine: str | None = None,
        encoding: str | None = "utf-8",
        graph_attr: _Attributes | None = None,
        node_attr: _Attributes | None = None,
        edge_attr: _Attributes | None = None,
        body: Iterable[str] | None = None,
        strict: bool = False,
        *,
        renderer: str | None = None,
        formatter: str | None = None,
    ) -> None: ...
    def __iter__(self, subgraph: bool = False) -> Iterator[str]: ...
    def clear(self, keep_attrs: bool = False) -> None: ...
    def attr(
        self,
        kw: str | None = None,
        _attributes: _Attributes | None = None,
        **attrs: str | None,
    ) -> None: ...
    def node(
        self,
        name: str,
        label: str | None = None,
        _attributes: _Attributes | None = None,
        **attrs: str | None,
    ) -> None: ...
    # The names of an edge are split at `:` into node, port and compass point.
    def edge(
        self,
        tail_name: str,
        head_name: str,
        label: str | None = None,
        _attributes: _Attributes | None = None,
        **attrs: str | None,
    ) -> None: ...
    # Of a plain string the first letter is the tail and the second the head.
    def edges(self, tail_head_iter: Iterable[tuple[str, str]] | Iterable[str]) -> None: ...
    @overload
    def subgraph(
        self,
        graph: None = None,
        name: str | None = None,
        comment: str | None = None,
        graph_attr: _Attributes | None = None,
        node_attr: _Attributes | None = None,
        edge_attr: _Attributes | None = None,
        body: Iterable[str] | None = None,
    ) -> AbstractContextManager[Self, None]: ...
    @overload
    def subgraph(self, graph: Self) -> None: ...

class Graph(BaseGraph):
    @property
    def directed(self) -> bool: ...

class Digraph(BaseGraph):
    @property
    def directed(self) -> bool: ...
