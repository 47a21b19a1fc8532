"""All settings of the product. Every one is read from the environment and described in docs/settings.md.

One file serves laptop, CI and production: what differs is the environment, never the code.
"""

from importlib.util import find_spec
from pathlib import Path

import dj_database_url

from portal import env
from portal.saml import saml_app

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.text("LAMPLIGHTER_VAR", str(BASE_DIR / "var")))

# ------------------------------------------------------------------ mode and secrets
# DEMO relaxes exactly three things: demo secrets, an AWS endpoint override, the mailbox page.
DEMO = env.flag("LAMPLIGHTER_DEMO")
DEBUG = env.flag("LAMPLIGHTER_DEBUG")
DEMO_SECRET = "demo-only-secret-never-use-in-production"  # noqa: S105
SECRET_KEY = env.text("LAMPLIGHTER_SECRET_KEY", DEMO_SECRET)
# Fernet keys for AWS codes and machine tokens, newest first.
CODE_KEYS = env.words("LAMPLIGHTER_CODE_KEYS", "ZGVtby1vbmx5LWtleS1uZXZlci11c2UtaW4tcHJvZCE=")
CODE_HASH_KEY = env.text("LAMPLIGHTER_CODE_HASH_KEY", DEMO_SECRET)

# ------------------------------------------------------------------ where we are served
PORTAL_URL = env.text("LAMPLIGHTER_PORTAL_URL", "http://127.0.0.1:8000").rstrip("/")
# Every machine's notebook has its own host name below this one; {port} is part of the text.
NOTEBOOK_DOMAIN = env.text("LAMPLIGHTER_NOTEBOOK_DOMAIN", "nb.localhost:8001")
NOTEBOOK_SCHEME = env.text("LAMPLIGHTER_NOTEBOOK_SCHEME", "http")
# What a machine calls to report; defaults to the portal's own address.
REPORT_URL = env.text("LAMPLIGHTER_REPORT_URL", PORTAL_URL).rstrip("/")
ALLOWED_HOSTS = env.words("LAMPLIGHTER_ALLOWED_HOSTS", "127.0.0.1,localhost")
CSRF_TRUSTED_ORIGINS = [PORTAL_URL]
BEHIND_TLS = env.flag("LAMPLIGHTER_BEHIND_TLS")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if BEHIND_TLS else 0
_HTTPS = PORTAL_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_NAME = "lamplighter_session"
CSRF_COOKIE_NAME = "lamplighter_csrf"
SESSION_COOKIE_AGE = env.number("LAMPLIGHTER_SESSION_SECONDS", 14 * 24 * 3600)
SECURE_HSTS_SECONDS = 31536000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _HTTPS
SECURE_SSL_REDIRECT = False  # TLS ends in front of us; see docs/operations.md
# W008: the same reason. W021: preloading a domain into browsers is for its owner to decide, not for one course's desk.
SILENCED_SYSTEM_CHECKS = ["security.W008", "security.W021"]
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# ------------------------------------------------------------------ application
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "django_htmx",
    "courses",
    "credits",
    "spend",
    "instances",
    "portal",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.middleware.PlainText",
    "portal.middleware.ViewerTimezone",
    "portal.middleware.SecondFactor",
    "portal.middleware.ContentSecurityPolicy",
]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.everywhere",
            ]
        },
    }
]
AUTH_USER_MODEL = "courses.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ------------------------------------------------------------------ database
_SQLITE = f"sqlite:///{VAR_DIR / 'lamplighter.sqlite3'}"
DATABASES = {"default": dj_database_url.parse(env.text("DATABASE_URL") or _SQLITE)}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    # IMMEDIATE: a deferred transaction that later writes answers "database is locked" under load.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
elif DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # Compiling a query of 3 ms took 1.5 s of a sweep, when PostgreSQL's statistics were stale and it guessed high.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("options", "-c jit=off")
DATABASES["default"]["CONN_MAX_AGE"] = env.number("LAMPLIGHTER_DB_CONN_MAX_AGE", 60)

