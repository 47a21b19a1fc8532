"""The product's own settings, with one address more: the floor that the claim is measured against."""

from portal.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.floor"
