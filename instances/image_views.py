"""Doors of the course's images: the staff's list, saving one, trying it out, making it the default, deleting it."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import STAFF_ROLES, Course
from instances import course_images, tasks
from instances.disk_rules import Standing
from instances.dispatch import send_after_commit
from instances.models import CourseImage, Instance, Preset
from instances.refusals import LaunchRefused
from instances.states import State
from spend.services import BudgetRefused


class ImageForm(forms.Form):
    title = forms.CharField(label=gettext_lazy("Name of the image"), max_length=80)
    machine = forms.ModelChoiceField(
        label=gettext_lazy("From this stopped machine of the staff"),
        queryset=Instance.objects.none(),
        empty_label=None,
        help_text=gettext_lazy("Every file on its disk will be on each student's machine: take out what is private."),
    )

    def __init__(self, course: Course, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        field = self.fields["machine"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - for the type
        field.queryset = Instance.objects.filter(course=course, owner__role__in=STAFF_ROLES, state=State.STOPPED)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def images_desk(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    form = ImageForm(course, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        machine, title = form.cleaned_data["machine"], form.cleaned_data["title"]
        try:
            course_images.request_image(machine, title, who=person(request), now=timezone.now())
        except LaunchRefused as error:
            form.add_error("machine", str(error))
        else:
            send_after_commit(tasks.sweep_images)
            messages.success(request, _("The image is being made; that takes some minutes."))
            return redirect("images_desk", slug)
    shown = list(course.images.exclude(standing=Standing.DELETED).select_related("made_by"))
    uses = course_images.uses(shown)
    context = {
        "now": timezone.now(),
        "course": course,
        "form": form,
        "presets": course.presets.filter(enabled=True),
        "images": [(one, uses[one.pk]) for one in shown],
    }
    return render(request, "staff/images.html", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def image_verb(request: HttpRequest, slug: str, image_id: int) -> HttpResponse:
    """`what`: try, default or delete."""
    staff = staff_enrollment_in(request.user, slug)
    image = get_object_or_404(CourseImage, course=staff.course, pk=image_id)
    who, now = person(request), timezone.now()
    try:
        match request.POST.get("what"):
            case "try":
                preset = get_object_or_404(Preset, course=staff.course, slug=request.POST.get("preset", ""))
                machine = course_images.try_out(image, staff, preset, who=who, now=now)
                send_after_commit(tasks.launch, machine.pk)
                return redirect("machine", machine.slug)
            case "default":
                n = course_images.make_default(image, staff.course.presets.filter(enabled=True), who=who, now=now)
                messages.success(request, _("%(n)s presets launch from it from now on.") % {"n": n})
            case "delete":
                course_images.request_delete(image)
                send_after_commit(tasks.sweep_images)
                messages.success(request, _("The image is being deleted. Machines that run from it are not touched."))
    except (LaunchRefused, BudgetRefused) as error:
        messages.error(request, str(error))
    return redirect("images_desk", slug)
