"""One bad id never keeps the others running, whatever the error says; and nobody is asked more than needed."""

import pytest

from cloud.base import AccountBlocked, CloudError, NoCapacity, NotFound, Outcome, Refused, Transient
from cloud.batches import say_to_each


class Machines:
    """Takes a batch all or nothing, like AWS."""

    def __init__(self, bad: dict[str, CloudError]) -> None:
        self.bad = bad
        self.calls: list[list[str]] = []
        self.done: list[str] = []

    def __call__(self, ids: list[str]) -> None:
        self.calls.append(ids)
        for one in ids:
            if one in self.bad:
                raise self.bad[one]
        self.done += ids


def bad_of(outcomes: list[Outcome]) -> dict[str, CloudError]:
    return {outcome.cloud_id: outcome.error for outcome in outcomes if outcome.error}


def ids(count: int) -> list[str]:
    return [f"i-{number:017x}" for number in range(count)]


def test_ids_that_the_error_names_are_dropped_and_the_rest_is_said_once_more() -> None:
    everyone = ids(20)
    error = NotFound(f"The instance IDs '{everyone[3]}, {everyone[7]}' do not exist")
    machines = Machines({everyone[3]: error, everyone[7]: error})
    assert bad_of(say_to_each(everyone, machines)) == {everyone[3]: error, everyone[7]: error}
    assert len(machines.calls) == 2
    assert len(machines.done) == 18


def test_an_error_that_names_nobody_is_found_by_halving() -> None:
    everyone = ids(32)
    error = NoCapacity("We do not have enough.")
    machines = Machines({everyone[9]: error})
    assert bad_of(say_to_each(everyone, machines)) == {everyone[9]: error}
    assert sorted(machines.done) == [one for one in everyone if one != everyone[9]]
    assert len(machines.calls) <= 11  # 1 + 2 per halving; asking one by one would be 33


def test_an_id_that_begins_like_another_is_not_taken_for_it() -> None:
    error = Refused('Invalid id: "i-12345678a"')
    machines = Machines({"i-12345678a": error})
    assert bad_of(say_to_each(["i-12345678", "i-12345678a"], machines)) == {"i-12345678a": error}


@pytest.mark.parametrize("kind", [Transient, AccountBlocked])
def test_what_is_about_no_id_is_not_divided_and_ends_the_asking(kind: type[CloudError]) -> None:
    everyone = ids(6)
    error = kind("slow down")
    machines = Machines({everyone[2]: error})
    outcomes = say_to_each(everyone, machines, size=2)
    assert len(machines.calls) == 2
    assert bad_of(outcomes) == dict.fromkeys(everyone[2:], error)
    assert machines.done == everyone[:2]


def test_a_large_batch_goes_in_pieces_and_an_id_said_twice_is_asked_once() -> None:
    everyone = ids(220)
    machines = Machines({})
    outcomes = say_to_each([*everyone, everyone[0]], machines)
    assert [outcome.cloud_id for outcome in outcomes] == everyone
    assert [len(call) for call in machines.calls] == [100, 100, 20]
