"""Who may see what: the only place that turns a person into rows. A stranger gets 404."""

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone

from courses import second_factor
from courses.entry import Standing, may_enter, standing
from courses.models import STAFF_ROLES, Course, Enrollment, EnrollmentStatus, Role, User


def enrollments_of(user: User | AnonymousUser) -> QuerySet[Enrollment]:
    """The roster lines that the person may enter by (`entry.may_enter`), newest course first."""
    if not user.is_authenticated:
        return Enrollment.objects.none()
    return (
        Enrollment.objects.filter(may_enter(timezone.now()), user=user)
        .select_related("course", "team", "user")
        .order_by("-course__starts_on", "course__slug")
    )


def enrollment_in(user: User | AnonymousUser, slug: str) -> Enrollment:
    """The person's roster line in this course. Raises Http404, for sponsors too: they see totals alone."""
    found = enrollments_of(user).filter(course__slug=slug).exclude(role=Role.SPONSOR).first()
    if found is None:
        raise Http404
    return found


def staff_enrollment_in(user: User | AnonymousUser, slug: str) -> Enrollment:
    """As `enrollment_in`, for TAs and instructors only. Raises Http404."""
    found = enrollments_of(user).filter(course__slug=slug, role__in=STAFF_ROLES).first()
    if found is None:
        raise Http404
    second_factor.require(found.user)
    return found


def sponsored_courses_of(user: User | AnonymousUser) -> list[Course]:
    """The courses that the person is a sponsor of, the newest first. Raises Http404 when there is none."""
    found = [line.course for line in enrollments_of(user).filter(role=Role.SPONSOR)]
    if not found:
        raise Http404
    return found


def staff_courses_of(user: User | AnonymousUser) -> QuerySet[Course]:
    if not user.is_authenticated:
        return Course.objects.none()
    lines = Enrollment.objects.filter(user=user, status=EnrollmentStatus.ACTIVE, role__in=STAFF_ROLES)
    return Course.objects.filter(pk__in=lines.values("course"))


def instructor_enrollment_in(user: User | AnonymousUser, slug: str) -> Enrollment:
    """As `enrollment_in`, for instructors only. Raises Http404."""
    found = staff_enrollment_in(user, slug)
    if found.role != Role.INSTRUCTOR:
        raise Http404
    return found


def instructed_courses_of(user: User | AnonymousUser) -> list[Course]:
    """The courses that the person is an instructor of; none for others."""
    found = list(enrollments_of(user).filter(role=Role.INSTRUCTOR))
    for line in found[:1]:
        second_factor.require(line.user)
    return [line.course for line in found]


def operator(user: User | AnonymousUser) -> User:
    """The person, who runs this installation. Raises Http404."""
    if not isinstance(user, User) or not user.is_operator or not user.is_active:
        raise Http404
    second_factor.require(user)
    return user


def student_enrollment_in(user: User | AnonymousUser, slug: str) -> Enrollment:
    """As `enrollment_in`, for active students of a course that is not over. Raises Http404."""
    found = enrollments_of(user).filter(course__slug=slug, role=Role.STUDENT).first()
    if found is None or standing(found, timezone.now()) is not Standing.MEMBER:
        raise Http404
    return found


def course_to_set_up(user: User | AnonymousUser, slug: str) -> Course:
    """For its instructors and for operators, who see the course's rules and none of its people. Raises Http404."""
    if isinstance(user, User) and user.is_operator and user.is_active:
        found = Course.objects.filter(slug=slug).first()
        if found is None:
            raise Http404
        return found
    return instructor_enrollment_in(user, slug).course
