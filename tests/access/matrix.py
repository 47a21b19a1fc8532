"""Who may open what: one row for each named address of the portal. `test_matrix.py` asks every row as every role.

A new page needs one line here, else the tests fail:

    "spend_plan": page(STAFF),                                    GET only, for these roles; 404 for all others
    "spend_plan_change": verb(INSTRUCTOR),                        POST only
    "spend_import": form(STAFF),                                  GET and POST
    "team": page(STAFF | OWNER, lambda w: [w.cast.team.pk]),      what follows the course's slug in the address
    "cause": page(STAFF, names("used")),                          the same, but words that every course has

`OWNER` is the student whose object it is: `w.machine`, `w.shop.code`, … are `student`'s, the other student has none of
them. The function may make rows: what it does is undone after each question. A role that gets another answer than 200
or 404 is named with its status: `page(STAFF, ids, sponsor=302)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.access.world import (
    Ids,
    account,
    alarm,
    allowed_preset,
    approval,
    batch,
    chat_room,
    code,
    contest,
    copy,
    course_halt,
    draft,
    drift,
    drill,
    grant,
    halt_all,
    home,
    homework,
    image,
    invitation,
    machine,
    names,
    none,
    own_invitation,
    redemption,
    release,
    roster_draft,
    source,
    ssh_key,
    student,
    team,
)

ROLES = (
    "signed_out",
    "student",
    "other_student",
    "ta",
    "instructor",
    "foreign_instructor",  # of the other course
    "sponsor",
    "operator",
    "waitlisted",  # these three by the policy that a course begins with: tests/pages/test_entry.py has the others
    "auditor",
    "dropped",
    "stranger",  # signed in, on no roster
)
OWNER = frozenset({"student"})
STUDENTS = frozenset({"student", "other_student"})
TA = frozenset({"ta"})
INSTRUCTOR = frozenset({"instructor"})
STAFF = TA | INSTRUCTOR
SPONSOR = frozenset({"sponsor"})
OPERATOR = frozenset({"operator"})
LOOKERS = frozenset({"waitlisted", "auditor"})  # they enter, and launch and own nothing
MEMBERS = STUDENTS | STAFF | LOOKERS
SIGNED_IN = frozenset(ROLES) - {"signed_out"}
ANYONE = frozenset(ROLES)


@dataclass(frozen=True)
class Row:
    allowed: frozenset[str]
    methods: frozenset[str]
    ids: Ids
    shared: bool = False  # its address names no row of one course
    statuses: Mapping[str, int] = field(default_factory=dict)  # of roles that get another answer to a GET
    data: Mapping[str, str] = field(default_factory=lambda: {"hours": "1", "preset": "homework"})  # of the POST
    csrf: bool = True

    def get_status(self, role: str) -> int:
        """What a GET answers, signed out apart."""
        if "GET" not in self.methods:
            return 405  # before anybody asks who: the address of a button is no secret
        return self.statuses.get(role, 200 if role in self.allowed else 404)


def _row(methods: set[str], allowed: frozenset[str], ids: Ids, statuses: dict[str, int]) -> Row:
    return Row(allowed, frozenset(methods), ids, shared=isinstance(ids, names), statuses=statuses)


def page(allowed: frozenset[str], ids: Ids = none, **statuses: int) -> Row:
    return _row({"GET"}, allowed, ids, statuses)


def verb(allowed: frozenset[str], ids: Ids = none, **statuses: int) -> Row:
    return _row({"POST"}, allowed, ids, statuses)


def form(allowed: frozenset[str], ids: Ids = none, **statuses: int) -> Row:
    return _row({"GET", "POST"}, allowed, ids, statuses)


# Of the sign-in library, or for machines: open to everybody, judged by what is sent. Each has tests of its own.
ELSEWHERE = {
    "openid_connect_login": "tests/signin",
    "openid_connect_callback": "tests/signin",
    "account_login": "tests/signin",
    "account_logout": "tests/signin",
    "account_inactive": "tests/signin",
    "socialaccount_login_cancelled": "tests/signin",
    "socialaccount_login_error": "tests/signin",
    **dict.fromkeys(("saml_acs", "saml_finish_acs", "saml_sls", "saml_metadata", "saml_login"), "tests/signin"),
    **dict.fromkeys(("account_request_login_code", "account_confirm_login_code"), "tests/signin/test_codes.py"),
    **dict.fromkeys(
        (
            "mfa_index",
            "mfa_authenticate",
            "mfa_reauthenticate",
            "mfa_activate_totp",
            "mfa_deactivate_totp",
            "mfa_view_recovery_codes",
            "mfa_generate_recovery_codes",
            "mfa_download_recovery_codes",
            "mfa_list_webauthn",
            "mfa_add_webauthn",
            "mfa_edit_webauthn",
            "mfa_remove_webauthn",
            "mfa_reauthenticate_webauthn",
        ),
        "tests/signin/test_second_factor.py: one's own, whoever one is",
    ),
    "agent_report": "tests/machine/test_report_door.py",
    "agent_home": "tests/machine/test_home_agent.py",
    "keep_link": "tests/pages/test_ends_of_a_machine.py: signed, and works without a sign-in",
    "mailbox": "tests/pages/test_small_pages.py: in the demo alone",
    "health": "tests/pages/test_small_pages.py: for monitors, says nothing about people",
}

MATRIX: dict[str, Row] = {
    # The start page sends people on; who is on no roster reads so.
    "home": page(
        ANYONE,
        **dict.fromkeys(
            ["student", "other_student", "ta", "instructor", "foreign_instructor", "sponsor", *LOOKERS], 302
        ),
        operator=302,  # to the list of courses
        stranger=403,
        dropped=403,
    ),
    # One's own account.
    "me": page(SIGNED_IN),
    "my_data": page(SIGNED_IN),
    "my_data_zip": page(SIGNED_IN),
    "sign_out_everywhere": verb(SIGNED_IN),
    "ssh_key_add": verb(SIGNED_IN),
    "ssh_key_remove": verb(OWNER, ssh_key),
    # One course: the person's own desk.
    "course_home": page(MEMBERS),
    "course_live": page(MEMBERS),
    "claim": verb(MEMBERS, batch),
    "reveal": verb(OWNER, code),
    "code_redeemed": verb(OWNER, code),
    "code_help": page(OWNER, code),
    "code_failed": verb(OWNER, code),
    "ask_more": form(MEMBERS),
    "ask_withdraw": verb(OWNER, lambda w: [w.shop.request.pk]),
    "launch": form(MEMBERS, names("homework")),
    "open_homework": form(MEMBERS, **dict.fromkeys(MEMBERS, 422)),  # a link without a repository
    "launch_ask": verb(MEMBERS, allowed_preset),
    # One course: its staff.
    "launch_approvals": page(STAFF),
    "launch_approval_decide": verb(STAFF, approval),
    "preflight": page(STAFF),
    "preflight_check": verb(STAFF),
    "preflight_ask": verb(INSTRUCTOR),
    "course_staff": page(STAFF),
    "course_staff_live": page(STAFF),
    "course_person": page(STAFF, lambda w: [w.cast.student.pk]),
    "spend_csv": page(STAFF),
    "course_budgets": form(INSTRUCTOR, ta=200),
    "release_cancel": verb(INSTRUCTOR, release),
    "course_alerts": form(INSTRUCTOR, ta=200),
    "alert_mail_test": verb(STAFF),
    "alert_seen": verb(STAFF, alarm),
    "alert_room_test": verb(INSTRUCTOR, chat_room),
    "alert_room_drop": verb(INSTRUCTOR, chat_room),
    "course_guards": form(STAFF),
    "course_guards_live": page(STAFF),
    "drill_call_off": verb(STAFF, drill),
    "course_halt": form(STAFF),
    "course_halt_lift": verb(STAFF, course_halt),
    "course_closing": form(INSTRUCTOR | OPERATOR),
    "closing_call_off": verb(INSTRUCTOR | OPERATOR),
    "machine_policy": form(INSTRUCTOR, ta=200),
    "machine_ssh": verb(INSTRUCTOR),
    "what_if": page(STAFF),
    "course_privacy": form(INSTRUCTOR),
    "course_entry": form(INSTRUCTOR),
    "course_audit": page(INSTRUCTOR),  # others' reasons stand in it
    "course_audit_csv": page(INSTRUCTOR),
    "course_audit_xlsx": page(INSTRUCTOR),
    # Its people.
    "roster": page(STAFF),
    "roster_add": form(STAFF),
    "roster_csv": page(STAFF),
    "roster_xlsx": page(STAFF),
    "roster_import": form(STAFF),
    "roster_import_map": form(STAFF, roster_draft, instructor=302),  # a draft is its owner's alone: the TA's
    "roster_import_drop": verb(TA, roster_draft),
    "roster_person": form(STAFF, student),
    "roster_exceptions": form(INSTRUCTOR, student),  # private reasons
    "roster_close": verb(STAFF, student),
    "roster_reopen": verb(STAFF, student),
    "copy_restore": form(OWNER, copy),
    "copy_delete": verb(OWNER, copy),
    "disks_desk": form(STAFF),
    "accounts_desk": form(INSTRUCTOR | OPERATOR),
    "account_template": page(INSTRUCTOR | OPERATOR),
    "account_verb": verb(INSTRUCTOR | OPERATOR, account),
    "account_lost": form(INSTRUCTOR | OPERATOR, account),
    "images_desk": form(STAFF),
    "image_verb": verb(STAFF, image),
    "homework_desk": form(STAFF),
    "homework_drop": verb(STAFF, homework),
    "homework_source_drop": verb(STAFF, source),
    "courses": page(OPERATOR),
    "course_new": form(OPERATOR),
    "setup": page(INSTRUCTOR | OPERATOR),
    "setup_dates": form(INSTRUCTOR | OPERATOR),
    "setup_money": form(INSTRUCTOR | OPERATOR),
    "setup_presets": verb(INSTRUCTOR | OPERATOR),
    "setup_confirm": verb(INSTRUCTOR | OPERATOR),
    "setup_copy": form(INSTRUCTOR | OPERATOR),
    "teams": page(STAFF),
    "team_sizes": verb(STAFF),
    "team_new": verb(STAFF),
    "team_draw": form(STAFF),
    "team": form(STAFF, team),
    "team_dissolve": verb(STAFF, team),
    "team_move": verb(STAFF, student),
    "own_team": page(STUDENTS),
    "own_team_form": verb(STUDENTS),
    "own_team_invite": verb(STUDENTS),
    "own_team_answer": verb(OWNER, invitation),
    "own_team_withdraw": verb(OWNER, own_invitation),
    "own_team_leave": verb(STUDENTS),
    "presets": page(STAFF),
    "preset_new": form(STAFF),
    "preset": form(STAFF, names("homework")),
    # Its money, and everybody's own.
    "money": page(MEMBERS),
    "money_rows": page(MEMBERS),
    "spend": page(STAFF),
    "spend_by": page(STAFF, names("person")),
    "spend_rows": page(STAFF),
    "spend_export": page(STAFF, names("person", "csv")),
    "spend_plan": form(INSTRUCTOR, ta=200),
    "spend_report": page(STAFF),
    "spend_report_mail": verb(STAFF),
    "spend_report_weekly": verb(STAFF),
    "spend_bill": page(STAFF),
    "bill_send": verb(STAFF),
    "bill_book": verb(INSTRUCTOR, drift),
    # Its codes.
    "credits_desk": page(STAFF),
    "credits_csv": page(STAFF),
    "credits_xlsx": page(STAFF),
    "credits_import": form(STAFF),
    "credits_import_map": form(STAFF, draft, instructor=302),  # a draft is its owner's alone: the TA's
    "credits_import_drop": verb(TA, draft),
    "credits_batch": page(STAFF, batch),
    "credits_batch_change": verb(STAFF, batch),
    "credits_batch_rule": verb(STAFF, batch),
    "credits_batch_rule_words": page(STAFF, batch),
    "credits_batch_open": verb(STAFF, batch),
    "credits_batch_close": verb(STAFF, batch),
    "credits_batch_schedule": verb(STAFF, batch),
    "credits_code": page(STAFF, code),
    "credits_code_reveal": verb(STAFF, code),
    "credits_code_back": verb(STAFF, code),
    "credits_reports": page(STAFF),
    "credits_report_resolve": verb(STAFF, lambda w: [w.shop.report.pk]),
    "credits_requests": page(STAFF),
    "credits_requests_decide": verb(STAFF),
    "credits_request_decide": verb(STAFF, lambda w: [w.shop.request.pk]),
    "credits_contests": form(STAFF),
    "credits_contest": page(STAFF, contest),
    "credits_contest_read": verb(STAFF, contest),
    "credits_contest_enter": verb(STAFF, contest),
    "credits_contest_award": verb(STAFF, contest),
    "credits_account": form(STAFF),
    "credits_account_live": page(STAFF),
    "credits_redemption_budget": verb(STAFF, redemption),
    "credits_redemption_give_up": verb(STAFF, redemption),
    "credits_causes": page(STAFF),
    "credits_cause_new": form(STAFF),
    "credits_cause": form(STAFF, names("used")),
    "credits_cause_reset": verb(STAFF, names("used")),
    # The installation.
    "halt_all": form(OPERATOR),
    "halt_all_lift": verb(OPERATOR, halt_all),
    "audit": page(OPERATOR),
    "audit_csv": page(OPERATOR),
    "audit_xlsx": page(OPERATOR),
    # Several courses.
    "grants": form(OPERATOR),
    "grant": form(OPERATOR | INSTRUCTOR, grant),
    "sponsor": page(SPONSOR),
    # One machine.
    "machine": page(OWNER | STAFF, machine),
    "machine_live": page(OWNER | STAFF, machine),
    "receipt": page(OWNER | STAFF, lambda w: [w.machine.slug, 1]),
    "notebook": page(OWNER, machine, student=302),  # on to the notebook's own host
    "machine_stop": verb(OWNER | STAFF, machine),
    "machine_start": verb(OWNER, machine),
    "machine_keep": verb(OWNER, machine),
    "machine_wrong_call": verb(OWNER, machine),
    "machine_await": verb(OWNER, machine),
    "machine_terminate": verb(OWNER, machine),
    "machine_restart": verb(OWNER, machine),
    "machine_resize": form(OWNER, machine),
    "machine_elsewhere": form(OWNER, machine),
    "machine_copy": verb(OWNER, machine),
    "machine_files": verb(OWNER, machine),
    "machine_files_fetch": verb(OWNER, home),
    "machine_files_drop": verb(OWNER, home),
}
