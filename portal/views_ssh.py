"""Doors of SSH: a person's own public keys, and the course's switch. The connections are in `instances/tunnel/`."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from courses.access import staff_enrollment_in
from courses.doors import address_of, person, signed_in
from courses.models import Role
from instances import ssh_access
from instances.models import SshKey
from portal.forms_ssh import SshKeyForm
from portal.views_me import account_page


@require_POST
@signed_in
def ssh_key_add(request: HttpRequest) -> HttpResponse:
    user, form = person(request), SshKeyForm(request.POST)
    if form.is_valid():
        try:
            text = form.cleaned_data["public_key"]
            key = ssh_access.add_key(user, text, address=address_of(request), now=timezone.now())
        except ssh_access.KeyRefused as error:
            form.add_error("public_key", str(error))
        else:
            messages.success(request, _("Added: %(key)s") % {"key": key.fingerprint})
            return redirect(reverse("me") + "#ssh")
    return render(request, "me/page.html", account_page(user, form), status=422)


@require_POST
@signed_in
def ssh_key_remove(request: HttpRequest, key_id: int) -> HttpResponse:
    user = person(request)
    key = get_object_or_404(SshKey, pk=key_id, user=user)
    ssh_access.remove_keys(user, [key], address=address_of(request), now=timezone.now())
    messages.success(request, _("Removed. What was open by it ends within seconds."))
    return redirect(reverse("me") + "#ssh")


@require_POST
@signed_in
def machine_ssh(request: HttpRequest, slug: str) -> HttpResponse:
    enrollment = staff_enrollment_in(request.user, slug)
    if enrollment.role != Role.INSTRUCTOR:
        raise Http404
    on = request.POST.get("on") == "1"
    ssh_access.switch(enrollment.course, on, who=person(request), address=address_of(request), now=timezone.now())
    messages.success(request, _("SSH is on.") if on else _("SSH is off; open connections end within seconds."))
    return redirect("machine_policy", slug)
