"""What happened, in words, for the audit's page and files. A word that is not here explains itself."""

from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from courses.events import CourseEvent
from credits.models import BatchEvent, CodeEvent, RequestDecision
from instances.limits import Override
from instances.models import InstanceEvent
from spend.models import MoneyMove

_OWN = {
    "correction": _("Corrected to the provider’s bill"),
    "release_planned": _("Release planned"),
    "release_cancelled": _("Release cancelled"),
    "reconciled": _("Compared with the provider’s bill"),
    "policy_changed": _("When machines stop: changed"),
    "drill_begun": _("Fire drill begun"),
    "drill_called_off": _("Fire drill called off"),
    "drill_over": _("Fire drill over"),
    "halted": _("Kill switch: all stopped"),
    "halt_lifted": _("Kill switch: undone"),
    "launch_allowed": _("Launch allowed"),
    "launch_denied": _("Launch denied"),
    "quota_asked": _("Larger quota asked of AWS"),
    # Notes.
    "account_added": _("AWS account linked"),
    "account_stack": _("AWS account: its stack told"),
    "account_bound": _("AWS account: a team's machines run there"),
    "account_unbound": _("AWS account: a team's machines run in the course's own"),
    "account_removed": _("AWS account removed"),
    "account_lost": _("AWS account given up as lost"),
    "signed_in": _("Signed in"),
    "sign_in_refused": _("Sign-in refused"),
    "sign_in_failed": _("Sign-in failed"),
    "code_asked": _("Sign-in code sent"),
    "code_wrong": _("Wrong sign-in code"),
    "account_linked": _("Second account linked"),
    "signed_out_everywhere": _("Signed out everywhere"),
    "ssh_on": _("SSH to machines: switched on"),
    "ssh_off": _("SSH to machines: switched off"),
    "ssh_key_added": _("SSH key added"),
    "ssh_key_removed": _("SSH key removed"),
    "ssh_opened": _("SSH connection to a machine"),
    "ssh_closed": _("SSH connection over"),
    "mfa_on": _("Second factor added"),
    "mfa_off": _("Second factor removed"),
    "person_page": _("Looked at a student’s page"),
    "machine_page": _("Looked at a student’s machine"),
    "data_exported": _("Took all own data away"),
    "audit_exported": _("Took the audit away"),
    "spend_exported": _("Took the spend away"),
    "codes_exported": _("Took the list of codes away"),
    "exceptions": _("Looked at a person’s exceptions"),
    "operator_made": _("Made an operator"),
    "operator_taken_back": _("No operator any more"),
    "roster_line": _("Looked at a roster line"),
    "roster_exported": _("Took the roster away"),
    "report_decided": _("Failed code decided"),
    "person_forgotten": _("Personal data removed"),
    "retention_over": _("Personal data removed after the term"),
    "retention_set": _("Retention changed"),
}
WORDS = {
    **{str(verb.value): verb.label for verb in MoneyMove.Kind},
    **{str(verb.value): verb.label for verb in CodeEvent.Verb},
    **{f"batch_{verb.value}": verb.label for verb in BatchEvent.Verb},
    **{f"request_{verb.value}": verb.label for verb in RequestDecision.Verb},
    **{f"override_{verb.value}": verb.label for verb in Override.Kind},
    **{f"course_{verb.value}": verb.label for verb in CourseEvent.Kind},
    **{f"machine_{verb.value}": verb.label for verb in InstanceEvent.Kind},
    **_OWN,
}


def words(what: str) -> str:
    return str(WORDS.get(what) or capfirst(what.replace("_", " ")))
