"""The staff's sections on top of each of their pages. Nothing for anybody else, and nothing elsewhere."""

from typing import Any

from django import template

from courses.models import Enrollment
from portal.sections import map_for

register = template.Library()


@register.inclusion_tag("parts/sections.html", takes_context=True)
def sections(context: template.RequestContext) -> dict[str, Any]:
    match = getattr(context.get("request"), "resolver_match", None)
    if match is None or not match.route.startswith("c/<slug:slug>/staff/"):
        return {}
    line = _own_line(context, match.kwargs["slug"])
    return {"map": map_for(line, context["request"].path), "course": line.course} if line else {}


def _own_line(context: template.RequestContext, slug: str) -> Enrollment | None:
    lines = context.get("my_enrollments") or ()
    return next((line for line in lines if line.course.slug == slug and line.is_staff_role), None)
