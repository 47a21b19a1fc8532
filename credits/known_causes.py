"""The causes that we know of, as shipped, in the order in which they are shown before anybody has reported one.

Texts are marked for translation here and translated when they are shown. Staff change them by rows (`records.py`).
"""

from django.utils.translation import gettext_noop as _

from credits.records import CauseOutcome as Outcome
from credits.signals import Cause

KNOWN = (
    Cause(
        "mistyped",
        _("AWS does not know the code"),
        (
            "unable to redeem the credit you entered",
            "check the code and try again",
            "invalid promotion code",
            "promotion code is not valid",
            "code is invalid",
        ),
        _(
            "Nearly always one character is wrong: the letter O for the digit 0, a small l for a 1, a space too many. "
            "AWS also says this when the code goes into the wrong box, such as the one for gift cards."
        ),
        _(
            "Copy it here with the button and paste it again under Billing, Credits, “Redeem credit”. Compare the last "
            "four characters with those shown here. Still the same? Report it below with “AWS does not accept it, "
            "though I pasted it”."
        ),
        Outcome.ASK,
    ),
    Cause(
        "unknown",
        _("AWS does not accept it, though I pasted it"),
        ("code does not exist", "code not found", "unknown promotion code"),
        _("Then the code itself is bad. It is put aside, so that nobody else gets it."),
        _("Report it here: if this is your first bad code, you get another one at once."),
        Outcome.REPLACE,
    ),
    Cause(
        "used",
        _("AWS says that it was redeemed already"),
        (
            "redeem a promotion code that has already been redeemed",
            "has already been redeemed",
            "already been used",
            "already redeemed",
            "code * already * used",
        ),
        _(
            "Look at Billing, Credits in your account first. If the credit is listed there, an earlier try worked: "
            "there is nothing left to do. With a team's code, a teammate may have been faster."
        ),
        _(
            "Listed? Press “It worked”. Not listed anywhere? Report it here: the code is put aside, and if this is "
            "your first bad code, you get another one at once."
        ),
        Outcome.REPLACE,
    ),
    Cause(
        "one-per-account",
        _("The account has a code of this promotion already"),
        (
            "exceeds the limit of * maximum number of codes",
            "maximum number of codes currently redeemed per account",
            "exceeds the limit of",
        ),
        _(
            "AWS accepts only so many codes of one promotion for one account, often a single one. It happens with a "
            "prize that comes from the same promotion as everyone's credit, or when a team collects its codes in one "
            "account. Your code is still good."
        ),
        _("Redeem it in another account: a second one of yours, or a teammate's. If there is none, report it here."),
        Outcome.STAFF,
    ),
    Cause(
        "other-programme",
        _("The code belongs to another programme"),
        ("aws educate", "github student", "not an aws promotional", "not a promotional code", "activate", "academy"),
        _(
            "Codes from AWS Educate, AWS Academy, GitHub or Udacity are not redeemed under Billing: each of them goes "
            "into its own programme's application. The codes of this course do go under Billing, Credits."
        ),
        _("Make sure that it is the code from this page. If it is, report it here."),
        Outcome.STAFF,
    ),
    Cause(
        "expired",
        _("The code has expired"),
        ("promotion code has expired", "has expired", "code expired", "no longer valid", "offer has ended"),
        _("A code has a last day on which it can be redeemed, and this one's has passed."),
        _("Report it here: staff see whether there is another one for you."),
        Outcome.STAFF,
    ),
    Cause(
        "no-permission",
        _("Access denied, or there is no Credits page"),
        (
            "access denied",
            "accessdenied",
            "not authorized",
            "not authorised",
            "you need permissions",
            "do not have permission",
            "billing redeemcredits",
            "no credits page",
        ),
        _(
            "You are signed in as a user without rights to billing. The owner of the account (the root user, with the "
            "address that the account was opened with) always has them."
        ),
        _(
            "Sign in as the root user. Or let the owner switch on “IAM access to billing” under Account and allow you "
            "billing:GetCredits and billing:RedeemCredits."
        ),
        Outcome.ASK,
    ),
    Cause(
        "account-not-ready",
        _("The account is new, unverified or suspended"),
        (
            "pendingverification",
            "pending verification",
            "account is currently being verified",
            "account is not verified",
            "validating your account",
            "payment method",
            "account is suspended",
            "account has been suspended",
        ),
        _(
            "AWS checks a new account first, and wants a valid payment card even where credit pays for all. That can "
            "take a day. A suspended account has to be cleared with AWS."
        ),
        _("Add a card, confirm the mail and phone checks, and try again tomorrow. After that, ask AWS Support."),
        Outcome.WAIT,
    ),
    Cause(
        "organisation",
        _("The account belongs to an organisation"),
        ("member account", "management account", "payer account", "organization", "consolidated billing"),
        _(
            "Where a department or an employer pays, the credit goes to whoever pays, or is shared among all its "
            "accounts. Redeemed in the month in which an account joins an organisation, it is shared from the next "
            "month on."
        ),
        _("Redeem it in an account of your own that belongs to no organisation."),
        Outcome.ASK,
    ),
    Cause(
        "other-seller",
        _("My account is with AWS in India, Europe or China"),
        ("aws india", "amazon web services india", "aws europe", "amazonaws cn", "china region", "seller of record"),
        _(
            "Such accounts have another seller, and some promotions are not for them. Accounts of the China regions "
            "are wholly separate from all others and need codes of their own."
        ),
        _("Report it here and say the country of your account: staff find a code for it, or another way."),
        Outcome.STAFF,
    ),
    Cause(
        "free-plan",
        _("My account is on the Free plan"),
        ("free plan", "free account plan", "upgrade your account", "upgrade your plan", "not eligible for free tier"),
        _(
            "Accounts opened since July 2025 may be on the Free plan: it ends after six months and starts no machine "
            "with a GPU, whatever credit there is."
        ),
        _(
            "Change to the Paid plan under Billing first, then redeem. From then on what goes beyond your credit is "
            "charged to your card: stop machines that you do not use."
        ),
        Outcome.ASK,
    ),
    Cause(
        "not-on-bill",
        _("It was redeemed, but the bill is not zero"),
        ("bill is not zero", "still charged", "credit not applied", "not showing", "does not show", "not applied"),
        _(
            "Credit shows on the Credits page within hours, on the bill within a week. It does not pay for use from "
            "before it was redeemed, nor for what it is not meant for: Marketplace, Support, domains, upfront fees."
        ),
        _("Wait a week and look again at which products the credit lists. Press “It worked” if it is listed."),
        Outcome.WAIT,
    ),
    Cause(
        "other",
        _("Something else"),
        (),
        _("Then a person has to look at it."),
        _("Report it with the whole message from AWS. Staff get it at once with all that they need."),
        Outcome.STAFF,
    ),
)
