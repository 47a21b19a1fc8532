"""What staff say about a contest: its name and pool, its ranking, and who is behind each name."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count, Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from courses import tables
from courses.doors import number_in
from courses.models import Course
from courses.table_words import unreadable_words
from courses.tables import NotATable
from credits import contests
from credits.models import CodeBatch, Contest, CreditCode
from credits.ranking import Guess, Known, NotARanking, Ranked, read_ranking

MOST_PLACES = 100


class ContestForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    places = forms.IntegerField(label=gettext_lazy("Places that win"), min_value=1, max_value=MOST_PLACES, initial=3)
    pool = forms.ChoiceField(
        label=gettext_lazy("Prizes come from"),
        error_messages={"required": gettext_lazy("Add a batch for prizes first, under “Add codes”.")},
    )

    def __init__(self, course: Course, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.course = course
        free = Count("codes", filter=Q(codes__status=CreditCode.Status.AVAILABLE))
        pools = CodeBatch.objects.filter(course=course, purpose__in=contests.POOLS).annotate(free=free)
        self.pools = {str(one.pk): one for one in sorted(pools.order_by("purpose", "-created_at"), key=_is_empty)}
        pool = self.fields["pool"]
        assert isinstance(pool, forms.ChoiceField)  # noqa: S101 - for the type
        pool.choices = [(pk, _pool_words(batch)) for pk, batch in self.pools.items()]

    def with_numbers(self) -> QuerySet[Contest]:
        """The course's contests, each with how many of its places have their prize."""
        given = Count("ranking", filter=Q(ranking__code__isnull=False))
        return (
            Contest.objects.filter(course=self.course)
            .select_related("pool")
            .annotate(entered=Count("ranking"), given=given)
            .order_by("-created_at")
        )


def _is_empty(pool: CodeBatch) -> bool:
    """Those with codes come first."""
    return not vars(pool)["free"]


def _pool_words(batch: CodeBatch) -> str:
    words = {"name": batch.name, "n": vars(batch)["free"], "value": f"{batch.value_usd:,.2f}"}
    return _("%(name)s: %(n)d free, $%(value)s each") % words


class RankingForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("The leaderboard as a file"),
        required=False,
        help_text=gettext_lazy("Kaggle’s CSV as it is, or any table with the teams’ names."),
    )
    pasted = forms.CharField(
        label=gettext_lazy("Or the names, the best first"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("One per line."),
    )
    higher_is_better = forms.BooleanField(label=gettext_lazy("A higher score is better"), required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ranking: list[Ranked] = []

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        upload: UploadedFile | None = said.get("file")
        content = upload.read() if upload else said.get("pasted", "").encode()
        field = "file" if upload else "pasted"
        if not upload and not content.strip():
            self.add_error("pasted", _("Choose the file, or write the names."))
            return said
        try:
            table = tables.read(content)
            self.ranking = read_ranking(table, higher_is_better=said["higher_is_better"])
        except NotATable as error:
            self.add_error(field, unreadable_words(error))
        except NotARanking as error:
            self.add_error(field, _("This is no ranking that can be read: %(why)s.") % {"why": error})
        return said


class BehindForm(forms.Form):
    """One choice per winner: which team or person of the course it is. The ranking itself travels along, unseen."""

    def __init__(self, course: Course, ranking: Sequence[Ranked], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ranking = list(ranking)
        self._known = contests.people_of(course)
        for number, _one in enumerate(self.ranking):
            self._offer(number, ())

    @classmethod
    def of(cls, course: Course, guesses: Sequence[Guess]) -> "BehindForm":
        initial = {f"behind_{n}": guess.sure.key if guess.sure else "" for n, guess in enumerate(guesses)}
        form = cls(course, [guess.ranked for guess in guesses], initial=initial)
        for number, guess in enumerate(guesses):
            form._offer(number, [*([guess.sure] if guess.sure else []), *guess.maybe])
        return form

    @classmethod
    def said(cls, course: Course, said: QueryDict) -> "BehindForm":
        rows = zip(said.getlist("rank"), said.getlist("name"), said.getlist("score"), strict=False)
        ranking = [
            Ranked(place, name[:200], score[:40])
            for rank, name, score in list(rows)[: 10 * MOST_PLACES]
            if (place := number_in(rank)) and name.strip()
        ]
        return cls(course, ranking, said)

    def _offer(self, number: int, likely: Sequence[Known]) -> None:
        """The likely ones first, then everybody: staff decide, a likeness of names does not."""
        first = [(one.key, one.name) for one in likely]
        rest = [(one.key, one.name) for one in self._known if one not in likely]
        choices: list[Any] = [("", _("Not known: no prize"))]
        choices += [(_("Probably"), first)] if first else []
        choices += [(_("Everybody"), rest)]
        label = _("Who is behind “%(name)s”?") % {"name": self.ranking[number].name}
        self.fields[f"behind_{number}"] = forms.ChoiceField(label=label, choices=choices, required=False)

    @property
    def rows(self) -> list[tuple[Ranked, forms.BoundField]]:
        return [(one, self[f"behind_{number}"]) for number, one in enumerate(self.ranking)]

    @property
    def behind(self) -> dict[str, str]:
        return {one.name: self.cleaned_data[f"behind_{number}"] for number, one in enumerate(self.ranking)}
