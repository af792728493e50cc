"""The words of requests that are not verbs: how people ask, refuse, point back, and what their goals imply (R3).

Tables only. A goal implies a means where every user would agree: who asks to book a room knows that it may be paid for;
who asks to fix a bug wants a file changed and the tests run. What could surprise a user is not in here.
"""

from __future__ import annotations

from typing import Final

from navicert.intent.verbs import words
from navicert.model.action import Effect

R, W, D, S, P, G, X, C = (
    Effect.READ, Effect.WRITE, Effect.DELETE, Effect.SEND, Effect.PAY, Effect.GRANT, Effect.EXECUTE, Effect.CREDENTIALS,
)  # fmt: skip

Effects = tuple[Effect, ...]
PLAIN: Final[dict[str, Effects]] = {"write": (W,), "test": (X,), "build": (X, W), "replace": (W,), "tell": (S,)}
"""Verbs that do less, where nothing behind them says more, than names of tools that begin with them."""
_LETTERS: Final = {"R": R, "W": W, "D": D, "S": S, "P": P, "G": G, "X": X, "C": C}


def _turned(table: dict[str, str]) -> dict[str, str]:
    """Return word → what it belongs to, of a table the other way round."""
    return {word: key for key, text in table.items() for word in text.split()}


def _effects(table: dict[str, str]) -> dict[str, Effects]:
    """Return word → effects, of a table of letters (`WP`: writes and pays) and words."""
    return {word: tuple(_LETTERS[letter] for letter in key) for word, key in _turned(table).items()}


IMPLIED: Final = _effects(
    {
        "RW": "download",
        "WP": "book exchange hire rebook rent reserve return",
        "PW": "buy order purchase refund renew reorder subscribe",
        "P": "donate lend pay settle top-up",
        "W": (
            "address block bump check-in combine commit compose compress copy correct deactivate decrease delay"
            " document draft encrypt extend finish follow format group highlight increase leave lower merge mute"
            " normalise normalize note plot postpone prepare print raise reactivate rebase reduce replace rewrite"
            " set-up setup ship shorten sign split swap switch tackle touch transcribe turn unblock unfollow unzip"
            " upvote visualise visualize zip"
        ),
        "DW": "cancel clean-up tidy-up",
        "WS": (
            "accept apply decline deliver enrol enroll enter file fill-in fill-out input join push register reject"
            " remind upload"
        ),
        "WSC": "sign-up",
        "CS": "log-in login sign-in",
        "SW": "answer comment contest dispute escalate post publish reply report request respond submit write-back",
        "GS": "invite share",
        "S": "acknowledge apologise apologize ask cc complain congratulate get-back introduce message propose welcome",
        "WX": "debug fix implement migrate optimise optimize patch port refactor scaffold scale",
        "XW": "build compile deploy install provision train upgrade",
        "XWS": "release",
        "X": "benchmark lint profile reboot rerun restart test",
        "DWS": "unsubscribe",
        "D": "get-rid",
        "GD": "revoke",
        "R": "choose collect confirm decide gather inspect investigate let-know pick provide rank research use",
        "GW": "approve",
        "WD": "clean dedupe deduplicate",
    }
)
"""A verb of the user's → what it may take, beside what `verbs.effects_of` says. A download is fetched and kept;
a booking is often paid for at once; a form is sent in, a login handed over; code that is changed is tried."""

ORDERS: Final = _effects(
    {
        "PW": "order purchase refund subscription",
        "P": "deposit donation payment reimbursement transfer",
        "WP": "booking exchange replacement reservation return upgrade",
        "SW": "comment post reply response",
        "S": "announcement email mail message tweet",
        "SG": "invitation invite",
        "W": "appointment backup copy draft event issue meeting reminder ticket",
        "DW": "cancellation",
        "R": "comparison list overview recommendation summary translation",
        "RW": "report",
    }
)
"""Nouns that are orders where they stand as one: "refund for order 5, please", "I need a reservation for two"."""

