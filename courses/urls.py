"""Sign-in and sign-out. The library's other doors (passwords, accounts of its own, linking) have no address here."""

from allauth.account import views as account
from allauth.socialaccount import views
from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from courses import sign_in_codes, sign_in_page

urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", sign_in_page.sign_in, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("login/code/", sign_in_codes.ask, name="account_request_login_code"),
    path("login/code/confirm/", sign_in_codes.confirm, name="account_confirm_login_code"),
    path("", include("allauth.socialaccount.providers.openid_connect.urls")),
    path("second-factor/", include("allauth.mfa.urls")),
    path("cancelled/", views.login_cancelled, name="socialaccount_login_cancelled"),
    path("error/", views.login_error, name="socialaccount_login_error"),
]
if settings.SAML_INSTALLED:
    urlpatterns.append(path("", include("allauth.socialaccount.providers.saml.urls")))
