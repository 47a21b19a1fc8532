"""Doors of a person's own account: how they sign in, all that is kept about them, the end of every session at once."""

from allauth.socialaccount.models import SocialAccount
from django.contrib import messages
from django.contrib.auth import logout
from django.db import transaction
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses.audit import Kind, note
from courses.doors import address_of, person, signed_in
from courses.models import AuditEntry, User
from courses.second_factor import has_one
from instances import grants, ssh_access
from instances.access import own_homes
from instances.home_rules import Standing
from portal import own_data
from portal.audit_words import words
from portal.forms_ssh import SshKeyForm

LOOKS = 50  # the newest; the file has all


@require_safe
@signed_in
@never_cache
def me(request: HttpRequest) -> HttpResponse:
    user = person(request)
    return render(request, "me/page.html", account_page(user, SshKeyForm()))


def account_page(user: User, form: SshKeyForm) -> dict[str, object]:
    accounts = SocialAccount.objects.filter(user=user).order_by("pk")
    keys, now = list(user.ssh_keys.all()), timezone.now()
    return {
        "accounts": [one.get_provider() for one in accounts],
        "second_factor": has_one(user),
        "keys": keys,
        "homes": [one for one in own_homes(user).order_by("-asked_at") if one.standing(now) is Standing.READY],
        "has_ssh": bool(keys) or form.is_bound or ssh_access.is_on_for(user),
        "form": form,
        "now": now,
    }


@require_safe
@signed_in
@never_cache
def my_data(request: HttpRequest) -> HttpResponse:
    """All that is kept about the one who asks; who of the staff looked at it stands first."""
    mine = own_data.whose(person(request))
    looks = AuditEntry.objects.filter(kind=Kind.LOOK, about__in=mine.lines).select_related("who", "course")
    context = {
        "now": timezone.now(),
        "parts": own_data.parts(mine),
        "looks": [(look, words(look.what)) for look in looks.order_by("-number")[:LOOKS]],
    }
    return render(request, "me/data.html", context)


@require_safe
@signed_in
@never_cache
def my_data_zip(request: HttpRequest) -> FileResponse:
    user, now = person(request), timezone.now()
    note("data_exported", kind=Kind.EXPORT, who=user, address=address_of(request), now=now)
    packed = own_data.write_zip(own_data.whose(user), now)
    return FileResponse(packed, as_attachment=True, filename=f"lamplighter-my-data-{now:%Y-%m-%d}.zip")


@require_POST
@signed_in
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    """Every browser's session, every open notebook and every SSH key of this person ends; machines go on as they are.

    In one transaction: whoever finds themselves signed out must not have keys left that still open their machines.
    """
    user, now = person(request), timezone.now()
    with transaction.atomic():
        # A session is bound to the (unusable) password: a new one ends them all, this one too.
        user.set_unusable_password()
        user.save(update_fields=["password"])
        grants.revoke_for_user(user, now=now)
        note("signed_out_everywhere", kind=Kind.SIGN_IN, who=user, address=address_of(request), now=now)
        ssh_access.remove_keys(user, list(user.ssh_keys.all()), address=address_of(request), now=now)
    logout(request)
    messages.success(request, _("You are signed out everywhere. Open notebooks are closed; your machines go on."))
    return redirect("account_login")
