"""Why a file that somebody uploaded is no table, in a sentence for that person. Decides nothing."""

from django.utils.translation import gettext as _

from courses.tables import NotATable, Unreadable


def unreadable_words(error: NotATable) -> str:
    """Why a file could not be read, and what to do."""
    return {
        Unreadable.EMPTY: _("The file is empty."),
        Unreadable.TOO_BIG: _("The file is too large for one list. Split it."),
        Unreadable.NOT_TEXT: _("This is not a table. Upload a CSV or XLSX file, or paste the lines."),
        Unreadable.OLD_EXCEL: _("This is an old Excel file. Save it as .xlsx or CSV and upload that."),
        Unreadable.BROKEN_EXCEL: _("This Excel file cannot be read. Open it, save it anew, and upload it again."),
        Unreadable.OPEN_QUOTE: _("The quotation marks in line %(line)d do not match. Nothing was read."),
    }[error.reason] % {"line": error.line}
