"""What an identity provider must have said before anybody is believed. Pure: no request, no database.

Does not know the roster: whether a believed address may enter is asked in `signin.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

# eduPersonScopedAffiliation: "student@demo.edu"
SCOPED_AFFILIATION = ("urn:oid:1.3.6.1.4.1.5923.1.1.1.9", "eduPersonScopedAffiliation")


class Refusal(StrEnum):
    NOT_A_SIGN_IN = "not a sign-in"  # linking a second account, which nobody may do by themselves
    UNVERIFIED = "address not verified"
    OTHER_SUBJECT = "two different subjects"
    OTHER_ORGANISATION = "other organisation"
    OTHER_DOMAIN = "address of another domain"
    NOT_ON_ROSTER = "not on a roster"
    RECYCLED = "address belongs to an earlier person"
    ADDRESS_TAKEN = "new address belongs to somebody else"
    CLOSED = "account closed"
    UNPROVED = "known from another provider"
    NO_SUBJECT = "no lasting identifier"
    OTHER_AFFILIATION = "other affiliation"


@dataclass(frozen=True, slots=True)
class Policy:
    """For whom one provider may speak. Empty means: no such limit."""

    domains: tuple[str, ...] = ()
    hd: str = ""  # Google's hosted domain
    # SAML alone. Attributes that say who somebody is: one of them must be there.
    uid: tuple[str, ...] = ()
    scope: str = ""  # behind the @ of what the university says about a person
    affiliations: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, values: Mapping[str, object]) -> "Policy":
        return cls(
            tuple(word.lower() for word in _words(values.get("domains"))),
            str(values.get("hd") or ""),
            _words(values.get("uid")),
            str(values.get("scope") or "").lower(),
            tuple(word.lower() for word in _words(values.get("affiliations"))),
        )


@dataclass(frozen=True, slots=True)
class Vouched:
    """The one address that the provider stands for, in lower case; empty when there is none."""

    address: str
    refusal: Refusal | None = None


def vouched(verified: Sequence[str], extra_data: Mapping[str, object], policy: Policy) -> Vouched:
    """Which address to believe. `verified` holds the addresses whose flag was the JSON value true."""
    if not verified:
        return Vouched("", Refusal.UNVERIFIED)
    return Vouched(verified[0], _refusal(verified[0], extra_data, policy))


def _refusal(address: str, extra_data: Mapping[str, object], policy: Policy) -> Refusal | None:
    id_token, userinfo = _claims(extra_data, "id_token"), _claims(extra_data, "userinfo")
    # OpenID Connect Core 5.3.2: a userinfo answer about somebody else must not be used.
    if "sub" in id_token and "sub" in userinfo and str(id_token["sub"]) != str(userinfo["sub"]):
        return Refusal.OTHER_SUBJECT
    # The hd parameter of the request is only a hint to the provider; the claim is what counts.
    if policy.hd and id_token.get("hd") != policy.hd:
        return Refusal.OTHER_ORGANISATION
    if policy.domains and address.rpartition("@")[2] not in policy.domains:
        return Refusal.OTHER_DOMAIN
    return _saml_refusal(extra_data, policy) if policy.uid else None


def _saml_refusal(attributes: Mapping[str, object], policy: Policy) -> Refusal | None:
    subjects = [word for name in policy.uid for word in _words(attributes.get(name))]
    if not subjects:  # the library would take a name that is another one at each sign-in
        return Refusal.NO_SUBJECT
    if not policy.scope:
        return None
    # A university may speak for its own scope alone; the other half of each word is worthless without it.
    if not all(_scope(word) == policy.scope for word in subjects):
        return Refusal.OTHER_ORGANISATION
    said = [word.lower() for name in SCOPED_AFFILIATION for word in _words(attributes.get(name))]
    ours = {word.partition("@")[0] for word in said if _scope(word) == policy.scope}
    if policy.affiliations and not ours.intersection(policy.affiliations):
        return Refusal.OTHER_AFFILIATION
    return None


def _scope(word: str) -> str:
    return word.rpartition("@")[2].lower() if "@" in word else ""


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(str(word) for word in value) if isinstance(value, (list, tuple)) else ()


def _claims(extra_data: Mapping[str, object], part: str) -> Mapping[str, object]:
    found = extra_data.get(part)
    return found if isinstance(found, Mapping) else {}
