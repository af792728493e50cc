r"""What is looked for in text, as a table (R2.b; attack cases C.8 and G).

* A rule has a *trigger*, cheap and necessary, which one automaton holds for all rules at once; an *exact* form, which
  finds the candidates; and a *confirmation* (confirm.py). The exact form may be its own trigger.
* No `\b` stands before a token with a prefix of its own: glued to word characters it is as secret as it was.
* Postal addresses and names of people have no form to go by; they are labelled by rule or by another detector.
"""

from __future__ import annotations

from typing import NamedTuple

from navicert.adapters.detect import checksums, confirm
from navicert.model.labels import Level

PII, PHI, FINANCIAL, CREDENTIAL = "PII", "PHI", "FINANCIAL", "CREDENTIAL"

LEVELS = {
    PII: Level.CONFIDENTIAL,
    FINANCIAL: Level.CONFIDENTIAL,
    PHI: Level.RESTRICTED,
    CREDENTIAL: Level.RESTRICTED,
}
"""How sensitive each category is; a text has the highest level of those found in it."""

ADDRESSING = frozenset({"email", "phone", "phone-at-home", "iban"})
"""Rules whose hits, standing where a message or a payment is to go, say where it goes and not what it holds."""


class Rule(NamedTuple):
    """One thing to look for.

    exact: finds the candidates; `confirm(data, match)` has the last word. trigger: necessary for `exact`, and cheap;
    empty where `exact` is cheap itself. again: look once more inside a candidate that was not confirmed (only where
    candidates are short, or time would grow with the square). distinctive: the form alone is proof, so that it is
    looked for in the wilder disguises too. value: the group that is the secret, where the rest only says what it is.
    reach: how far it goes beyond what `exact` needs to see.
    """

    name: str
    categories: tuple[str, ...]
    exact: bytes
    confirm: confirm.Confirm | None = None
    trigger: bytes = b""
    again: bool = False
    distinctive: bool = False
    value: int = 0
    reach: confirm.Reach | None = None


_to_the_end = confirm.reach(rb"[A-Za-z0-9_.~+/=-]*")
_of_value = confirm.reach(rb"[^\s\"\x27\x60,;<>&\\]*")
_of_key = confirm.reach(rb"[\s\S]*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[\s\S]*")


def _token(
    name: str,
    exact: bytes,
    check: confirm.Confirm | None = None,
    *,
    trigger: bytes = b"",
    reach: confirm.Reach = _to_the_end,
) -> Rule:
    return Rule(name, (CREDENTIAL,), exact, check, trigger=trigger, distinctive=True, reach=reach)


_SECRET_NAMES = (
    rb"password|passwd|passphrase|passwort|wachtwoord|contrase(?:n|\xc3\xb1)a|pwd|secret(?:[_-]?access)?(?:[_-]?key)?|token"
    rb"|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key"
)
_ASSIGNED = rb"[\\\\]{0,2}[\"\x27\x60]?[ \t]{0,8}(?:=>|:=|=|:| is )[ \t]{0,8}[\\\\]{0,2}[\"\x27\x60]?"
_BIRTH = (
    rb"(?:\bd\.?o\.?b\b|date[ _-]?of[ _-]?birth|birth[ _-]?da(?:te|y)|\bborn\b|geboortedatum|geburtsdatum"
    rb"|fecha[ _-]de[ _-]nacimiento|date[ _-]de[ _-]naissance)"
)
_DATE = (
    rb"(?:(?:19|20)[0-9]{2}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2},? (?:19|20)[0-9]{2}"
    rb"|[0-9]{1,2}[-/. ](?:[0-9]{1,2}|[A-Za-z]{3,9})[-/. ](?:19|20)?[0-9]{2})"
)
_PHONE_WORD = (
    rb"(?:phone|telefoon|telefon|\bmobile|\btel|\bcell)(?:[ _-]?(?:no|nr|number))?"
    rb"[\"\x27]?[ \t]?[:=.][ \t\"\x27]{0,3}"
)
_RECORD = rb"(?:\bmrn|medical[ _-]?record|patient[ _-]?(?:id|no|nr|number)|hospital[ _-]?(?:id|no|number))"
_NUMBERED = rb"(bsn|burgerservicenummer|nino|national insurance|dni|nif|pesel|nhs|aadhaar|passport)"

