"""What a SAML university must have said, as a pure rule: its own scope, who is there at present, a name that lasts."""

import pytest

from courses.claims import Policy, Refusal, vouched
from portal.saml import UIDS, saml_app

SUBJECT, PAIRWISE, EPPN = UIDS
AFFILIATION = "urn:oid:1.3.6.1.4.1.5923.1.1.1.9"
RECORD = {
    "id": "demo",
    "name": "Demo",
    "entity_id": "https://idp",
    "sso_url": "https://idp/sso",
    "x509cert": "x",
    "domains": ["Demo.edu"],
    "scope": "demo.edu",
    "affiliations": ["student", "staff"],
}


def judged(**attributes: list[str]) -> Refusal | None:
    app = saml_app(RECORD, "https://gpu.demo.edu")
    policy = Policy.from_settings(app["settings"]["policy"])  # type: ignore[index]
    said = {SUBJECT: ["ada@demo.edu"], AFFILIATION: ["student@demo.edu"], **attributes}
    return vouched(["ada@demo.edu"], said, policy).refusal


def test_a_student_of_the_university_is_believed() -> None:
    assert judged() is None
    assert judged(**{AFFILIATION: ["alum@demo.edu", "STAFF@demo.edu"]}) is None
    assert judged(**{SUBJECT: [], EPPN: ["ada@demo.edu"]}) is None
    assert judged(**{SUBJECT: [], PAIRWISE: ["x81@demo.edu"]}) is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({SUBJECT: []}, Refusal.NO_SUBJECT),  # a transient name would be another person at each sign-in
        ({SUBJECT: ["ada@elsewhere.edu"]}, Refusal.OTHER_ORGANISATION),
        ({SUBJECT: ["ada"]}, Refusal.OTHER_ORGANISATION),
        ({EPPN: ["ada@elsewhere.edu"]}, Refusal.OTHER_ORGANISATION),  # every one of them must be its own
        ({AFFILIATION: []}, Refusal.OTHER_AFFILIATION),
        ({AFFILIATION: ["alum@demo.edu"]}, Refusal.OTHER_AFFILIATION),
        ({AFFILIATION: ["student@elsewhere.edu"]}, Refusal.OTHER_AFFILIATION),
        ({AFFILIATION: ["student"]}, Refusal.OTHER_AFFILIATION),
    ],
)
def test_others_are_not(attributes: dict[str, list[str]], expected: Refusal) -> None:
    assert judged(**attributes) is expected


def test_the_library_is_told_to_be_strict() -> None:
    made = saml_app(RECORD, "https://gpu.demo.edu")
    assert made["provider_id"] == "https://idp"
    settings = made["settings"]
    assert isinstance(settings, dict)
    assert settings["sp"] == {"entity_id": "https://gpu.demo.edu/accounts/saml/demo/metadata/"}
    assert settings["verified_email"] == ["demo.edu"]
    assert settings["advanced"]["want_assertion_signed"] is True
    assert settings["advanced"]["reject_idp_initiated_sso"] is True
    assert settings["advanced"]["authn_request_signed"] is False
    assert "email_verified" not in settings["attribute_mapping"]  # an attribute may not overrule the domains
    signed = saml_app({**RECORD, "sp_cert": "c", "sp_key": "k"}, "https://gpu.demo.edu")["settings"]
    assert isinstance(signed, dict)
    assert signed["advanced"]["authn_request_signed"] is True
