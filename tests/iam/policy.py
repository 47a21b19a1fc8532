"""A small judge of IAM policies: what AWS would say to a request, and which statement said so.

Knows what our policies use and refuses to guess: an operator that is not here fails the test that needs it.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """One action on one resource. A call of an API may be several: each must be allowed."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource} {dict(self.context)}"


@dataclass(frozen=True)
class Grant:
    """What of a policy allowed it: an action and a resource pattern of one statement."""

    sid: str
    action: str
    resource: str


class Policy:
    def __init__(self, document: Mapping[str, Any]) -> None:
        assert document["Version"] == "2012-10-17"
        self.statements = document["Statement"]
        assert all(one["Effect"] in ("Allow", "Deny") for one in self.statements)

    def judge(self, request: Request) -> list[Grant]:
        """Every grant that allows it; none: AWS refuses. A Deny wins."""
        matching = [(one, _matches(one, request)) for one in self.statements]
        if any(found and one["Effect"] == "Deny" for one, found in matching):
            return []
        return [grant for one, found in matching if one["Effect"] == "Allow" for grant in found]

    def grants(self) -> set[Grant]:
        """All that it could ever allow, as far as it is named."""
        return {
            Grant(one.get("Sid", ""), action, resource)
            for one in self.statements
            for action in _list(one["Action"])
            for resource in _list(one["Resource"])
        }


def _matches(statement: Mapping[str, Any], request: Request) -> list[Grant]:
    if not all(
        _holds(operator, wanted, request.context) for operator, wanted in statement.get("Condition", {}).items()
    ):
        return []
    return [
        Grant(statement.get("Sid", ""), action, resource)
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
        if _like(request.action.lower(), action.lower()) and _like(request.resource, resource)
    ]


def _holds(operator: str, wanted: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Every key must be in the request, and its value fit one of those named: so without IfExists."""
    return all(
        key in context and any(_fits(operator, context[key], one) for one in _list(values))
        for key, values in wanted.items()
    )


def _fits(operator: str, value: str, wanted: str) -> bool:
    match operator:
        case "StringEquals":
            return value == wanted
        case "StringLike" | "ArnLike":
            return _like(value, wanted)
        case "Bool":
            return value.lower() == wanted.lower()
        case "NumericLessThanEquals":
            return float(value) <= float(wanted)
    raise NotImplementedError(operator)


def _like(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _list(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
