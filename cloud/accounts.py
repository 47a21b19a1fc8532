"""Accounts that are not the course's own: what the door must know to work in one, and how it gets in. No boto3 here."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cloud.base import Cloud


@dataclass(frozen=True, slots=True)
class LinkedAccount:
    """An account in which a role trusts the portal. The external id is what nobody else can make the portal say."""

    account_id: str
    role_arn: str
    external_id: str = field(repr=False)
    scheduler_role_arn: str  # in that account: AWS's own timed stops work there
    subnets: tuple[tuple[str, str], ...]  # (zone, subnet id)
    security_group: str


class Accounts(Protocol):
    def own_arn(self) -> str:
        """Who the portal is at AWS: whom a role must trust."""
        ...

    def enter(self, role_arn: str, external_id: str | None) -> str:
        """The id of the account that one is in afterwards. Raises AccountBlocked when AWS lets nobody in that way,
        Transient when it did not say."""
        ...

    def door(self, account: LinkedAccount) -> "Cloud":
        """The door to its machines: the same one each time. Asks nothing; whoever cannot enter hears it when asking."""
        ...
