"""Which operations a SavedModel uses, with which attributes, and in which signatures."""

from collections.abc import Collection, Iterator
from typing import Any

from bert_tf.system.listing import listed

_ATTRIBUTES_OF_PLACES = "_"
"""Attributes that begin so are no operation's own."""


class GraphOps:
    """Operations of a `MetaGraphDef`, its functions' included."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._functions = {of.signature.name: of for of in graph.graph_def.library.function}
        self._used: set[str] = set()
        """`Operation` and `Operation.attribute`."""
        for node in self.nodes():
            self._used.update(self._names_of(node))

    @property
    def names(self) -> list[str]:
        """Of operations, without calls of the graph's own functions."""
        return sorted(name for name in self._used if "." not in name)

    @property
    def compiled(self) -> list[str]:
        """Functions that need the just-in-time compiler."""
        return sorted(name for name, of in self._functions.items() if of.attr["_XlaMustCompile"].b)

    def nodes(self) -> Iterator[Any]:
        """Of the graph and its functions."""
        yield from self._graph.graph_def.node
        for function in self._functions.values():
            yield from function.node_def

    def among(self, names: Collection[str]) -> list[str]:
        """Those of `names`, operations or `Operation.attribute`, that are used."""
        return sorted(self._used.intersection(names))

    def where(self, name: str) -> str:
        """`, used by SIGNATURE, …`; nothing where it is part of no signature."""
        users = [
            key
            for key, signature in sorted(self._graph.signature_def.items())
            if any(name in self._names_of(node) for node in self._reached_from(signature))
        ]
        return f", used by {listed(users)}" if users else ""

    def _names_of(self, node: Any) -> Iterator[str]:
        if node.op in self._functions:
            return
        yield node.op
        for attribute in node.attr:
            if not attribute.startswith(_ATTRIBUTES_OF_PLACES):
                yield f"{node.op}.{attribute}"

    def _reached_from(self, signature: Any) -> Iterator[Any]:
        """Nodes that the outputs need, those of called functions included."""
        by_name = {node.name: node for node in self._graph.graph_def.node}
        waiting = [info.name for info in signature.outputs.values()]
        seen: set[str] = set()
        functions: set[str] = set()
        while waiting:
            name = waiting.pop().lstrip("^").partition(":")[0]
            if name in seen or name not in by_name:
                continue
            seen.add(name)
            yield by_name[name]
            waiting += by_name[name].input
            functions |= self._called(by_name[name])
        called: set[str] = set()
        while functions:
            name = functions.pop()
            if name in called:
                continue
            called.add(name)
            for node in self._functions[name].node_def:
                yield node
                functions |= self._called(node)

    def _called(self, node: Any) -> set[str]:
        values = [*node.attr.values()]
        names = {value.func.name for value in values} | {node.op}
        names |= {function.name for value in values for function in value.list.func}
        return names & self._functions.keys()