MEETINGS: Final = words("event meeting appointment call lunch dinner breakfast session interview invite reminder")
CONTAINERS: Final = words(
    "channel group team workspace repo repository organization organisation org project slack event meeting invite call"
    " participant attendee member collaborator guest admin"
)
PEOPLE: Final = words("user member colleague person people him her them everyone everybody participant guest team")
MONEY: Final = words(
    "money payment transaction transfer rent fee difference share refund salary deposit balance amount invoice bill"
    " debt euro"
    " dollar franc pound buck usd eur chf gbp change rest remainder"
)
HANDED: Final = words("repository repo domain ownership project ticket license data")
GIVEN: Final = words("access permission role right refund discount money credit tip rating review star feedback")
HANDS_ON: Final = words(
    "do perform follow execute carry-out handle obey act complete work-through go-through take-care deal"
)
DESKS: Final = words(
    "human agent representative person operator support call chat department manager supervisor specialist"
)
BOOKED: Final = words(
    "flight seat cabin reservation booking itinerary baggage bag luggage membership subscription ticket fare class"
    " economy room suite"
)
NAMED_AS: Final = words("called named titled entitled labelled labeled")
CASH: Final = words("money payment difference refund rent deposit euro dollar franc pound buck usd eur chf gbp")
TIMES: Final = MEETINGS | words("hour minute slot time calendar block desk")
FILES: Final = words(
    "file document attachment bill invoice receipt statement report template form certificate photo picture image"
    " video book"
    " pdf cv resume spreadsheet dataset"
)
STANDING: Final = words("rent payment transaction transfer order subscription debit")
TAKES_MONEY: Final = words("send give return forward wire issue move put set-up schedule")
CHANGES_MONEY: Final = words("update adjust change set set-up schedule increase decrease raise lower modify create")

KINDS: Final = _turned(
    {
        "mail": "e-mail email inbox mail",
        "message": "chat conversation dm message slack thread",
        "channel": "channel",
        "file": (
            "attachment contract directory doc document file folder guide manual minutes notes pdf plan policy readme"
            " report runbook sheet spec specification spreadsheet table"
        ),
        "page": "article blog forum link page portal site url web webpage website wiki",
        "bill": "bill invoice receipt",
        "notice": "notice",
        "letter": "letter",
        "issue": "bug issue ticket",
        "pull": "mr pr pull",
        "review": "feedback review",
        "comment": "comment",
        "list": "agenda checklist list to-do to-dos todo todos",
        "event": "calendar event meeting",
        "note": "note",
        "homework": "assignment homework",
        "form": "form",
    }
)
"""What a source can be → its kind."""
TASKS: Final = words(
    "task instruction action step todo todos to-do to-dos request homework assignment item chore exercise procedure"
    " guideline"
    " direction checklist recommendation suggestion order point demand wish list feedback comment review guidance"
)
"""What is done because somebody else wrote it down."""
GOALS: Final = words("issue ticket bug pr comment feedback review homework assignment request")
GUIDES: Final = words(
    "guide tutorial manual runbook playbook readme documentation docs doc plan recipe spec policy workflow"
)
"""What one can follow like instructions."""
DOES: Final = words(
    "do complete perform finish execute follow handle address resolve implement achieve obey honor honour act"
    " carry-out work"
    " take-care deal work-through process tackle fulfill fulfil apply solve accomplish close-out go-through"
)
SAYS: Final = words(
    "say says said ask asks asked want wants wanted request requests requested require requires required describe"
    " describes"
    " specify specifies instruct instructs suggest suggests suggested recommend recommends tell tells told need"
    " needs"
)
AS: Final = words(
    "described specified requested instructed outlined stated mentioned explained indicated listed asked suggested"
    " required"
    " recommended directed noted told defined detailed agreed"
)
PER_SOURCE: Final = frozenset(
    {("according", "to"), ("accordance", "with"), ("line", "with"), ("based", "on"), ("as", "per")}
)
ACHIEVES: Final = words(
    "do achieve execute perform handle follow address resolve implement obey carry-out fulfil fulfill"
)
BACK: Final = frozenset({"it", "that", "this", "so", "them"})

