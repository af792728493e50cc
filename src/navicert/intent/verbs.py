"""The field's verbs, and what each does to the world: one small table for requests, tools and results alike (R3).

* A verb stands for one effect, or for few. What it acts on may make another of it: `create user` grants, `place an
  order` pays, `change the password` changes credentials (`effects_of`).
* Words are compared as lemmas: `sending`, `sent`, `sends` are `send`. The tables are data; nothing in them is of one
  product.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from navicert.model.action import Effect

_SPOKEN: Final[dict[Effect, str]] = {
    Effect.READ: (
        "get read list search find fetch look check show view see browse visit open query lookup describe summarize"
        " summarise count compare calculate compute analyze analyse tell give recommend suggest explain translate"
        " retrieve inspect review monitor scan watch preview validate verify know learn identify determine extract"
        " navigate crawl scrape parse detect classify estimate display explore discover filter track measure evaluate"
    ),
    Effect.WRITE: (
        "write create add append update edit modify change set save store make build draft generate record log insert"
        " upload rename move copy put replace adjust reschedule schedule book reserve register mark tag label assign"
        " plan organize organise fill complete install download fix merge commit close reopen archive import convert"
        " arrange sort enable disable start stop pause resume configure duplicate patch clone fork attach link star"
        " pin resolve export sync restore bookmark follow rate vote initialize initialise exchange"
    ),
    Effect.DELETE: (
        "delete remove erase purge drop clear wipe destroy trash cancel discard unsubscribe uninstall revert reset"
        " truncate kill terminate ban unpublish"
    ),
    Effect.SEND: (
        "send ship dispatch email mail reply respond answer forward message text notify tell inform contact post"
        " publish share tweet"
        " comment announce submit invite transmit broadcast write call dm ping greet thank push release remind alert"
        " repost retweet fax deliver"
    ),
    Effect.PAY: (
        "pay transfer wire refund reimburse buy purchase order donate invest tip remit settle withdraw deposit charge"
        " checkout top subscribe trade sell bid repay"
    ),
    Effect.GRANT: (
        "grant invite share authorize authorise permit allow promote enroll delegate whitelist collaborate approve"
        " unblock unban onboard admit"
    ),
    Effect.EXECUTE: (
        "run execute exec eval evaluate invoke launch deploy spawn compile test script trigger rerun restart reboot"
    ),
    Effect.CREDENTIALS: "login authenticate rotate revoke signup signin",
}
_NAMED: Final[dict[Effect, str]] = {
    Effect.READ: (
        "render screenshot snapshot capture peek poll echo diff stat head tail cat grep glob ls whoami hover scroll"
        " wait match sample think introspect sniff status hash tokenize recall recollect"
    ),
    Effect.WRITE: (
        "upsert init branch checkout rebase stash select transition toggle switch flip unpin detach unlink mute unmute"
        " unfollow favorite favourite note remember memorize reorder snooze react unassign unarchive mkdir touch type"
        " drag resize leave join pull scale like unlike overwrite increment decrement ingest index annotate transform"
        " compress crop suspend lock activate play mv cp"
    ),
    Effect.DELETE: (
        "rm rmdir del flush prune kick block evict expunge dismiss reject decline unset unregister deactivate forget"
    ),
    Effect.SEND: "dispatch sms whatsapp ask crosspost advertise chat proxy escalate",
    Effect.PAY: "topup payout stake swap rent prepay redeem finalize finalise capture",
    Effect.GRANT: "allowlist expose assume elevate chmod chown",
    Effect.EXECUTE: "apply provision rollout rollback click press automate bash shell shutdown call install",
    Effect.CREDENTIALS: "logout signout impersonate sudo unlock",
}
"""Verbs that names of tools use, and that mean something else, or nothing, in what people ask for."""


def words(text: str) -> frozenset[str]:
    """Return the words of a list, one blank between them."""
    return frozenset(text.split())


def _by_verb(*tables: dict[Effect, str]) -> dict[str, tuple[Effect, ...]]:
    found: dict[str, tuple[Effect, ...]] = {}
    for table in tables:
        for effect, verbs in table.items():
            for verb in verbs.split():
                if effect not in found.get(verb, ()):
                    found[verb] = (*found.get(verb, ()), effect)
    return found


VERBS: Final[dict[str, tuple[Effect, ...]]] = _by_verb(_SPOKEN)
NAMED: Final[dict[str, tuple[Effect, ...]]] = _by_verb(_SPOKEN, _NAMED)

_PAIRS: Final = _by_verb(
    {
        Effect.READ: "look-up look-at look-for find-out take-screenshot take-snapshot go-to print-out check-on",
        Effect.WRITE: (
            "set-up back-up check-in write-down note-down turn-on turn-off turn-up turn-down fill-in fill-out clean-up"
            " opt-in put-on"
        ),
        Effect.DELETE: "throw-away take-down opt-out call-off wipe-out tear-down",
        Effect.SEND: "hand-over get-back send-out pass-on reach-out give-away hand-off",
        Effect.PAY: "check-out top-up cash-out cash-in pay-out pay-back pay-off buy-out chip-in",
        Effect.GRANT: "let-in give-access give-permission open-up port-forward",
        Effect.EXECUTE: "shut-down spin-up roll-out roll-back start-up boot-up kick-off",
        Effect.CREDENTIALS: "sign-up sign-in sign-on sign-out log-in log-on log-out log-off",
    }
)
PHRASES: Final[dict[tuple[str, str], tuple[Effect, ...]]] = {
    (first, second): effects for pair, effects in _PAIRS.items() for first, second in [pair.split("-")]
}
"""Verbs of two words, as lemmas."""

_LIGHT: Final = words(
    "do make take perform place submit process handle initiate give request issue complete confirm conduct carry finish"
    " execute run raise file open lodge start return"
)
"""Verbs that say little: what they act on says what is done."""
_MAKING: Final = _LIGHT | words(
    "create add send schedule approve authorize capture prepare queue move put set post write new finalize"
)
_CHANGING: Final = _MAKING | words(
    "update change modify edit enable disable generate rotate reset store save replace register upload remove delete"
    " configure upsert patch adjust renew regenerate clear attach assign bind"
)
_ROWS: Final[tuple[tuple[frozenset[str], str, Effect], ...]] = (
    (
        _CHANGING,
        (
            "password passphrase passcode passwd pwd pin 2fa mfa totp otp credential token secret apikey api_key"
            " secret_key access_key authenticator two_factor login"
        ),
        Effect.CREDENTIALS,
    ),
    (
        _CHANGING - {"delete", "remove", "clear"},
        (
            "permission access acl role collaborator membership privilege visibility sharing ownership iam rbac ssh_key"
            " deploy_key public_key gpg_key firewall admin invitee"
        ),
        Effect.GRANT,
    ),
    (words("add create invite register new"), "user member account teammate", Effect.GRANT),
    (words("open"), "account port firewall ingress inbound access", Effect.GRANT),
    (words("make set"), "public world_readable", Effect.GRANT),
    (words("close"), "account", Effect.DELETE),
    (words("transfer escalate"), "human agent person support representative operator call user customer", Effect.SEND),
    (words("transfer"), "ownership owner repo repository project domain", Effect.GRANT),
    (words("transfer"), "file folder document data", Effect.WRITE),
    (words("apply"), "coupon discount promo label filter template patch edit", Effect.WRITE),
    (words("apply"), "gift_card voucher credit", Effect.PAY),
    (words("return"), "order item product purchase goods package delivery", Effect.PAY),
    (
        _MAKING,
        (
            "payment transfer purchase order refund donation payout charge money fund cash bid deposit withdrawal"
            " certificate voucher credit checkout payroll reimbursement remittance trade gift_card transaction tip bet"
        ),
        Effect.PAY,
    ),
    (
        words("update change modify edit adjust release verify validate"),
        "payment transfer payout transaction",
        Effect.PAY,
    ),
    (
        _MAKING - {"prepare"},
        (
            "message comment reply email mail post tweet notification announcement dm invitation invite letter call"
            " alert sms text story newsletter review feedback"
        ),
        Effect.SEND,
    ),
    (
        words("start trigger dispatch rerun queue schedule create submit new enable resume call make"),
        (
            "workflow pipeline job build script command process container pod function lambda vm instance deployment"
            " daemon cron hook runner sandbox droplet"
        ),
        Effect.EXECUTE,
    ),
    (words("execute run perform"), "query select sql statement", Effect.EXECUTE),
    (
        words("execute run perform do make take conduct start"),
        "search lookup check analysis calculation snapshot screenshot comparison research scan find inspection",
        Effect.READ,
    ),
    (words("convert"), "time timezone currency unit temperature measurement", Effect.READ),
    (words("open"), "issue ticket pr pull_request request case tab", Effect.WRITE),
    (words("share invite"), "post link story thought moment news update", Effect.SEND),
    (words("checkout check-out"), "git branch repo repository commit ref head", Effect.WRITE),
    (words("reset"), "git head index branch repo repository view filter zoom", Effect.WRITE),
    (words("log status"), "git repo repository", Effect.READ),
    (words("watch review"), "repository repo thread", Effect.WRITE),
    (words("recall"), "message mail email", Effect.DELETE),
    (words("call"), "tool function api endpoint method", Effect.EXECUTE),
)
"""Verbs, the objects that make another effect of them, and that effect; the first that fits stands."""
_OBJECTS: Final = tuple((verbs, words(objects), effect) for verbs, objects, effect in _ROWS)


def effects_of(verb: str, objects: Iterable[str] = ()) -> tuple[Effect, ...]:
    """Return what a verb does to such objects; several where the words leave it open, none for no verb.

    verb: a lemma, or two joined by a hyphen (`check-out`). objects: lemmas of what it acts on, without what it is done
    to, for or in; two may be joined by `_` (`ssh_key`).
    """
    given = tuple(objects)
    for verbs, things, effect in _OBJECTS:
        if verb in verbs and not things.isdisjoint(given):
            return (effect,)
    if verb in _LIGHT:
        for each in given:
            if each in VERBS and each not in _LIGHT:
                return VERBS[each]
    return _PAIRS.get(verb, ()) or NAMED.get(verb, ())


def is_light(verb: str) -> bool:
    """Whether a verb says little by itself: `make`, `place`, `take`."""
    return verb in _LIGHT


_IRREGULAR: Final = {
    form: base
    for base, forms in {
        "send": "sent", "buy": "bought", "pay": "paid", "sell": "sold", "write": "wrote written", "give": "gave given",
        "get": "got gotten", "find": "found", "tell": "told", "make": "made making", "see": "saw seen",
        "know": "knew known", "withdraw": "withdrew withdrawn", "run": "ran", "build": "built",
        "choose": "chose chosen",
        "take": "took taken", "put": "putting", "hide": "hid hidden", "leave": "left", "do": "did done does",
        "go": "went gone goes", "id": "ids", "be": "is are was were been being am", "have": "has had having",
        "think": "thought", "cancel": "cancelled canceled cancelling canceling", "person": "people persons",
        "child": "children", "man": "men", "woman": "women", "die": "dying", "lie": "lying", "tie": "tying",
        "reset": "resetting", "set": "setting", "begin": "began begun", "mail": "e-mail e-mails", "access": "accesses",
        "address": "addresses", "movie": "movies", "cookie": "cookies", "teach": "taught", "keep": "kept",
        "hold": "held",
        "spend": "spent", "lend": "lent", "rewrite": "rewrote rewritten", "bring": "brought", "meet": "met",
        "overwrite": "overwritten",
    }.items()
    for form in forms.split()
}  # fmt: skip
_SAME: Final = words(
    "status news series business analysis bonus canvas bus virus previous various always this his its us plus minus"
    " address access process press less unless across kubernetes postgres redis aws dns css https bias basis gas lens"
    " settings species sms"
)
_SHORT: Final = 3


@lru_cache(maxsize=8192)
def lemma(word: str) -> str:
    """Return the base of a word in lower case: `sends`, `sending`, `sent` → `send`; `bills` → `bill`.

    What is not known to be a verb keeps `-ing` and `-ed`: a `meeting` is no meet.
    """
    word = word.lower()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= _SHORT or word in _SAME or word in NAMED:
        return word
    for ending in ("ing", "ed"):
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            tries = (stem, stem + "e", stem[:-1] if stem[-2:-1] == stem[-1:] else stem, stem.removesuffix("i") + "y")
            return next((each for each in tries if each in NAMED or each in _LIGHT), word)
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is", "'s")):
        return word[:-1]
    return word.removesuffix("'s").removesuffix("\N{RIGHT SINGLE QUOTATION MARK}s")