# ------------------------------------------------------------------ sign-in (policy: courses/signin.py)
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*"]
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if _HTTPS else "http"  # of the callback's address
ACCOUNT_EMAIL_VERIFICATION = "none"  # the provider vouches, or nobody enters
ACCOUNT_ADAPTER = "courses.signin.AccountAdapter"
# Staff and who runs the installation need a second factor; everybody may have one.
STAFF_SECOND_FACTOR = env.flag("LAMPLIGHTER_STAFF_SECOND_FACTOR")
MFA_ADAPTER = "courses.second_factor.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Lamplighter"
MFA_TOTP_TOLERANCE = 1  # a phone's clock may be half a minute off
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_FORMS = {"request_login_code": "courses.sign_in_codes.CodeForm"}
# The door of last resort: a code by mail, for addresses on a roster.
ACCOUNT_LOGIN_BY_CODE_ENABLED = env.flag("LAMPLIGHTER_EMAIL_CODES")
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 15 * 60  # university mail is slow
ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS = 5
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # nobody is mailed because a stranger typed their address
SOCIALACCOUNT_ADAPTER = "courses.signin.SocialAccountAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # switched on per provider, below
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = False  # courses/signin.py links, under a lock
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_LOGIN_ON_GET = False
# A JSON list of {"id", "name", "issuer", "client_id", "secret", "domains": [..], "hd": ".."}
OIDC_PROVIDERS = env.records("LAMPLIGHTER_OIDC_PROVIDERS", required=("id", "name", "issuer", "client_id", "secret"))
# A JSON list of {"id", "name", "entity_id", "sso_url", "x509cert", "domains": [..]} and more
SAML_PROVIDERS = env.records(
    "LAMPLIGHTER_SAML_PROVIDERS", required=("id", "name", "entity_id", "sso_url", "x509cert", "domains")
)
# Its packages are in requirements-saml.txt: without a SAML university nobody needs them.
SAML_INSTALLED = find_spec("onelogin") is not None
if SAML_INSTALLED:
    INSTALLED_APPS.append("allauth.socialaccount.providers.saml")
SOCIALACCOUNT_PROVIDERS = {
    "saml": {"APPS": [saml_app(provider, PORTAL_URL) for provider in SAML_PROVIDERS]},
    "openid_connect": {
        "APPS": [
            {
                "provider_id": provider["id"],
                "name": provider["name"],
                "client_id": provider["client_id"],
                "secret": provider["secret"],
                "settings": {
                    "server_url": provider["issuer"],
                    "uid_field": "sub",
                    "oauth_pkce_enabled": True,
                    "email_authentication": True,
                    "policy": {"domains": provider.get("domains", []), "hd": provider.get("hd", "")},
                },
            }
            for provider in OIDC_PROVIDERS
        ]
    },
}

SIGN_IN_DOORS = [*OIDC_PROVIDERS, *SAML_PROVIDERS, *(["mail"] if ACCOUNT_LOGIN_BY_CODE_ENABLED else [])]

# Where attempts are counted (rate limits): one count for all workers where there is Redis, else one for each process.
_BROKER = env.text("LAMPLIGHTER_BROKER_URL", "files://")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": _BROKER, "KEY_PREFIX": "lamp"}
    if _BROKER.startswith(("redis://", "rediss://"))
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# ------------------------------------------------------------------ queue: it only makes things faster
# No broker to install: messages as files. Production: redis:// or amqp://.
BROKER_DIR = VAR_DIR / "queue"
CELERY_BROKER_URL = _BROKER
if CELERY_BROKER_URL.startswith("files"):
    BROKER_DIR.mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER_DIR),
        "data_folder_out": str(BROKER_DIR),
        "control_folder": str(BROKER_DIR),
        "polling_interval": 0.05,  # the default starves: 24 s per task
    }
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 600
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # what one process has taken, no idle one can do
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A click must not wait for a dead broker: the repair sweep picks the row up within a minute.
CELERY_TASK_PUBLISH_RETRY = False
# Sweeps look at levels: beat needs no memory, and a file of it cut short by a crash would keep it from starting.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
SWEEP_SECONDS = env.number("LAMPLIGHTER_SWEEP_SECONDS", 60)
# What machines were used for (the evidence behind stops, "what if?") is forgotten so long after their runs.
TRACE_DAYS = env.number("LAMPLIGHTER_TRACE_DAYS", 180)
# A course's closing is announced at least so long before its last day is over.
CLOSING_NOTICE_DAYS = env.number("LAMPLIGHTER_CLOSING_NOTICE_DAYS", 14)
# Somewhere outside that misses us when we are silent.
HEARTBEAT_URL = env.text("LAMPLIGHTER_HEARTBEAT_URL")

