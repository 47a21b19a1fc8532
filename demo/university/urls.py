from django.urls import include, path

from demo.university import views

urlpatterns = [
    path("login", views.sign_in, name="account_login"),
    path("login/again", views.sign_in, name="account_reauthenticate"),
    path("identity/o/authorize", views.authorize),  # before the library's own
    path("", include("allauth.idp.urls")),
]
