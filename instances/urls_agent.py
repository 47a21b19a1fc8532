"""What machines call; persons have no business here."""

from django.urls import path

from instances.agent_views import agent_home, agent_report

urlpatterns = [
    path("report", agent_report, name="agent_report"),
    path("home", agent_home, name="agent_home"),
]