# ------------------------------------------------------------------ AWS
CLOUDWATCH = env.flag("LAMPLIGHTER_CLOUDWATCH")
CLOUD_BACKEND = env.text("LAMPLIGHTER_CLOUD", "cloud.ec2.Ec2Cloud")
AWS_REGION = env.text("AWS_REGION", "us-east-1")
AWS_ENDPOINT_URL = env.text("AWS_ENDPOINT_URL")  # refused outside the demo
# zone=subnet pairs; the machine's private address must be reachable from the gateway.
AWS_SUBNETS = env.pairs("LAMPLIGHTER_AWS_SUBNETS")
AWS_SECURITY_GROUP = env.text("LAMPLIGHTER_AWS_SECURITY_GROUP")
# The role that EventBridge Scheduler takes to stop a machine at lease end.
AWS_SCHEDULER_ROLE_ARN = env.text("LAMPLIGHTER_AWS_SCHEDULER_ROLE_ARN")
# Students' files wait here for their download; empty: no download is offered.
ARCHIVE_BUCKET = env.text("LAMPLIGHTER_ARCHIVE_BUCKET")
# Marks what is ours among the account's machines; two portals in one account need two names.
INSTALLATION = env.text("LAMPLIGHTER_INSTALLATION", "lamplighter")

# ------------------------------------------------------------------ machines of another account or network
DIAL_OUT = env.words("LAMPLIGHTER_DIAL_OUT")  # slugs of the courses whose machines dial out; "*": of all
TUNNEL_ADDRESS = env.text("LAMPLIGHTER_TUNNEL_ADDRESS")  # host:port that they dial
TUNNEL_LISTEN = env.text("LAMPLIGHTER_TUNNEL_LISTEN", "127.0.0.1:2222")
SSH_ADDRESS = env.text("LAMPLIGHTER_SSH_ADDRESS")  # the same endpoint, as students reach it
TUNNEL_INSIDE = env.text("LAMPLIGHTER_TUNNEL_INSIDE", "127.0.0.1")  # where gateways and workers reach their notebooks

# ------------------------------------------------------------------ money
SNAPSHOT_USD_GB_MONTH = env.text("LAMPLIGHTER_SNAPSHOT_USD_GB_MONTH", "0.05")
DISK_USD_GB_MONTH = env.text("LAMPLIGHTER_DISK_USD_GB_MONTH", "0.08")
ADDRESS_USD_HOUR = env.text("LAMPLIGHTER_ADDRESS_USD_HOUR", "0.005")
EGRESS_USD_GB = env.text("LAMPLIGHTER_EGRESS_USD_GB", "0.09")  # for an estimate alone
# Held on top of every lease: what a stop may take, from "lease over" to "AWS stops billing".
STOP_MARGIN_SECONDS = env.number("LAMPLIGHTER_STOP_MARGIN_SECONDS", 300)

# The daily true-up: ask Cost Explorer (two cents a day); a data export in S3: s3://bucket/prefix/export-name.
COST_EXPLORER = env.flag("LAMPLIGHTER_COST_EXPLORER", True)
COST_EXPORT = env.text("LAMPLIGHTER_COST_EXPORT")

# ------------------------------------------------------------------ mail
EMAIL_BACKEND = env.text("LAMPLIGHTER_EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
EMAIL_FILE_PATH = VAR_DIR / "mail"
EMAIL_HOST = env.text("LAMPLIGHTER_EMAIL_HOST", "localhost")
EMAIL_PORT = env.number("LAMPLIGHTER_EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("LAMPLIGHTER_EMAIL_USER")
EMAIL_HOST_PASSWORD = env.text("LAMPLIGHTER_EMAIL_PASSWORD")
EMAIL_USE_TLS = env.flag("LAMPLIGHTER_EMAIL_TLS")
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.text("LAMPLIGHTER_MAIL_FROM", "Lamplighter <lamplighter@localhost>")

# ------------------------------------------------------------------ words, times, files
FILE_UPLOAD_HANDLERS = ["credits.uploads.InMemoryOnly"]  # a list of codes is never written to a temporary file
# One for everybody: reasons are kept as they were written, and students and staff read the same.
LANGUAGE_CODE = env.choice("LAMPLIGHTER_LANGUAGE", "en", ("en", "zh-hans"))
LANGUAGES = [(LANGUAGE_CODE, LANGUAGE_CODE)]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["portal.formats"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LAMPLIGHTER_LOG_LEVEL", "INFO")},
    # At DEBUG these write down whole requests, answers and template contexts: AWS codes, machines' secrets.
    "loggers": {
        name: {"level": "INFO"} for name in ("botocore.endpoint", "botocore.parsers", "django.template", "apprise")
    },
}
