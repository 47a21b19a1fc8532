"""A production environment as an operator would write it: real secrets, PostgreSQL, Redis, DEBUG off, no demo."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = "gpu.example.edu"
Environment = dict[str, str]


def production(var: Path) -> Environment:
    """Safe and complete; what a test needs beyond it (database, queue) it adds."""
    own = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PGHOST", "PGUSER", "PGPASSWORD")
    return {name: os.environ[name] for name in own if name in os.environ} | {
        "PYTHONUNBUFFERED": "1",
        "LAMPLIGHTER_VAR": str(var),
        "LAMPLIGHTER_SECRET_KEY": secrets.token_urlsafe(60),
        "LAMPLIGHTER_CODE_KEYS": Fernet.generate_key().decode(),
        "LAMPLIGHTER_CODE_HASH_KEY": secrets.token_urlsafe(40),
        "LAMPLIGHTER_PORTAL_URL": f"https://{HOST}",
        "LAMPLIGHTER_ALLOWED_HOSTS": HOST,
        "LAMPLIGHTER_NOTEBOOK_DOMAIN": "nb.example.edu",
        "LAMPLIGHTER_NOTEBOOK_SCHEME": "https",
        "LAMPLIGHTER_BEHIND_TLS": "1",
        "LAMPLIGHTER_EMAIL_HOST": "127.0.0.1",
        "LAMPLIGHTER_BROKER_URL": "redis://127.0.0.1:6379/15",
        "LAMPLIGHTER_AWS_SUBNETS": "us-east-1a=subnet-1",
        "LAMPLIGHTER_AWS_SECURITY_GROUP": "sg-1",
        "LAMPLIGHTER_AWS_SCHEDULER_ROLE_ARN": "arn:aws:iam::111122223333:role/lamplighter-scheduler",
        "LAMPLIGHTER_OIDC_PROVIDERS": (
            '[{"id": "uni", "name": "The University", "issuer": "https://sso.example.edu",'
            ' "client_id": "portal", "secret": "s", "domains": ["example.edu"]}]'
        ),
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def run(environment: Environment, *command: str, seconds: float = 180) -> "subprocess.CompletedProcess[str]":
    """A Python command of ours with its output in one text."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return production(tmp_path)


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A database of this test run's own, on the server that DATABASE_URL names."""
    found = settings.DATABASES["default"]
    server = {
        "host": found["HOST"],
        "port": found["PORT"] or 5432,
        "user": found["USER"],
        "password": found["PASSWORD"],
    }
    name = f"lamplighter_production_{os.getpid()}"
    with psycopg.connect(dbname="postgres", autocommit=True, **server) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        login = f"{found['USER']}:{found['PASSWORD']}" if found["PASSWORD"] else found["USER"]
        yield f"postgres://{login}@{found['HOST']}:{found['PORT'] or 5432}/{name}"
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
