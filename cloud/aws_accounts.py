"""Into other accounts by sts:AssumeRole: keys that are renewed before they lapse, one door for each account."""

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.credentials import DeferredRefreshableCredentials

from cloud.accounts import LinkedAccount
from cloud.base import AccountBlocked, Refused
from cloud.ec2_errors import our_words

if TYPE_CHECKING:
    from cloud.base import Cloud

_SECONDS = 3600  # botocore asks for new keys a quarter of an hour before
_ASSUMED = re.compile(r"(arn:[\w-]+:)sts::(\d+):assumed-role/([^/]+)/.*")


class AwsAccounts:
    def __init__(
        self,
        session: Any,
        client: Callable[[Any, str], Any],
        make_door: Callable[[LinkedAccount, Any], "Cloud"],
        *,
        name: str,
    ) -> None:
        """`client(session, service)` and `make_door(account, session)` are those of the door that this belongs to.

        `name`: what the log of the other account says about who came.
        """
        self._session = session
        self._client = client
        self._make_door = make_door
        self._name = name
        self._lock = threading.Lock()
        self._known: dict[LinkedAccount, Cloud] = {}
        self._made_sts: Any = None

    @property
    def _sts(self) -> Any:
        """Made when it is first needed: most portals have no linked account."""
        if self._made_sts is None:
            self._made_sts = self._client(self._session, "sts")
        return self._made_sts

    def own_arn(self) -> str:
        with our_words():
            arn: str = self._sts.get_caller_identity()["Arn"]
        found = _ASSUMED.fullmatch(arn)
        return f"{found[1]}iam::{found[2]}:role/{found[3]}" if found else arn

    def enter(self, role_arn: str, external_id: str | None) -> str:
        keys = self._assume(role_arn, external_id)
        inside = boto3.session.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=self._session.region_name
        )
        with our_words():
            return str(self._client(inside, "sts").get_caller_identity()["Account"])

    def door(self, account: LinkedAccount) -> "Cloud":
        with self._lock:
            if account not in self._known:
                self._known[account] = self._make_door(account, self._session_of(account))
            return self._known[account]

    def _session_of(self, account: LinkedAccount) -> Any:
        def fresh() -> dict[str, str]:
            keys = self._assume(account.role_arn, account.external_id)
            return {
                "access_key": keys["AccessKeyId"],
                "secret_key": keys["SecretAccessKey"],
                "token": keys["SessionToken"],
                "expiry_time": keys["Expiration"].isoformat(),
            }

        inner = botocore.session.get_session()
        # EC2's description, which takes a fifth of a second to read, is read once for all accounts.
        inner.register_component("data_loader", self._session._session.get_component("data_loader"))
        inner._credentials = DeferredRefreshableCredentials(fresh, "sts-assume-role")
        return boto3.session.Session(botocore_session=inner, region_name=self._session.region_name)

    def _assume(self, role_arn: str, external_id: str | None) -> Any:
        asked = {"RoleArn": role_arn, "RoleSessionName": self._name, "DurationSeconds": _SECONDS}
        if external_id is not None:
            asked["ExternalId"] = external_id
        try:
            with our_words():
                return self._sts.assume_role(**asked)["Credentials"]
        except Refused as error:
            # About the account, not about one machine: what waits for it goes on waiting.
            raise AccountBlocked(str(error), code=error.code) from error
