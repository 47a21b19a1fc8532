"""What every page needs. Kept to no more than one query, and to none where no template asks."""

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from courses.access import enrollments_of
from instances import closing
from instances.halted import told_on_pages, with_halt
from instances.homes import offered


def everywhere(request: HttpRequest) -> dict[str, object]:
    user = getattr(request, "user", None)
    lines = SimpleLazyObject(lambda: list(closing.with_closing(with_halt(enrollments_of(user)))) if user else [])
    return {
        "demo": settings.DEMO,
        "now": timezone.now(),
        "sign_in_codes": settings.ACCOUNT_LOGIN_BY_CODE_ENABLED,
        # Lazy: live fragments have no masthead and must not pay for one.
        "my_enrollments": lines,
        "my_halts": SimpleLazyObject(lambda: told_on_pages(lines)),
        "downloads_offered": offered(),
        "my_closings": SimpleLazyObject(lambda: closing.told_on_pages(lines)),
    }
