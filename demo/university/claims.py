"""What the university says about a person: as a real one with a hosted domain would."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from django.contrib.auth.models import User

from demo.people import DOMAIN

if TYPE_CHECKING:
    from allauth.idp.oidc.models import Client


class Claims(DefaultOIDCAdapter):
    def get_issuer(self) -> str:
        return os.environ["DEMO_UNIVERSITY_ISSUER"]

    def get_user_sub(self, client: "Client", user: User) -> str:
        """Made from the person: the portal would refuse a row number used anew as a recycled address."""
        return user.username

    def get_user_by_sub(self, client: "Client", sub: str) -> User | None:
        return User.objects.filter(username=sub, is_active=True).first()

    def populate_id_token(
        self, id_token: dict[str, Any], client: "Client", scopes: Iterable[str], **kwargs: object
    ) -> None:
        id_token["hd"] = DOMAIN
