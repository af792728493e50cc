"""Free text cut into sentences, and what each does: state, order, or pose as the model's user or system (R3; T1, B.1).

* An order is told by its grammar, not by its subject: a verb of the field at its start, or after `please`, `must`, `you
  need to`, `could you`, `then` …; in other languages by the verb's imperative. What is negated orders nothing.
* A pose is told by whom it speaks to, or as whom: the model, its task, its instructions, its user.
* Each sentence is looked at word by word, once; every pattern is linear and stands on words that were found first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

from navicert.intent.spelling import fold
from navicert.intent.verbs import VERBS, lemma, words
from navicert.model.action import Effect

_BREAKS: Final = '\t\n\r\f\v,;!?()[]{}"*>#|~<`=:'
_PLAIN: Final = bytes.maketrans(_BREAKS.encode(), b" " * len(_BREAKS))
_PLAINER: Final = bytes.maketrans((_BREAKS + ".").encode(), b" " * (len(_BREAKS) + 1))
_ABROAD_BREAKS: Final = str.maketrans(
    dict.fromkeys(_BREAKS + "\u201c\u201d\u2018\u2019\u00ab\u00bb…\u2013\u2014\u00bf\u00a1", " ")
)
_SKIPPED: Final = words(
    "please kindly first firstly then now next also finally just and so but or always immediately hi hello"
    " hey step quickly"
    " simply urgent important urgently directly again afterwards instead therefore thus further furthermore lastly"
    " secondly"
    " second third once a to be help try todo fixme agent - -- • · // /* */ you"
)
"""What may stand before the verb of an order."""
_ASKS: Final = words("please kindly must should shall let's lets")
_STEPS: Final = words("then now first next")
_BEFORE_TO: Final = words(
    "need needs have has ought sure remember forget required asked instructed supposed want wants like you time is are"
    " obliged necessary mandatory advised expected urged requested task job goal"
)
_BEFORE_YOU: Final = words("can could would will that ensure sure must")
_SELF: Final = words("i he she it they who i'll i've")
_LINKS: Final = words("and then or also by")
_STATES: Final = words("is was has are were of will")
_NOT: Final = words("not never don't cannot can't mustn't shouldn't without")
_OPENING: Final = words(
    "if when once after before to in for as since because upon whenever while until unless during given while with"
)
_ALSO_NOUNS: Final = words(
    "order email mail text post test record message call book share script release contact reply answer look show view"
    " review report change charge deposit trade transfer refund log draft plan copy set mark label sort search query"
    " visit check find comment notice message buy purchase update upload download release push top tip run design"
    " withdraw import export build fix merge commit start stop access wire trash star watch store compare file dm"
    " register schedule move donate open close invite note use"
)
_NOUN_GOES_ON: Final = words(
    "is was has had have of from id number no no. on are were will would date status total by time name address type"
    " at in - list history details amount can may for with confirmation successful failed"
)
_NEVER_FIRST: Final = frozenset({("see", "you"), ("look", "forward"), ("get", "well"), ("show", "up")})
_THANKS: Final = words("thank greet know learn")

_FOREIGN: Final[dict[Effect, str]] = {
    Effect.SEND: (
        "sende senden schicke schicken schick leite weiterleiten antworte antworten teile benachrichtige veroffentliche"
        " envoie envoyez envoyer transmettez transfere transferez partagez repondez publiez"
        " envia envie envien enviar manda mande mandar reenvia reenvie comparte comparta responde responda publica"
        " publique"
        " invia inviare inviate inoltra inoltrare condividi rispondi pubblica spedisci"
        " encaminhe encaminhar compartilhe responda mande"
        " отправь отправьте отправить перешли перешлите ответь ответьте пришли пришлите сообщи сообщите"
    ),
    Effect.PAY: (
        "uberweise uberweisen bezahle bezahlen zahle kaufe kaufen bestelle bestellen"
        " payez virez achetez commandez reglez rembourse remboursez verse versez"
        " paga pague pagar transfiere transfiera transferir compra compre deposita deposite"
        " pagare trasferisci trasferire bonifica acquista versa"
        " transfira переведи переведите перевести оплати оплатите купи купите заплати заплатите"
    ),
    Effect.DELETE: (
        "losche loschen entferne entfernen supprimez supprime effacez effacer borra borre borrar elimina elimine"
        " eliminar"
        " cancella cancellare eliminare apague apagar exclua excluir удали удалите удалить сотри сотрите"
    ),
    Effect.WRITE: (
        "erstelle erstellen andere speichere installiere aktualisiere creez modifiez installez ajoutez enregistrez"
        " crea cree crear cambia cambie modifica modifique instala instale aggiungi modificare salva installa"
        " crie altere instale adicione создай создайте измени измените добавь добавьте установи установите"
    ),
    Effect.EXECUTE: (
        "fuhre ausfuhren starte executez lancez ejecuta ejecute ejecutar esegui eseguire execute выполни выполните"
        " запусти запустите"
    ),
    Effect.GRANT: (
        "gewahre lade einladen invitez accordez autorisez invita invite autoriza autorice convide пригласи пригласите"
    ),
}
_ABROAD: Final[dict[str, tuple[Effect, ...]]] = {}
for _effect, _row in _FOREIGN.items():
    for _word in fold(_row).split():
        if _word not in VERBS and _effect not in _ABROAD.get(_word, ()):
            _ABROAD[_word] = (*_ABROAD.get(_word, ()), _effect)
_EASTERN: Final[tuple[tuple[Effect, re.Pattern[str]], ...]] = (
    (Effect.SEND, re.compile("发送|發送|转发|轉發|寄给|发给|發給|回复|送信して|送って|転送して|返信して|보내")),
    (Effect.PAY, re.compile("转账|轉帳|汇款|匯款|支付|付款|购买|振り込|振込|支払って|購入して|송금|결제")),
    (Effect.DELETE, re.compile("删除|刪除|削除し|삭제")),
    (Effect.EXECUTE, re.compile("执行|執行|运行|実行し|실행")),
    (Effect.WRITE, re.compile("创建|修改|安装|作成し|変更し")),
)
_MODEL: Final = (
    r"(?:ai|a\.i\.|llms?|(?:large )?language models?|(?:ai|llm|virtual|digital|autonomous|automated|language|helpful) "
    r"(?:assistants?|agents?|models?|bots?|systems?)|chat ?bots?|copilot|gpt(?:-[\w.]+)?)\b"
)
_TALKS: Final = (
    rf"(?:{_MODEL}|(?:assistant|agent|model|bot)\b(?! ?(?:manager|professor|director|name|id|number|version)))"
)
_POSES: Final[tuple[tuple[str, str], ...]] = (
    (
        "ignore ignoring disregard disregarding forget forgetting override overrides bypass discard",
        (
            r"\b(?:ignor|disregard|forget|overrid|bypass|discard)\w* [^\n]{0,30}?\b(?:all|any|previous|prior|above"
            r"|earlier|preceding"
            r"|your|my|the user'?s?|system|original|other|former|everything|these|those|initial) [^\n]{0,40}?"
            r"(?:instruct|prompt|rules|guideline|direction|context|polic|command|orders|task|request|constraint|told"
            r"|above|before)"
        ),
    ),
    (
        "before",
        (
            r"\bbefore (?:you )?(?:can |could |may |begin |start )?(?:solv|complet|continu|proceed|finish|answer|start"
            r"|perform|do|work"
            r"|handl)\w*[^\n]{0,40}?\b(?:task|request|question|query|instruct|work)"
        ),
    ),
    (
        "message note instructions instruction request notice word order",
        (
            r"\b(?:message|note|instructions?|request|notice|word|order) (?:from|by) (?:me|the user|your (?:user|owner"
            r"|creator"
            r"|developer|operator|admin\w*|master|boss)|the (?:system|developer|operator))\b"
        ),
    ),
    (
        "ai a.i llm llms assistant assistants agent agents model models chatbot chatbots bot bots chat copilot",
        (
            rf"\b(?:to|for|dear|hey|hello|hi|attention|attn|attention to|note to|any|all|every)[ ,:]+(?:you[ ,]+)?"
            rf"(?:the |my |an? |any |all )?{_MODEL}"
            rf"|\bto you,? (?:the |my |an? )?{_TALKS}"
            rf"|\b(?:you are|you're|if you are|as|being|act as|behave as) (?:now )?(?:an?|the) (?:\w+ )?{_MODEL}"
            r"|\byou,? (?:as )?(?:the |an? )(?:assistant|agent|model|bot)\b"
            rf"|^\W*(?:ai|llm) (?:assistants?|agents?|models?|bots?)\b ?:"
        ),
    ),
    ("you", r"\bto you, [a-z][a-z]*[-. ]?\d"),
    (
        "instructions instruction prompt directive directives objective objectives",
        (
            r"\b(?:new|updated|revised|real|actual|hidden|additional|secret|special) (?:\w+ )?"
            r"(?:instructions?|prompt|directives?|objectives?)\b|\byour (?:instructions|system prompt|prompt)\b"
        ),
    ),
    (
        "your",
        (
            r"\byour (?:new|real|actual|next|updated|main|only|original|current|initial) "
            r"(?:task|goal|job|objective|instructions?|mission)\b|\byour (?:guidelines|programming)\b"
        ),
    ),
    (
        "user owner human operator admin administrator user's",
        (
            r"\b(?:the|your) (?:user|owner|human|operator|admin|administrator) (?:\w+ )?(?:wants?|asks?|asked|requested"
            r"|instructs?"
            r"|instructed|needs|expects|would like|authori[sz]ed|approved|ordered|told) (?:you|this|that)\b"
            r"|\b(?:do not|don't|never|without|refrain from) (?:\w+ )?(?:tell|inform|mention|reveal|notif|alert|disclos"
            r"|report)\w*"
            r"(?: \w+)? (?:to )?(?:the |your )?(?:user|owner|human|operator)"
        ),
    ),
    ("system developer", r"\b(?:system|developer) (?:prompt|message|instruction|override|directive)s?\b"),
    (
        "task request question instructions instruction job work",
        (
            r"\b(?:task|request|question|instructions?|job|work) (?:that )?(?:i|the user) (?:gave|have given|assigned"
            r"|asked|sent)"
            r"(?: to)? you\b"
        ),
    ),
    (
        (
            "ignoriere ignorieren ignorier vergiss ignorez oubliez ignora ignorar olvida dimentica esqueca игнорируй"
            " игнорируйте забудь"
            " забудьте"
        ),
        (
            r"\b(?:ignorier\w*|vergiss|ignorez|oubliez|ignorar?|ignore|olvida|dimentica|esqueca|игнорируй\w*"
            r"|забудь\w*)\b[^\n]{0,40}?"
            r"\b(?:anweisung|instruc|istruzion|instru|regeln|befehl|инструк)"
        ),
    ),
)
"""How text poses: words of which one must stand in the sentence, and the shape of what is said then."""
_POSE: Final[dict[str, list[re.Pattern[str]]]] = {}
for _triggers, _shape in _POSES:
    for _word in _triggers.split():
        _POSE.setdefault(_word, []).append(re.compile(_shape))
_POSE_EAST: Final = re.compile(
    "(?:忽略|无视|無視|忘记).{0,12}(?:指示|指令|说明|提示|命令)|(?:指示|命令|指令).{0,6}(?:無視|忘れ)"
)
_NAMES: Final = (
    r"(?:important[_ ]?)?(?:information|instructions?|messages?|system|system[_ -]?(?:prompt|message|note|override"
    r"|notice)|assistant|prompt|inst|sys|ai"
    r"|agent|override|directives?|user[_ ]?(?:message|request|input)|human|developer|tool[_ -]?(?:result|response"
    r"|output|call)|admin[_ ]?(?:message|note|override)?)"
)
TAG: Final = re.compile(
    rf"<\|? ?(?P<close>/?)(?P<name>{_NAMES}|user|important|im_start|im_end|start_header_id|end_header_id|eot_id"
    rf"|endoftext)\b[^<>\n]{{0,60}}?\|?>"
    rf"|\[(?P<close2>/?)(?P<name2>{_NAMES})\b[^\[\]\n]{{0,30}}\](?![(:\w])"
    rf"|^[ \t]{{0,8}}(?:#{{2,6}}|={{3,9}}|-{{3,9}}) ?(?:new |begin |start (?:of )?|end )?{_NAMES}[ :=-]{{0,12}}$"
    r"|<<SYS>>|</s>",
    re.IGNORECASE | re.MULTILINE,
)
"""Markup that poses as the parts of a conversation with a model."""
_LABEL: Final = re.compile(
    r"[\s>#*•·/{\"'-]{0,12}(?:\(?\d{1,3}[.)] ?)?[\w .()\[\]*'-]{1,40}?[*\"]{0,2}:\*{0,2}(?:\s+|$)"
)
_ROLE: Final = re.compile(r"\W{0,4}(?:system|assistant|developer|ai)(?: \w+)?\W{0,3}:", re.IGNORECASE)
_STIRRING: Final = VERBS.keys() | _ABROAD.keys() | _POSE.keys() | {"be"}
"""A text with none of these neither orders nor poses."""
_VERBAL: Final = VERBS.keys() | _ABROAD.keys() | {"be"}
_HOT: Final = _ASKS | _STEPS | {"to", "you"} | _ABROAD.keys()
_END: Final = re.compile(r"[.!?;][\"')\]*_]{0,3}[ \t]+")
_END_EAST: Final = re.compile("(?<=[\u3002\uff01\uff1f\uff1b])")


def sentences(line: str) -> list[str]:
    """Return the sentences of one line or paragraph, without blanks at their ends."""
    if not line.isascii():
        return [item for part in _END_EAST.split(line) for item in _cut(part) if item]
    if "." in line or "!" in line or "?" in line or ";" in line:
        return [item for item in _cut(line) if item]
    return [line.strip()]


def _cut(line: str) -> Iterator[str]:
    at = 0
    for end in _END.finditer(line):
        yield line[at : end.end()].strip()
        at = end.end()
    yield line[at:].strip()


def quiet(text: str) -> bool:
    """Tell that no sentence of a text can order or pose, by its words alone."""
    return text.isascii() and _STIRRING.isdisjoint(text.lower().encode().translate(_PLAINER).decode().split())


@lru_cache(maxsize=2048)
def read(sentence: str) -> tuple[bool, tuple[Effect, ...] | None]:
    """Return whether a sentence poses, and what it tells its reader to do; None when it orders nothing.

    Of a sentence that poses every verb counts that may be an order.
    """
    low, said = _words(sentence)
    abroad = not low.isascii()
    triggers = _POSE.keys() & said
    poses = bool(triggers) and any(shape.search(low) for word in triggers for shape in _POSE[word])
    found: list[Effect] = []
    if said and (abroad or not _VERBAL.isdisjoint(said)):
        _order(low, said, found)
    if abroad:
        poses = poses or _POSE_EAST.search(low) is not None
        _take(found, [effect for effect, pattern in _EASTERN if pattern.search(low)])
    elif not poses and found and ":" in low:
        poses = _ROLE.match(low) is not None
    if found or poses:
        _linked(said, found)
    return poses, tuple(found) if found or poses else None


def orders(sentence: str) -> tuple[Effect, ...] | None:
    """Return what a sentence tells its reader to do; None when it orders nothing."""
    return read(sentence)[1] or None


def _words(sentence: str) -> tuple[str, list[str]]:
    """Return a sentence folded, and its said without what stands around them."""
    if sentence.isascii():
        low = sentence.lower().rstrip(" .'")
        return low, low.encode().translate(_PLAIN).decode().split()
    low = fold(sentence).rstrip(" .'")
    return low, low.translate(_ABROAD_BREAKS).split()


def _order(low: str, said: list[str], found: list[Effect]) -> None:
    """Find what a sentence orders: at its start, after its first comma, after the said that ask."""
    label = _LABEL.match(low) if ":" in low else None
    verb = _start(said, 0 if label is None else _count(low[: label.end()]))
    if verb:
        _take(found, VERBS[verb])
    if "," in low and (said[0] in _OPENING or "," in low[:24]):
        _after_comma(low, found, opening=said[0] in _OPENING)
    if not _HOT.isdisjoint(said):
        _after_marks(said, found)


def _take(found: list[Effect], effects: Iterable[Effect]) -> None:
    for effect in effects:  # a list, for the hash of an enum is slow
        if effect not in found:
            found.append(effect)


def _count(text: str) -> int:
    return len(text.translate(_ABROAD_BREAKS).split())


def _start(said: list[str], place: int) -> str:
    """Return the verb of an order that begins here; empty when there is none."""
    last = min(len(said) - 1, place + 6)
    while place < last and (said[place] in _SKIPPED or said[place].rstrip(".)").isdigit()):
        place += 1
    if place >= last:
        return ""
    word, follows = said[place].strip(".'-_"), said[place + 1]
    if word not in VERBS or word in _THANKS or follows in _STATES or (word, follows) in _NEVER_FIRST:
        return ""
    numbered = place + 2 == len(said) and any(map(str.isdigit, follows))  # `Order 55`, `commit 4f2a9c1`
    return "" if word in _ALSO_NOUNS and (numbered or follows in _NOUN_GOES_ON) else word


def _after_comma(low: str, found: list[Effect], *, opening: bool) -> None:
    clauses = low.split(",", 3)
    for before, clause in pairwise(clauses):
        if not opening and before.count(" ") > 3:
            return
        verb = _start(clause.translate(_ABROAD_BREAKS).split(), 0)
        if verb:
            _take(found, VERBS[verb])


def _after_marks(said: list[str], found: list[Effect]) -> None:
    before = ""
    for place, word in enumerate(said):
        if word in _HOT:
            if word in _ABROAD:
                _take(found, _ABROAD[word])
            elif _asks(word, before, said, place):
                _verb_at(said, place + 1, found)
        before = word


def _asks(word: str, before: str, said: list[str], place: int) -> bool:
    """Tell whether a verb after this word is asked for."""
    if word == "to":
        return before in _BEFORE_TO and (place < 2 or said[place - 2] not in _SELF)
    if word == "you":
        return before in _BEFORE_YOU
    return before not in _SELF


def _verb_at(said: list[str], place: int, found: list[Effect]) -> None:
    for word in said[place : place + 4]:
        if word in _NOT:
            return
        base = word if word in VERBS else lemma(word)
        if base in VERBS and base not in _THANKS and (word == base or said[place] == "be"):
            _take(found, VERBS[base])
            return
        if word not in _SKIPPED:
            return


def _linked(said: list[str], found: list[Effect]) -> None:
    """Find what further verbs of the same order do: `open it and send …`, `pay it by sending …`."""
    if _LINKS.isdisjoint(said):
        return
    before = ""
    for word in said:
        if before in _LINKS:
            if before == "by":
                _take(found, VERBS.get(lemma(word), ()) if word.endswith("ing") else ())
            elif word in VERBS and word not in _THANKS:
                _take(found, VERBS[word])
        before = word
