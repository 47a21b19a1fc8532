"""Who gets which page of codes, where `tests/access` does not say it."""

from django.urls import reverse

from tests.conftest import Cast
from tests.pages.conftest import signed_in
from tests.pages.credits.conftest import Shop


def test_a_list_on_its_way_in_is_its_owners_alone(shop: Shop, cast: Cast) -> None:
    step = reverse("credits_import_map", args=["dl19", shop.draft.pk])
    assert signed_in(cast.ta.user).get(step).status_code == 200
    colleague = signed_in(cast.instructor.user).get(step)
    assert colleague.status_code == 302
    assert colleague["Location"] == reverse("credits_import", args=["dl19"])
    assert signed_in(cast.student.user).get(step).status_code == 404
