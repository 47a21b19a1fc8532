"""Sign-in policy: the provider proves who somebody is, the roster says whether they may enter.

Runs at every sign-in, not only at the first. Roles are never taken from the provider: see `models.Enrollment`.
"""

import logging
from concurrent.futures import ThreadPoolExecutor

import requests
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.base import AuthError, AuthProcess
from django.contrib import messages
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from courses import sign_in_notes as notes
from courses.claims import Policy, Refusal, vouched
from courses.linking import is_new_door, is_proved, link_if_waiting, note_linked, wait_for_proof
from courses.models import User
from courses.refused import provider_silent_page, refused_page
from courses.services import is_on_a_roster, link_person

log = logging.getLogger(__name__)
POST = ThreadPoolExecutor(2, thread_name_prefix="sign-in-mail")


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False  # nobody opens an account with us: a provider vouches, or nobody enters

    def pre_login(self, request: HttpRequest, user: User, **more: object) -> HttpResponse | None:
        """Before any door opens, also that of the code: the roster may have changed since it was asked for."""
        if not is_on_a_roster(user.email, user):
            notes.refused(request, user.email, why=Refusal.NOT_ON_ROSTER, by=_door(more))
            return refused_page(request, user.email, Refusal.NOT_ON_ROSTER, None)
        answer: HttpResponse | None = super().pre_login(request, user, **more)
        return answer

    def login(self, request: HttpRequest, user: User) -> None:
        """Every way in passes here, whichever it is; so the lines are linked here and not at the first sign-in."""
        link_person(user)
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: User, **more: object) -> HttpResponse:
        """After a second factor, too."""
        login = _social(more)
        notes.signed_in(request, user, login)
        if link_if_waiting(request, user, login.account.provider if login else "mail"):
            messages.success(request, _("Both accounts are yours: from now on either of them lets you in."))
        answer: HttpResponse = super().post_login(request, user, **more)
        return answer

    def add_message(self, *_args: object, **_more: object) -> None:
        """None of the library's "successfully signed in": the page itself says so."""

    def send_mail(self, template_prefix: str, email: str, context: dict[str, object]) -> None:
        """After the answer: who asks must not learn from its time whether the address is known."""
        message = self.render_mail(template_prefix, email, {"email": email, **context})
        POST.submit(_post, message)


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True  # `pre_social_login` has decided already

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, object]) -> User:
        """The first hook after the claims are read, before anybody is looked up by address."""
        user: User = super().populate_user(request, sociallogin, data)
        user.full_name = str(data.get("name") or "").strip()[:200]
        for address in sociallogin.email_addresses:
            # Providers were seen to send the text "false", which is true to Python: it let strangers in by address.
            address.verified = address.verified is True
        return user

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuses with a page of its own, or returns with an existing person's account linked and up to date."""
        address, refusal = _judge(sociallogin)
        if refusal is None and sociallogin.is_existing:
            refusal = _take_in(request, sociallogin, address)
        if refusal is Refusal.UNPROVED:
            wait_for_proof(request, sociallogin, sociallogin.user, timezone.now())
        if refusal is not None:
            raise _refuse(request, sociallogin, address, refusal)

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: object = None) -> User:
        """First sign-in: person, account and address together or not at all."""
        try:
            with transaction.atomic():
                user: User = super().save_user(request, sociallogin, form)
                return user
        except IntegrityError as error:  # two accounts with one new address at the same second
            raise _refuse(request, sociallogin, sociallogin.user.email, Refusal.RECYCLED) from error

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: object,
        error: str | None = None,
        exception: Exception | None = None,
        extra_context: dict[str, object] | None = None,
    ) -> None:
        """Says in the log that it failed, and by which kind of error: its text may hold a code or a token."""
        if error != AuthError.CANCELLED:
            kind = type(exception).__name__ if exception else "no or foreign state"
            log.warning("sign-in failed: provider=%s error=%s cause=%s", _name(provider), error, kind)
            notes.failed(request, why=str(error), by=_name(provider))

    def get_requests_session(self) -> requests.Session:
        return _ProviderSession(self.request)


