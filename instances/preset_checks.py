"""Asks AWS whether each preset can be had here, at saving and daily, and keeps what it said for the staff's pages."""

import logging
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudError
from cloud.prices import facts_of
from cloud.quotas import quota_of
from instances.launching import image_of
from instances.models import Preset, PresetCheck
from instances.preset_verdict import Found, TypeFound, Verdict, judge
from instances.pricing import prices_of

logger = logging.getLogger(__name__)
DAILY = timedelta(hours=24)
SOON = timedelta(hours=1)  # what AWS did not answer is asked again so soon


def due(now: datetime) -> QuerySet[Preset]:
    stale = Q(check_result=None) | Q(check_result__checked_at__lte=now - DAILY)
    unanswered = Q(check_result__verdict=Verdict.UNKNOWN, check_result__checked_at__lte=now - SOON)
    return Preset.objects.filter(stale | unanswered, enabled=True)


def check(preset: Preset, *, cloud: Cloud, now: datetime) -> PresetCheck:
    """Asks and keeps the answer. Raises no CloudError: not to be told is an answer, too."""
    types: list[TypeFound] = []
    try:
        image = image_of(preset, cloud)
        has_image = bool(image) and cloud.catalog.image_exists(image)
        types = types_found(preset, cloud, {})
        found = judge(types, preset.ceiling_usd_hour, has_image=has_image)
    except CloudError as error:
        logger.warning("preset %s: AWS did not say: %s", preset.pk, error)
        found = Found(Verdict.UNKNOWN)
    values = {
        "verdict": found.verdict,
        "words": _words(preset, found)[:500],
        "request": request_words(found.lacking)[:1000] if found.lacking else "",
        "facts": [one.as_data() for one in types],
        "checked_at": now,
    }
    return PresetCheck.objects.update_or_create(preset=preset, defaults=values)[0]


def types_found(preset: Preset, cloud: Cloud, allowed: dict[str, int]) -> list[TypeFound]:
    """`allowed`: vCPUs by quota, as far as that account was asked; what is missing is asked, and kept there. Raises
    CloudError."""
    prices = prices_of(preset.instance_types)
    spot = preset.market == Preset.Market.SPOT
    found = []
    for name in preset.instance_types:
        quota, facts = quota_of(name, spot=spot), facts_of(name)
        if quota and quota.code not in allowed:
            allowed[quota.code] = cloud.catalog.quota(quota.code).vcpus
        found.append(
            TypeFound(
                instance_type=name,
                zones=tuple(cloud.zones_offering(name)),
                usd_hour=prices[name],
                vcpus=facts.vcpu if facts else 0,
                quota_code=quota.code if quota else "",
                quota_name=quota.name if quota else "",
                vcpus_allowed=allowed.get(quota.code) if quota else None,
            )
        )
    return found


def _words(preset: Preset, found: Found) -> str:
    if found.verdict is Verdict.NO_QUOTA and found.lacking:
        values = {"n": found.lacking.vcpus_allowed, "need": found.lacking.vcpus, "quota": found.lacking.quota_name}
        return (
            _("Quota %(n)s: ask AWS for at least %(need)s vCPUs of “%(quota)s”. Nothing can be launched now.") % values
        )
    return {
        Verdict.READY: _("Ready: %(types)s") % {"types": ", ".join(found.usable)},
        Verdict.NOT_OFFERED: _("None of its types is offered in our zones. Choose others."),
        Verdict.NO_PRICE: _("None of its types has a known price below the ceiling."),
        Verdict.NO_IMAGE: _("Its image does not exist in this region. Correct it, or nothing can start."),
    }.get(found.verdict, _("AWS did not say. It is asked again within the hour."))


def request_words(lacking: TypeFound, *, machines: int = 1) -> str:
    """Ready to be sent: what is to be asked of AWS."""
    values = {
        "name": lacking.quota_name,
        "code": lacking.quota_code,
        "vcpus": max(1, machines) * lacking.vcpus,
        "machines": max(1, machines),
        "type": lacking.instance_type,
    }
    return (
        _(
            "Service quota increase, Amazon EC2: “%(name)s” (%(code)s) to %(vcpus)s vCPUs, for %(machines)s × %(type)s "
            "at once in a university course."
        )
        % values
    )
