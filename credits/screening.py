"""Takes codes out of what people write, before it is stored or logged: of each only its last four remain.

A code that is in our stock is found exactly; what merely looks like one (mistyped, somebody else's) by its shape.
"""

import re

from django.views.decorators.debug import sensitive_variables

from credits import vault
from credits.codes import INVISIBLE, last_four
from credits.models import CreditCode

LONGEST = 4000
_CHUNK = 500  # SQLite takes at most some thousand parameters in one statement
# Letters and digits mixed, ten or more: codes, and no word, account number or date.
_LIKE_A_CODE = re.compile(r"(?<![\w.-])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{10,}(?![\w-])")
_GAP = r"[\s\-–·.]"
_AROUND = ".,;:!?()[]{}<>\"'“”‘’«»„…`*/\\|="
_HIDDEN = re.compile("[" + "".join(sorted(INVISIBLE)) + "]")


@sensitive_variables()
def screened(text: str, *codes: CreditCode) -> str:
    """The text, at most 4000 characters, without any code. `codes` are found also when broken up by spaces."""
    said = _HIDDEN.sub("", text.replace("\x00", ""))[: 5 * LONGEST]
    for code in codes:
        said = _without(said, vault.unseal(code.ciphertext))
    said = _without_known(said)
    # Cut last: half a code at the end would not be found.
    return _LIKE_A_CODE.sub(lambda found: _mark(found.group()), said).strip()[:LONGEST]


def _mark(code: str) -> str:
    return f"…{last_four(code)}"


def _without(said: str, code: str) -> str:
    """Also as people type it: in other case, in groups, with dashes."""
    # The code's own dashes count as gaps, too: a pattern in which both could match the same dash takes for ever.
    chars = [char for char in code if not re.match(_GAP, char)]
    loose = f"{_GAP}*".join(re.escape(char) for char in chars)
    return re.sub(loose, _mark(code), said, flags=re.IGNORECASE) if chars else said


def _without_known(said: str) -> str:
    """Any code of ours as one word, whatever its shape."""
    words = {word.strip(_AROUND) for word in re.split(r"\s+", said)} - {""}
    digests = {vault.fingerprint(word): word for word in words if len(word) > 3}
    asked = list(digests)
    for start in range(0, len(asked), _CHUNK):
        known = CreditCode.objects.filter(digest__in=asked[start : start + _CHUNK]).values_list("digest", flat=True)
        for digest in known:
            said = said.replace(digests[digest], _mark(digests[digest]))
    return said