def _judge(login: SocialLogin) -> tuple[str, Refusal | None]:
    """The address to believe, and why not to let them in."""
    policy = Policy.from_settings(login.provider.app.settings.get("policy") or {})
    verified = [a.email for a in login.email_addresses if a.verified]  # true or false only: see `populate_user`
    told = vouched(verified, login.account.extra_data, policy)
    if login.state.get("process") != AuthProcess.LOGIN:
        return told.address, Refusal.NOT_A_SIGN_IN
    if told.refusal is not None:
        return told.address, told.refusal
    if not is_on_a_roster(told.address, login.user):
        return told.address, Refusal.NOT_ON_ROSTER
    return told.address, None


@transaction.atomic
def _take_in(request: HttpRequest, login: SocialLogin, address: str) -> Refusal | None:
    """Links the provider's account to the person found, who is locked meanwhile: two subjects may come at once."""
    user: User = User.objects.select_for_update().get(pk=login.user.pk)
    if not user.is_active:
        return Refusal.CLOSED
    if _somebody_else_has(address, user):
        return Refusal.ADDRESS_TAKEN
    if login.account.pk is None:  # found by address, not by the provider's own id
        if SocialAccount.objects.filter(user=user, provider=login.account.provider).exists():
            return Refusal.RECYCLED
        new_door = is_new_door(login, user)
        if new_door and not is_proved(request, user):
            return Refusal.UNPROVED
        login.user = user
        login.save(request, connect=True)
        if new_door:
            note_linked(request, user, login, timezone.now())
    _remember_address(user, address, login)
    return None


def _remember_address(user: User, address: str, login: SocialLogin) -> None:
    EmailAddress.objects.filter(user=user).exclude(email=address).delete()
    EmailAddress.objects.update_or_create(user=user, email=address, defaults={"verified": True, "primary": True})
    name = user.full_name or str(login.account.get_provider_account().get_user_data().get("name") or "")[:200]
    if (user.email, user.full_name) != (address, name):
        user.email, user.full_name = address, name
        user.save(update_fields=["email", "full_name"])
    login.user = user


def _somebody_else_has(address: str, user: User) -> bool:
    others = User.objects.exclude(pk=user.pk)
    return others.filter(Q(email__iexact=address) | Q(emailaddress__email=address)).exists()


def _refuse(request: HttpRequest, login: SocialLogin, address: str, why: Refusal) -> ImmediateHttpResponse:
    log.warning("sign-in refused: provider=%s address=%s reason=%s", login.account.provider, address or "-", why)
    notes.refused(request, address, why=why, by=login.account.provider)
    return ImmediateHttpResponse(refused_page(request, address, why, login.provider))


def _social(more: dict[str, object]) -> SocialLogin | None:
    """The provider's login behind the library's, when there is one."""
    kwargs = more.get("signal_kwargs")
    return kwargs.get("sociallogin") if isinstance(kwargs, dict) else None


def _door(more: dict[str, object]) -> str:
    login = _social(more)
    return login.account.provider if login else "mail"


def _post(message: EmailMessage) -> None:
    try:
        message.send()
    except Exception:
        log.exception("a sign-in code could not be mailed")


def _name(provider: object) -> str:
    app = getattr(provider, "app", None)
    return getattr(app, "provider_id", "") or str(provider)


class _ProviderSession(requests.Session):
    """Talks to the provider. When it is down a person reads so, where the library would answer with a server error."""

    TIMEOUT_SECONDS = 5

    def __init__(self, portal_request: HttpRequest) -> None:
        super().__init__()
        self.portal_request = portal_request

    def request(self, method: str, url: str, **options: object) -> requests.Response:  # type: ignore[override]
        options.setdefault("timeout", self.TIMEOUT_SECONDS)
        try:
            response = super().request(method, url, **options)  # type: ignore[arg-type]
        except requests.RequestException as error:
            raise self._silent(url, type(error).__name__) from error
        # A refused code (400 on POST) is the library's to explain; a page that is not there is nobody's.
        if response.status_code >= 500 or (method.upper() == "GET" and not response.ok):
            raise self._silent(url, f"HTTP {response.status_code}")
        return response

    def _silent(self, url: str, cause: str) -> ImmediateHttpResponse:
        log.error("sign-in failed: %s does not answer (%s)", url.partition("?")[0], cause)
        return ImmediateHttpResponse(provider_silent_page(self.portal_request))