RULES: tuple[Rule, ...] = (
    # Secrets first: nothing is more sensitive, and a category once found is not looked for again.
    _token(
        "private-key",
        rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:\\[nr]|[\s\"\x27+,>|]){0,40}"
        rb"(?:(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash)[\s\S]{0,240}?)?[A-Za-z0-9+/]{24}",
        trigger=rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY",
        reach=_of_key,
    ),
    _token("putty-key", rb"PuTTY-User-Key-File-[0-9]", reach=confirm.reach(rb"[\s\S]*")),
    _token("age-key", rb"AGE-SECRET-KEY-1[0-9A-Z]{58}", trigger=rb"AGE-SECRET-KEY-1"),
    _token("aws-key", rb"A(?:KI|SI)A[A-Z2-7]{16}"),
    _token(
        "github",
        rb"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{30}",
        trigger=rb"gh[pousr]_[A-Za-z0-9]|github_pat_",
    ),
    _token(
        "gitlab",
        rb"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-[A-Za-z0-9_-]{20}",
        trigger=rb"gl[a-z]{2,5}-[A-Za-z0-9_-]{8}",
    ),
    _token(
        "slack",
        rb"xox[abeoprs]-[A-Za-z0-9-]{10}|xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-f0-9]{16}|hooks\.slack\.com/services/[A-Z]\w",
        trigger=rb"xox[abeoprs]-|xapp-[0-9]|hooks\.slack\.com/services/",
    ),
    _token(
        "stripe", rb"[sr]k_(?:live|test)_[A-Za-z0-9]{16}|whsec_[A-Za-z0-9+/]{24}", trigger=rb"k_(?:live|test)_|whsec_"
    ),
    _token(
        "google",
        rb"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20}|GOCSPX-[A-Za-z0-9_-]{20}",
        trigger=rb"AIza|ya29\.|GOCSPX-",
    ),
    _token(
        "model-api", rb"sk-(?:ant|proj|svcacct|or)-[A-Za-z0-9_-]{20}|sk-[A-Za-z0-9]{40}", trigger=rb"sk-[A-Za-z0-9]"
    ),
    _token(
        "vendor",
        rb"npm_[A-Za-z0-9]{36}|pypi-AgEI[A-Za-z0-9_-]{32}|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}|hf_[A-Za-z0-9]{34}"
        rb"|do[oprt]_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|dapi[a-f0-9]{32}|hvs\.[A-Za-z0-9_-]{24}"
        rb"|dckr_pat_[A-Za-z0-9_-]{20}|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
        trigger=rb"npm_|pypi-A|SG\.|hf_|_v1_|shp[acps][ats]_|dapi[a-f0-9]|hvs\.|dckr_|:AA[A-Za-z0-9_-]{8}",
    ),
    _token(
        "password-hash",
        rb"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}|\$[56y]\$[./A-Za-z0-9=$]{1,60}\$[./A-Za-z0-9]{40}|\$argon2id?\$v=",
        trigger=rb"\$(?:2[aby]|[56y]|argon2id?)\$",
        reach=confirm.reach(rb"[A-Za-z0-9./$=,+]*"),
    ),
    _token(
        "jwt",
        rb"(e(?:yJ|yA|wo|wk)[A-Za-z0-9_-]{5,})\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*",
        confirm.is_jwt,
        trigger=rb"e(?:yJ|yA|wo|wk)[A-Za-z0-9_-]{5,}\.",
    ),
    Rule(
        "jwk",
        (CREDENTIAL,),
        rb"\"d\\?\"\s*:\s*\\?\"([A-Za-z0-9_-]{40})",
        trigger=rb"\"kty\\?\"",
        value=1,
        reach=_to_the_end,
    ),
    Rule(
        "connection",
        (CREDENTIAL,),
        rb"://([^\s:/@\"\x27<>]{0,64}):([^\s@/\"\x27<>]{3,128})@[A-Za-z0-9\[]",
        confirm.is_connection,
        trigger=rb"://[^\s:/@\"\x27<>]*:[^\s@/\"\x27<>]+@",
        value=2,
    ),
    Rule(
        "assigned",
        (CREDENTIAL,),
        rb"(?i)([\w.-]{0,32})(" + _SECRET_NAMES + rb")" + _ASSIGNED + rb"([^\s\"\x27\x60,;<>&\\]{8,200})",
        confirm.is_assigned,
        trigger=rb"(?i)(?:" + _SECRET_NAMES + rb")" + _ASSIGNED + rb"[^\s\"\x27\x60,;<>&\\]{4}",
        value=3,
        reach=_of_value,
    ),
    Rule(
        "option",
        (CREDENTIAL,),
        rb"(?i)--(?:[a-z]+-)?(?:password|passphrase|token|secret|api-key)[ =][\"\x27]?([^\s\"\x27]{8,200})",
        confirm.is_borne,
        trigger=rb"(?i)--(?:[a-z]+-)?(?:password|passphrase|token|secret|api-key)[ =]",
        value=1,
        reach=confirm.reach(rb"[^\s\"\x27]*"),
    ),
    Rule(
        "bearer",
        (CREDENTIAL,),
        rb"(?i)(?:bearer|basic|authorization:? token)[ :]{1,2}([A-Za-z0-9._~+/=-]{16,})",
        confirm.is_borne,
        trigger=rb"(?i)(?:bearer|basic|authorization:? token)[ :]{1,2}[A-Za-z0-9._~+/=-]{8}",
        value=1,
    ),
    Rule(
        "medical-record",
        (PHI,),
        rb"(?i)" + _RECORD + rb"(?:[ _-]?(?:no|nr|number|id))?[^0-9A-Za-z\n]{1,6}(?:is )?[A-Z]{0,3}-?[0-9]{5,10}",
        trigger=rb"(?i)" + _RECORD,
        reach=confirm.reach(rb"[0-9A-Za-z]*"),
    ),
    Rule(
        "icd-10",
        (PHI,),
        rb"\b[A-TV-Z][0-9][0-9AB]\.[0-9A-TV-Z]{1,4}\b"
        rb"|(?i:\bicd(?:-?10)?(?:-cm)?(?: code)?\W{1,4})[A-TV-Z][0-9][0-9AB]\b",
        confirm.is_icd,
        trigger=rb"\b[A-TV-Z][0-9][0-9AB]\.[0-9A-TV-Z]|(?i:\bicd)",
    ),
    Rule(
        "iban",
        (PII, FINANCIAL),
        rb"[A-Z]{2}[0-9]{2}[ -]?[A-Z0-9]{4}[ -]?[A-Z0-9]{4}",
        confirm.is_iban,
        again=True,
        reach=confirm.iban_reach,
    ),
    Rule("card", (FINANCIAL,), rb"[0-9](?:[ -]?[0-9]){12,}", confirm.is_card, trigger=rb"[0-9](?:[ -]?[0-9]){12}"),
    Rule(
        "email",
        (PII,),
        rb"([A-Za-z0-9_\x80-\xff][A-Za-z0-9._+\x27\x80-\xff-]*)(?:@|%40)"
        rb"((?:[A-Za-z0-9\x80-\xff-]{1,63}\.){1,8}[A-Za-z]{2,24})",
        confirm.is_email,
        trigger=rb"[A-Za-z0-9_.+-](?:@|%40)[A-Za-z0-9\x80-\xff-]+\.[A-Za-z0-9]",
    ),
    Rule(
        "phone",
        (PII,),
        rb"(?:\+|%2B)([1-9](?:[ .()/-]{0,2}[0-9]){7,14})",
        confirm.is_phone,
        trigger=rb"(?:\+|%2B)[1-9][0-9 .()/-]{8}",
    ),
    Rule(
        "phone-at-home",
        (PII,),
        rb"(?i)" + _PHONE_WORD + rb"(\(?[0-9][0-9 ().-]{7,18}[0-9])",
        confirm.is_phone_at_home,
        trigger=rb"(?i)" + _PHONE_WORD + rb"\(?[0-9]",
        value=1,
    ),
    Rule(
        "ssn",
        (PII,),
        rb"[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}",
        confirm.is_ssn,
        trigger=rb"[0-9]{3}-[0-9]{2}-[0-9]{4}|(?i:ssn\b|\bssn|social[ _-]?security|tax[ _-]?id)",
    ),
    Rule("birth", (PII,), rb"(?i)" + _BIRTH + rb"[^0-9\n]{1,24}" + _DATE, trigger=rb"(?i)" + _BIRTH),
    Rule(
        "numbered",
        (PII,),
        rb"(?i)\b"
        + _NUMBERED
        + rb"(?:[ _-]?(?:no|number|nr|num|id))?[^0-9A-Za-z\n]{1,6}(?:is )?([0-9A-Z][0-9A-Z .-]{4,14}[0-9A-Z])",
        confirm.is_numbered,
        trigger=rb"(?i)\b" + _NUMBERED,
        value=2,
    ),
    Rule("cpf", (PII,), rb"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", confirm.by(checksums.cpf)),
    Rule(
        "national-register",
        (PII,),
        rb"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}",
        confirm.by(checksums.national_register),
    ),
    Rule(
        "codice-fiscale",
        (PII,),
        rb"[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]",
        confirm.by(checksums.codice_fiscale),
    ),
    Rule(
        "resident-id",
        (PII,),
        rb"[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9]{4}[0-9X]",
        confirm.by(checksums.resident_id),
    ),
    Rule(
        "nir",
        (PII,),
        rb"[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]) ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
        confirm.by(checksums.nir),
    ),
)