ASKS: Final = (
    "can i get|can i have|could i get|could i have|may i have|can we get|can we have|could we have|can you"
    "|could you|would you|will you|can u|could u|can we|could we|would you mind|do you mind|you can|you could"
    "|you may"
    "|you should|you must|you have to|you need to|you will|you'll|you shall|i want you to|i need you to"
    "|i would like you to"
    "|i'd like you to|i'd love you to|want you to|need you to|like you to|i want|i need|i would like|i'd like"
    "|we need|we want|we'd like|i request|i'm requesting|i am requesting|i want to|i need to|i would like to"
    "|i'd like to"
    "|i'd love to|i wish to|we want to|we need to|we would like to|we'd like to|i have to|we have to|i must|i wanna"
    "|i gotta"
    "|make sure to|make sure that you|make sure you|make sure that|make sure|be sure to|be sure you|ensure that you"
    "|ensure you|ensure that|ensure"
    "|remember to|don't forget to|do not forget to|dont forget to|never forget to|don't hesitate to|do not hesitate to"
    "|don't just|do not just|not only|i need your help to|i need your help with|need your help to"
    "|need your help with|help me to|help me with|help me|help us to|help us|help to|help|go ahead and|let's"
    "|let us|feel free to|your task is to|your job is to|the task is to|your goal is to|the goal is to|try to"
    "|proceed to"
    "|proceed with|start by|start with|begin by|finish by|end by|then by|go and|come and|be so kind as to"
    "|be so kind and"
    "|i'd appreciate you|i would appreciate you|appreciate it if you|it is time to|it's time to|all you need to do is"
    "|what you need to do is|i ask you to|i am asking you to|i'm asking you to|i'd ask you to|i request you to"
    "|you are asked to|you're asked to|take a moment to|have to|need to|first thing to do is to|how about|what about"
)
REFUSES: Final = (
    "do not|don't|dont|does not|doesn't|never|without|instead of|rather than|no need to|not to|avoid|refrain from"
    "|must not"
    "|mustn't|should not|shouldn't|shall not|may not|can not|cannot|can't|will not|won't|would not|wouldn't"
    "|need not|needn't"
    "|not|nor|neither|i don't want you to|i do not want you to|i don't want to|i do not want to|don't want you to"
    "|you don't need to|you do not need to|don't need to|do not need to|don't have to|do not have to|you must not"
    "|you should not"
    "|you shouldn't|you mustn't|you can't|you cannot|you may not|don't you|do not even|don't even|don't ever"
    "|do not ever"
    "|do not try to|don't try to|do not go ahead and|don't go ahead and|not allowed to|forbidden to|hold off on"
    "|hold off|stop"
    "|stop short of|no longer|as opposed to|i won't|i will not|i'll not|i'd rather not|i would rather not"
    "|i'd rather you didn't"
    "|please no|i don't think|i do not think|don't think|do not think|i doubt"
)
TELLS: Final = (
    "how do i|how can i|how could i|how should i|how would i|how to|can i|could i|should i|may i|shall i"
    "|am i able to|how do you"
    "|how does one|do i have to|do i need to|do we need to|do we have to|should we|may we|what happens if i"
    "|is it possible to"
    "|i used to|i had to|i have already|i've already|i already|they can|they could|they should|he can|she can"
    "|who can|that can"
    "|who could|who may|who should|who has to|who need to|which can|which should|that should|that need to"
    "|that have to|who have to"
    "|i can|i could|i will|i'll|i may|i might|we can|we could|we will|we'll|i would|i'd|they will|they need to"
    "|they have to"
    "|he will|she will|he wants to|she wants to|they want to|he needs to|she needs to|wants me to|asked me to"
    "|ask me to|asks me to"
    "|told me to|tell me to|tells me to|want me to|wanted me to|needs me to|reminded me to|remind me to"
    "|remind us to|allows me to|able to"
)
"""How people speak of what they, or others, can or must do: no order."""
GERUNDS: Final = words("by without of than avoid from on off mind start begin with about stop to")
"""After an opening that ends in one of these, `-ing` orders or refuses."""

