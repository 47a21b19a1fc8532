"""A SAML identity provider that is not ours: SimpleSAMLphp, from the distribution, under PHP's own server."""

import os
import shutil
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.demo.running import free_base_port

CODE = Path("/usr/share/simplesamlphp")
HOST = "127.0.0.9"  # another site than the portal's, as a university is
OID = "urn:oid:1.3.6.1.4.1.5923.1.1.1"
SUBJECT = "urn:oasis:names:tc:SAML:attribute:subject-id"


def is_here() -> bool:
    return CODE.is_dir() and shutil.which("php") is not None


@dataclass
class Person:
    name: str
    mail: str
    subject: str
    affiliation: str = "student@demo.edu"

    def php(self) -> str:
        said = {
            "urn:oid:0.9.2342.19200300.100.1.3": self.mail,
            "urn:oid:2.5.4.42": self.name.split()[0],
            "urn:oid:2.5.4.4": self.name.split()[-1],
            f"{OID}.9": self.affiliation,
            SUBJECT: self.subject,
        }
        return (
            f"'{self.name.split()[0].lower()}:demo' => [" + ",".join(f"'{k}' => ['{v}']" for k, v in said.items()) + "]"
        )


def certificate(folder: Path, name: str) -> str:
    """Writes `name`.key and `name`.crt; returns the certificate as one line, as settings have it."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / f"{name}.key").write_bytes(private)
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    (folder / f"{name}.crt").write_text(pem)
    return "".join(line for line in pem.splitlines() if "-----" not in line)


class University:
    """Runs until `stop`. `portal` is where its answers go."""

    def __init__(self, folder: Path, people: list[Person], *, acs: str, sp: str) -> None:
        self.port = free_base_port(HOST)
        self.url = f"http://{HOST}:{self.port}"
        self.entity_id = f"{self.url}/idp"
        self.sso_url = f"{self.url}/saml2/idp/SSOService.php"
        self.x509cert = certificate(folder, "idp")
        self._write(folder, people, acs, sp)
        self.child = subprocess.Popen(
            ["php", "-S", f"{HOST}:{self.port}", "-t", str(CODE / "www")],
            env={"SIMPLESAMLPHP_CONFIG_DIR": str(folder), "PATH": "/usr/bin:/bin", "PHP_CLI_SERVER_WORKERS": "2"},
            stdout=subprocess.DEVNULL,
            stderr=(folder / "php.log").open("w"),
            start_new_session=True,
        )
        self._wait()

    def stop(self) -> None:
        os.killpg(self.child.pid, signal.SIGTERM)
        self.child.wait(10)

    def _wait(self) -> None:
        """Until it answers, and it is ours: another run on this machine may have taken the port meanwhile."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/saml2/idp/metadata.php", timeout=5) as answer:
                    if self.x509cert in "".join(answer.read().decode().split()):
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise TimeoutError("SimpleSAMLphp does not answer, or another one does")

    def _write(self, folder: Path, people: list[Person], acs: str, sp: str) -> None:
        (folder / "metadata").mkdir()
        (folder / "log").mkdir()
        (folder / "tmp").mkdir()
        (folder / "config.php").write_text(
            f"""<?php
$config = [
  'baseurlpath' => '{self.url}/', 'certdir' => '{folder}/', 'loggingdir' => '{folder}/log/', 'datadir' => '{folder}/',
  'tempdir' => '{folder}/tmp', 'metadatadir' => '{folder}/metadata/', 'secretsalt' => 'only for this test, no secret',
  'auth.adminpassword' => 'only for this test', 'timezone' => 'UTC', 'logging.handler' => 'file',
  'enable.saml20-idp' => true, 'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
  'session.cookie.secure' => false, 'session.cookie.samesite' => null, 'store.type' => 'phpsession',
  'session.phpsession.savepath' => '{folder}/tmp', 'language.default' => 'en',
  'metadata.sources' => [['type' => 'flatfile']], 'trusted.url.domains' => null, 'showerrors' => true,
];
"""
        )
        (folder / "authsources.php").write_text(
            "<?php\n$config = ['people' => ['exampleauth:UserPass', " + ", ".join(p.php() for p in people) + "]];\n"
        )
        (folder / "metadata" / "saml20-idp-hosted.php").write_text(
            f"""<?php
$metadata['{self.entity_id}'] = [
  'host' => '__DEFAULT__', 'privatekey' => 'idp.key', 'certificate' => 'idp.crt', 'auth' => 'people',
  'saml20.sign.response' => true, 'saml20.sign.assertion' => true,
  'attributes.NameFormat' => 'urn:oasis:names:tc:SAML:2.0:attrname-format:uri',
];
"""
        )
        (folder / "metadata" / "saml20-sp-remote.php").write_text(
            f"<?php\n$metadata['{sp}'] = ['AssertionConsumerService' => '{acs}'];\n"
        )
