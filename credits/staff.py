"""Who may decide about a course's codes."""

from courses.models import STAFF_ROLES, Enrollment, EnrollmentStatus, User


def is_staff_of(course_id: int, who: User) -> bool:
    """TA or instructor of this course, today."""
    return Enrollment.objects.filter(
        course=course_id, user=who, role__in=STAFF_ROLES, status=EnrollmentStatus.ACTIVE
    ).exists()
