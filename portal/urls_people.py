"""Pages of one course's people, teams and set-up. Below /c/<course>/."""

from django.urls import include, path

from instances import views_presets
from portal import views_overrides, views_roster, views_roster_import, views_setup, views_team, views_teams

ROSTER = [
    path("", views_roster.roster, name="roster"),
    path("add", views_roster.roster_add, name="roster_add"),
    path("roster.csv", views_roster.roster_csv_file, name="roster_csv"),
    path("roster.xlsx", views_roster.roster_xlsx_file, name="roster_xlsx"),
    path("import/", views_roster_import.roster_import, name="roster_import"),
    path("import/<int:draft_id>/", views_roster_import.roster_import_map, name="roster_import_map"),
    path("import/<int:draft_id>/drop", views_roster_import.roster_import_drop, name="roster_import_drop"),
    path("<int:enrollment_id>/", views_roster.roster_person, name="roster_person"),
    path("<int:enrollment_id>/close", views_roster.roster_close, name="roster_close"),
    path("<int:enrollment_id>/exceptions/", views_overrides.roster_exceptions, name="roster_exceptions"),
    path("<int:enrollment_id>/reopen", views_roster.roster_reopen, name="roster_reopen"),
]
PRESETS = [
    path("", views_presets.preset_list, name="presets"),
    path("new/", views_presets.preset_new, name="preset_new"),
    path("edit/<slug:preset_slug>/", views_presets.preset, name="preset"),
]
TEAMS = [
    path("", views_teams.team_list, name="teams"),
    path("sizes", views_teams.team_sizes, name="team_sizes"),
    path("new", views_teams.team_new, name="team_new"),
    path("draw/", views_teams.team_draw, name="team_draw"),
    path("<int:team_id>/", views_teams.team, name="team"),
    path("<int:team_id>/dissolve", views_teams.team_dissolve, name="team_dissolve"),
    path("move/<int:enrollment_id>", views_teams.team_move, name="team_move"),
]
# The student's own.
TEAM = [
    path("", views_team.own_team, name="own_team"),
    path("form", views_team.own_team_form, name="own_team_form"),
    path("invite", views_team.own_team_invite, name="own_team_invite"),
    path("invitations/<int:invitation_id>/answer", views_team.own_team_answer, name="own_team_answer"),
    path("invitations/<int:invitation_id>/withdraw", views_team.own_team_withdraw, name="own_team_withdraw"),
    path("leave", views_team.own_team_leave, name="own_team_leave"),
]
SETUP = [
    path("", views_setup.setup, name="setup"),
    path("dates/", views_setup.setup_dates, name="setup_dates"),
    path("money/", views_setup.setup_money, name="setup_money"),
    path("presets", views_setup.setup_presets, name="setup_presets"),
    path("confirm", views_setup.setup_confirm, name="setup_confirm"),
    path("copy/", views_setup.setup_copy, name="setup_copy"),
]
urlpatterns = [
    path("staff/setup/", include(SETUP)),
    path("staff/roster/", include(ROSTER)),
    path("staff/teams/", include(TEAMS)),
    path("team/", include(TEAM)),
    path("staff/presets/", include(PRESETS)),
]