FILLERS: Final = words(
    "please kindly also then now next first firstly second secondly third thirdly finally lastly last just only"
    " simply again so"
    " ok okay hey hi hello dear yes yeah well and but or thanks thank afterwards afterward later instead"
    " additionally moreover"
    " furthermore otherwise quickly carefully briefly immediately actually maybe perhaps possibly plz pls asap"
    " directly already"
    " always git right sure alright too as well once more go ahead anyway plus meanwhile subsequently once still"
)
GREETINGS: Final = words("hi hey hello dear thanks thank good morning afternoon evening ok okay")
INTROS: Final = words(
    "in on at for from to with after before since because while until as using based given once when whenever if"
    " unless during"
    " next today tomorrow tonight this every each by within depending assuming provided regarding concerning about"
    " considering"
    " following under over per via where wherever though although whether having"
)
IFS: Final = frozenset({"if", "unless", "whenever", "otherwise", "provided", "assuming", "depending"})
SUBORDINATE: Final = words(
    "if unless when whenever once after before because since while until as though although where"
)
ASKING: Final = words(
    "what what's who who's when when's where where's which how how's why whose is are was were do does did has have"
    " had am isn't"
    " aren't doesn't any anything"
)
RELATIVE: Final = words("that which who whom whose where what how why whether because since")
MODALS: Final = words("can could may might will would should must shall")
NOMINAL: Final = words(
    "link way how code instruction instructions permission request option button time reminder plan plans"
    " invitation right rights"
    " ability ones one what where when whether which key url page form attempt order orders command offer need"
    " decision deadline"
    " steps step wants want wanted needs need like likes going have has had used able supposed due promised agreed"
    " asked told tried"
    " failed forgot people users user everyone someone anyone who not chance opportunity reason motivation tool"
    " function"
)
"""Words whose `to …` says what they are for, not what is to be done."""
OTHERS: Final = words(
    "ask tell remind allow let want instruct require inform notify urge encourage expect invite help advise teach"
    " permit text message"
    " email mail write call"
)
"""Verbs whose `to …` is for somebody else to do."""
DETERMINERS: Final = words(
    "the a an my our your his her their its this that these those all each every any both some no another it them"
    " him us me one two"
    " three four five everyone everybody everything"
)
PREPOSITIONS: Final = words(
    "to from with for by on in at of about into onto via using under over after before through as and or if when"
    " unless based"
    " according that which who where regarding so because until since then but between than without per"
)
MANY: Final = words(
    "each every all both any multiple several everyone everybody everything many various respective two three four"
    " five six seven"
    " eight nine ten dozen couple few individually whole entire"
)
LEADS: Final = frozenset({"use", "download", "go", "log-in", "login", "sign-in", "go-to"})
"""Verbs besides those of reading whose `to …` says what they are done for: one logs in to download a file."""
FINITE: Final = words("need needs should must is are was were has have had did does will came arrived says said")
SUBJECTS: Final = words("i we you he she they it there who")
BRIEF: Final = words(
    "quick short brief full partial new friendly polite nice small complete immediate kind formal daily weekly"
)
OWNERS: Final = frozenset({"my", "his", "her", "their", "this", "that"})
HOMOGRAPHS: Final = words(
    "email mail order transfer text review post comment share record log plan change update book test script check"
    " look reply message"
    " call invite mark tag label charge tip top push release reset run build fix view search report access display"
    " estimate measure"
    " track filter patch clone fork link star pin export import vote alert deposit purchase trade refund return"
    " exchange copy list draft"
    " visit contact request start stop pause store save watch sort split set cut read compile drop wire bid input"
    " note answer forward"
    " fax ban format print research file upgrade cancel transmit move make pay rank head sample help bookmark sync"
    " rate archive monitor"
    " commit merge issue process close open complete greet notice register reserve rent hire plan design address"
    " block group document report"
    " sign follow leave port profile scale train plot ship clean increase decrease raise lower delay switch swap"
    " turn research finish"
    " pick collect value mute like welcome approve contest highlight split combine bump tackle touch test use put"
    " take work act"
)
"""Verbs that are nouns, or adjectives, as well."""
ALONE: Final = words(
    "push commit merge reply pay deploy submit publish cancel archive reset restart read check report order buy"
)
"""Those that often end an order with nothing behind: "fix it and push"."""
COMPOUNDS: Final = words(
    "history number status id ids date dates details detail list lists form page confirmation total amount name"
    " names address addresses"
    " code codes title body subject price prices section card server file files folder label queue template"
    " templates results result"
    " suite case cases line lines entry entries thread threads channel app application account accounts button link"
    " header headers count"
    " fee fees rate rates note notes report reports notification notifications policy window log logs summary club"
    " shop store value"
)
AFTER_NOUN: Final = words(
    "of from is was are were has have had says said should will would can could must by about regarding looks seems"
    " needs which that"
    " who contains came went arrived in von vom der des für aus de da di del della du"
)
STOP: Final = words(
    "a an the and or but if then than so of to in on at by for from with without about into onto over under up down"
    " out off as is are was"
    " were be been being am do does did done has have had having i you he she it we they me him her us them my your"
    " his its our their mine"
    " yours this that these those there here what which who whom whose when where why how not no nor only just also"
    " too very can could"
    " will would shall should may might must please kindly any all each every both some such own same more most"
    " other another please let"
    " i'm i'd i'll i've it's don't doesn't didn't can't won't you're that's what's there's let's hi hey hello"
    " thanks thank ok yes need"
    " want like make sure go ahead help get give new via using per after before between during while until because"
    " since again now first"
    " finally lot else well still already either one ones bit much many few little however based according"
    " regarding within back"
)
_DAYS: Final = words(
    "january february march april may june july august september october november december monday tuesday wednesday"
    " thursday friday"
    " saturday sunday am pm"
)
NAMELESS: Final = (STOP - {"new", "de", "may", "will"}) | _DAYS
EMPTY: Final = STOP | NAMED_AS
FOREIGN: Final = words(
    "nicht kein keine keinen nichts niemals ohne und eine einen einem einer der das den dem bitte pas jamais une les"
    " des nunca sin por favor los las el senza gli della una il mit für von"
)
"""Small words of other languages, in lower case: a sentence with one of them is not read."""
CHAINED: Final = words("commit push merge deploy publish submit")
"""Verbs that people chain without objects: "add a test, commit and push"."""
KIND_WORDS: Final = words(
    "great nice good appreciate appreciated grateful kind helpful love thank thanks wonderful glad happy lovely"
)
TWO_WORDS: Final[dict[str, str]] = {
    "get-rid": "get-rid", "carry-out": "carry-out", "take-care": "take-care", "write-back": "write-back",
    "work-through": "work-through", "go-through": "go-through", "close-out": "close-out",
    "check-out": "check-out", "set-up": "set-up", "look-into": "investigate", "figure-out": "find",
    "find-out": "find", "let-know": "let-know", "clean-up": "clean-up", "pick-out": "pick",
    "sum-up": "summarize", "work-on": "work", "deal-with": "deal", "act-on": "act",
    "switch-on": "turn-on", "switch-off": "turn-off", "get-in": "contact", "cc-in": "email",
}  # fmt: skip
