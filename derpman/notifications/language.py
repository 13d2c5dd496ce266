"""What a template that an operator writes may say: a small part of Jinja, judged before it is kept.

Facts, conditions, one loop over what the mail knows, our layouts. Nothing that calls, counts far
or computes: a sandbox keeps such a template from harm, this keeps it from being slow or broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from jinja2 import Environment, TemplateSyntaxError, nodes

from derpman.notifications.errors import TemplateWrong

PartName = Literal["subject", "text", "html"]
SUFFIX: dict[PartName, str] = {"subject": ".subject.j2", "text": ".txt.j2", "html": ".html.j2"}
FILTERS = frozenset(
    {"capitalize", "d", "default", "e", "escape", "first", "int", "join", "last", "length"}
    | {"lower", "round", "title", "trim", "upper"}
)
TESTS = frozenset({"defined", "undefined", "none", "true", "false", "string", "number"})
PLAIN = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Dict, nodes.Pair,
    nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.Concat, nodes.Add, nodes.Sub, nodes.Block, nodes.Keyword,
)  # fmt: skip
FUNCTION = "when"
MADE_UP = "\ue000\ue001"
"""What marks of secrets are made of, see `rendering`; nobody may write one."""


def judge(part: PartName, source: str, *, names: frozenset[str], shared: frozenset[str]) -> None:
    """Raise TemplateWrong unless a part speaks our language and knows only these names.

    `shared` are the files it may build on; a page builds on pages, a text on texts.
    """
    if not set(MADE_UP).isdisjoint(source):
        raise TemplateWrong(part=part, line=1, reason="it contains characters of private use")
    try:
        tree = Environment(autoescape=True).parse(source)
    except TemplateSyntaxError as error:
        raise TemplateWrong(part=part, line=error.lineno, reason=error.message) from None
    files = frozenset(name for name in shared if name.endswith(SUFFIX[part]))
    for node, reason in _faults(tree, names, files):
        raise TemplateWrong(part=part, line=node.lineno, reason=reason)


def _faults(
    tree: nodes.Template, names: frozenset[str], files: frozenset[str]
) -> Iterator[tuple[nodes.Node, str]]:
    turning: set[str] = set()
    for loop in tree.find_all(nodes.For):
        if not isinstance(loop.target, nodes.Name) or loop.recursive or loop.test:
            yield loop, "a loop has the form {% for one in many %}"
        elif not isinstance(loop.iter, nodes.Name) or loop.iter.name not in names:
            yield loop, "a loop goes over something that the mail knows"
        elif next(loop.find_all(nodes.For), None) is not None:
            yield loop, "a loop may not contain another"
        else:
            turning |= {loop.target.name, "loop"}
    for node in _all(tree):
        if reason := _fault(node, names, turning, files):
            yield node, reason


def _all(node: nodes.Node) -> Iterator[nodes.Node]:
    for child in node.iter_child_nodes():
        yield child
        yield from _all(child)


def _fault(
    node: nodes.Node, names: frozenset[str], turning: set[str], files: frozenset[str]
) -> str | None:
    """Return what is wrong with one piece, its own pieces aside."""
    match node:
        case nodes.Name(name=name):
            is_known = name == FUNCTION or name in names or name in turning
            return None if is_known else f"the mail does not know “{name}”"
        case nodes.Call(node=nodes.Name(name=name), args=[_], kwargs=[]) if name == FUNCTION:
            return None
        case (
            nodes.Getattr(node=nodes.Name(name=name), attr=piece)
            | nodes.Getitem(node=nodes.Name(name=name), arg=nodes.Const(value=piece))
        ) if name in turning and not str(piece).startswith("_"):
            return None
        case nodes.Getitem(node=nodes.Dict() | nodes.Const()):
            return None
        case nodes.Filter(name=name) if name in FILTERS:
            return None
        case nodes.Test(name=name) if name in TESTS:
            return None
        case (
            nodes.Extends(template=nodes.Const(value=value))
            | nodes.Include(template=nodes.Const(value=value))
        ):
            return None if value in files else f"there is no “{value}” to build on"
        case nodes.For():
            return None
        case _ if isinstance(node, PLAIN):
            return None
        case _:
            return f"“{type(node).__name__.lower()}” is not part of what templates may do"
