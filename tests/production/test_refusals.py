"""What production refuses: each demo setting alone, in each process, in one clear line."""

import re

import pytest

from portal.checks import DEMO_CODE_KEY
from tests.production.conftest import HOST, Environment, run

UNSAFE = {
    "E001": {"LAMPLIGHTER_SECRET_KEY": "demo-only-secret-never-use-in-production"},
    "E001 short": {"LAMPLIGHTER_SECRET_KEY": "short"},
    "E002": {"LAMPLIGHTER_CODE_KEYS": DEMO_CODE_KEY},
    "E002 no key": {"LAMPLIGHTER_CODE_KEYS": "not-a-key"},
    "E003": {"LAMPLIGHTER_CODE_HASH_KEY": "demo-only-secret-never-use-in-production"},
    "E004": {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000"},
    "E004 one service": {"AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:5000"},
    "E005": {"LAMPLIGHTER_DEBUG": "1"},
    "E006": {"LAMPLIGHTER_EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend"},
    "E007": {"LAMPLIGHTER_CLOUD": "cloud.fake.FakeCloud"},
    "E008": {"LAMPLIGHTER_PORTAL_URL": f"http://{HOST}"},
    "E009": {"LAMPLIGHTER_ALLOWED_HOSTS": "*"},
    "E009 other host": {"LAMPLIGHTER_ALLOWED_HOSTS": "127.0.0.1"},
    "E010": {"LAMPLIGHTER_NOTEBOOK_SCHEME": "http"},
    "E010 same site": {"LAMPLIGHTER_NOTEBOOK_DOMAIN": "example.edu"},
    "E011": {
        "LAMPLIGHTER_OIDC_PROVIDERS": '[{"id":"u","name":"U","issuer":"http://u.edu","client_id":"c","secret":"s"}]'
    },
    "E012": {"DATABASE_URL": ""},
    "E013": {"LAMPLIGHTER_BROKER_URL": "filesystem://"},
    "E020": {
        "LAMPLIGHTER_OIDC_PROVIDERS": '[{"id":"u","name":"U","issuer":"https://u.edu","client_id":"c","secret":"s",'
        '"domains":["u.edu"]},{"id":"v","name":"V","issuer":"https://v.edu","client_id":"c","secret":"s","domains":["v.edu"]}]'
    },
    "E021": {
        "LAMPLIGHTER_OIDC_PROVIDERS": '[{"id":"u","name":"U","issuer":"https://u.edu","client_id":"c","secret":"s",'
        '"domains":["u.edu"]},{"id":"v","name":"V","issuer":"https://v.edu","client_id":"d","secret":"s"}]'
    },
    "E022": {"LAMPLIGHTER_DEMO": "1"},
}
SERVERS = {
    "web": ("-m", "granian", "--interface", "wsgi", "--port", "21690", "portal.wsgi:application"),
    "gateway": ("-m", "uvicorn", "--port", "21691", "portal.live:application"),
    "worker": ("-m", "celery", "-A", "portal", "worker", "--pool", "solo"),
    "beat": ("-m", "celery", "-A", "portal", "beat", "--pidfile", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNSAFE)
def test_each_unsafe_setting_alone_stops_the_web_server_with_its_line(environment: Environment, name: str) -> None:
    found = run(environment | UNSAFE[name], "-c", "import portal.wsgi")
    assert found.returncode != 0
    lines = [line for line in found.stdout.splitlines() if re.match(r"  portal\.E\d+: ", line)]
    assert [line.split(":")[0].strip() for line in lines] == [f"portal.{name.split()[0]}"]
    assert "Traceback" not in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_each_kind_of_server_refuses_the_demos_key(environment: Environment, server: str) -> None:
    found = run(environment | UNSAFE["E001"], *SERVERS[server])
    assert found.returncode != 0, found.stdout
    assert "portal.E001: LAMPLIGHTER_SECRET_KEY is the demo's" in found.stdout


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LAMPLIGHTER_SWEEP_SECONDS", "soon", "LAMPLIGHTER_SWEEP_SECONDS must be a whole number, not 'soon'"),
        ("LAMPLIGHTER_AWS_SUBNETS", "subnet-1", "LAMPLIGHTER_AWS_SUBNETS must be name=value pairs"),
        ("LAMPLIGHTER_OIDC_PROVIDERS", "{", "LAMPLIGHTER_OIDC_PROVIDERS is not JSON"),
        ("LAMPLIGHTER_OIDC_PROVIDERS", '[{"id": "u"}]', "lacks name, issuer, client_id, secret"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(environment: Environment, name: str, value: str, says: str) -> None:
    found = run(environment | {name: value}, "manage.py", "check")
    assert found.returncode != 0
    assert says in found.stdout


def test_a_complete_production_has_nothing_to_complain_about(environment: Environment) -> None:
    found = run(environment, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert found.returncode == 0, found.stdout


def test_what_is_missing_is_a_warning_that_says_what_will_not_work(environment: Environment) -> None:
    empty = {name: "" for name in environment if name.startswith(("LAMPLIGHTER_AWS", "LAMPLIGHTER_OIDC"))}
    found = run(environment | empty, "manage.py", "check", "--deploy")
    assert found.returncode == 0
    for ident in ("W001", "W002", "W003", "W004"):
        assert f"portal.{ident}" in found.stdout
