"""`modifications`: how a rule changes parameters (R3.a; docs/reference/policy-language.md, Modifications).

* A modification makes one edit of one parameter; the order in the file is the order of the edits.
"""

from __future__ import annotations

from navicert.model.policy import Edit, Modification
from navicert.model.value import Json
from navicert.syntax import words
from navicert.syntax.reader import Fault, Node, kind, shown

EDITS = {edit.value: edit for edit in Edit}


def read_modifications(node: Node) -> tuple[Modification, ...]:
    """Return how a MODIFY rule changes parameters, in file order; raises `Fault`."""
    found = words.items(node, "`modifications`")
    if not found:
        raise Fault(node.place, "`modifications` is an empty list; add what to change")
    return tuple(_modification(item) for item in found)


def _modification(node: Node) -> Modification:
    found = words.fields(node, "a modification", ("parameter", *EDITS), ("parameter",))
    edits = [word for word in found.nodes if word in EDITS]
    if len(edits) != 1:
        options = words.listed(EDITS)
        raise Fault(found.place, f"a modification makes one edit, not {len(edits)}; write one of {options}")
    where = found.nodes["parameter"]
    parameter = words.parameter(words.line(where, "`parameter`", words.MAX_PARAMETER), where.place)
    edit = EDITS[edits[0]]
    return Modification(parameter=parameter, edit=edit, value=_edit(edit, found.nodes[edits[0]]))


def _edit(edit: Edit, node: Node) -> Json:
    match edit:
        case Edit.SET:
            return words.json(node, "`set`")
        case Edit.CAP:
            return words.number(node, "`cap`")
        case Edit.REDACT:
            return words.pattern(node, "`redact`")
        case Edit.PREFIX:
            return _prefix(node)
        case Edit.DROP:
            if not words.truth(node, "`drop`"):
                raise Fault(
                    node.place, f"`drop` cannot be {kind(node)}; write `drop: true`, or remove the modification"
                )
            return None


def _prefix(node: Node) -> str:
    prefix = words.line(node, "`prefix`", words.MAX_PARAMETER)
    if ".." in prefix.split("/"):
        raise Fault(node.place, f"the prefix {shown(prefix)} has `..` in it; write the folder itself")
    return prefix
