"""How the in-memory cloud breaks on command: planned faults, hooks between calls, and the log of calls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
ANY = "*"


@dataclass(slots=True)
class _Fault:
    op: str
    error: BaseException
    left: int | None  # None: until healed
    when: Callable[..., bool] | None

    def strikes(self, op: str, args: tuple[Any, ...]) -> bool:
        if self.left == 0 or self.op not in (op, ANY):
            return False
        if self.when and not self.when(*args):
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass(slots=True)
class _Hook:
    op: str
    act: Callable[..., object]


@dataclass(slots=True)
class Faults:
    """`error` may be any exception, also one that is no CloudError, so that a test can die between two lines."""

    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    gate: Callable[[], BaseException | None] | None = None  # of a linked account: what keeps us out of it
    _before: list[_Fault] = field(default_factory=list)
    _after: list[_Fault] = field(default_factory=list)
    _hooks_before: list[_Hook] = field(default_factory=list)
    _hooks_after: list[_Hook] = field(default_factory=list)

    def break_before(
        self, op: str, error: BaseException, *, times: int | None = 1, when: Callable[..., bool] | None = None
    ) -> None:
        """The next `times` calls of `op` fail and nothing happens. `when` gets the call's arguments."""
        self._before.append(_Fault(op, error, times, when))

    def break_after(
        self, op: str, error: BaseException, *, times: int | None = 1, when: Callable[..., bool] | None = None
    ) -> None:
        """The effect happens, the answer is lost."""
        self._after.append(_Fault(op, error, times, when))

    def heal(self) -> None:
        """Forget every planned fault."""
        self._before.clear()
        self._after.clear()

    def on_call(self, op: str, act: Callable[..., object], *, after: bool = False) -> None:
        """`act(*arguments)` runs before (or after the effect of) every call of `op`; "*" is every operation.

        It runs outside the cloud's lock: it may wait for another thread, or call the cloud itself.
        """
        (self._hooks_after if after else self._hooks_before).append(_Hook(op, act))

    def count(self, op: str = ANY) -> int:
        return sum(1 for name, _args in self.calls if op in (name, ANY))

    def around(self, op: str, args: tuple[Any, ...], effect: Callable[[], T]) -> T:
        self.calls.append((op, args))
        _run_hooks(self._hooks_before, op, args)
        _strike(self._before, op, args)
        shut = self.gate() if self.gate else None
        if shut:
            raise shut
        answer = effect()
        _run_hooks(self._hooks_after, op, args)
        _strike(self._after, op, args)
        return answer


def _run_hooks(hooks: list[_Hook], op: str, args: tuple[Any, ...]) -> None:
    for hook in list(hooks):
        if hook.op in (op, ANY):
            hook.act(*args)


def _strike(faults: list[_Fault], op: str, args: tuple[Any, ...]) -> None:
    for fault in faults:
        if fault.strikes(op, args):
            raise fault.error
