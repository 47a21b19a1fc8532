"""Which machines DescribeInstances tells, and on which page: pages are counted in machines, as AWS counts them."""

import base64
import re
from typing import Any

from moto.ec2.utils import filter_dict_attribute_mapping, passes_filter_dict

from cloud.sim.errors import Ec2Error
from cloud.sim.machine import Machine

_SMALLEST, _LARGEST = 5, 1000


def passes(machine: Machine, instance: Any, filters: dict[str, list[str]]) -> bool:
    return all(_passes_one(machine, instance, name, values) for name, values in filters.items())


def _passes_one(machine: Machine, instance: Any, name: str, values: list[str]) -> bool:
    if name == "client-token":
        return _any_like(machine.token, values)
    if name == "instance-type":
        return _any_like(machine.instance_type, values)
    if name == "instance-state-name":
        return machine.state in values
    if name.startswith("tag:"):
        value = tags_of(machine, instance).get(name.removeprefix("tag:"))
        return value is not None and _any_like(value, values)
    if name == "tag-key":
        return any(_any_like(key, values) for key in tags_of(machine, instance))
    if name not in filter_dict_attribute_mapping:
        raise Ec2Error("InvalidParameterValue", f"The filter '{name}' is invalid")
    return bool(passes_filter_dict(instance, {name: values}))


def tags_of(machine: Machine, instance: Any) -> dict[str, str]:
    """Straight from the base server's table: asking each object for its tags looks through all of them."""
    tags: dict[str, str] = instance.ec2_backend.tags[machine.cloud_id]
    return tags


def _any_like(value: str, patterns: list[str]) -> bool:
    """AWS's wildcards: `*` for any text, `?` for one character."""
    return any(re.fullmatch(re.escape(one).replace(r"\*", ".*").replace(r"\?", "."), value) for one in patterns)


def one_page(machines: list[Machine], size: int | None, token: str | None) -> tuple[list[Machine], str | None]:
    """The page after `token`, and the token of the next one. Stays right when machines come or go in between."""
    if size is not None and not _SMALLEST <= int(size) <= _LARGEST:
        text = f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
        raise Ec2Error("InvalidParameterValue", text)
    ordered = sorted(machines, key=lambda one: (one.created_at, one.cloud_id))
    if token:
        after = _read(token)
        ordered = [one for one in ordered if (one.created_at, one.cloud_id) > after]
    limit = int(size) if size is not None else _LARGEST
    page = ordered[:limit]
    return page, _write(page[-1]) if len(ordered) > limit else None


def _write(last: Machine) -> str:
    return base64.urlsafe_b64encode(f"{last.created_at!r} {last.cloud_id}".encode()).decode()


def _read(token: str) -> tuple[float, str]:
    try:
        created_at, cloud_id = base64.urlsafe_b64decode(token.encode()).decode().split(" ")
        return float(created_at), cloud_id
    except ValueError:
        raise Ec2Error("InvalidParameterValue", "Unable to parse pagination token") from None
