"""One SAML university, from our own setting's words to the library's. Pure: imported by the settings."""

from collections.abc import Mapping

MAIL = "urn:oid:0.9.2342.19200300.100.1.3"
# Which attribute says who somebody is, best first. The last one may be given to another person one day.
UIDS = (
    "urn:oasis:names:tc:SAML:attribute:subject-id",
    "urn:oasis:names:tc:SAML:attribute:pairwise-id",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.6",  # eduPersonPrincipalName
)
# The library's own is two days, after which a university's server would refuse us until it reads us again.
_METADATA_UNTIL = "2099-01-01T00:00:00Z"


def saml_app(provider: Mapping[str, object], portal_url: str) -> dict[str, object]:
    """The certificate and the address are pinned: metadata fetched at sign-in would be believed unsigned."""
    key = {"x509cert": provider.get("sp_cert"), "private_key": provider.get("sp_key")} if provider.get("sp_key") else {}
    return {
        "provider_id": provider["entity_id"],  # else all universities would share one name space of persons
        "name": provider["name"],
        "client_id": provider["id"],
        "settings": {
            "idp": {
                "entity_id": provider["entity_id"],
                "sso_url": provider["sso_url"],
                "slo_url": provider.get("slo_url", ""),
                "x509cert": provider["x509cert"],
            },
            # Explicit: the library's own follows the Host header.
            "sp": {
                "entity_id": provider.get("sp_entity_id") or f"{portal_url}/accounts/saml/{provider['id']}/metadata/"
            },
            "attribute_mapping": {
                "uid": _words(provider.get("uid")) or list(UIDS),
                "email": _words(provider.get("mail")) or [MAIL, "mail"],
                "first_name": ["urn:oid:2.5.4.42", "givenName"],
                "last_name": ["urn:oid:2.5.4.4", "sn"],
            },
            # Only these addresses count as verified, whatever the university says about others.
            "verified_email": [str(domain).lower() for domain in _words(provider["domains"])],
            "email_authentication": True,
            "advanced": {
                "strict": True,
                "want_assertion_signed": True,
                "authn_request_signed": bool(key),
                "reject_idp_initiated_sso": True,
                "metadata_valid_until": _METADATA_UNTIL,
                **key,
            },
            "policy": {
                "domains": _words(provider["domains"]),
                "saml": True,
                "uid": _words(provider.get("uid")) or list(UIDS),
                "scope": provider.get("scope", ""),
                "affiliations": _words(provider.get("affiliations")),
            },
        },
    }


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(word) for word in value] if isinstance(value, (list, tuple)) else []
