"""One action for a person: what exactly, decided how, for whom, on what grounds, and how it came to it."""

from __future__ import annotations

from typing import Any, Final

from navicert.asking.words import value_text
from navicert.cli.terminal import Terminal, pad
from navicert.cli.view import CAME, View, labels_word, release_text, resolution_text, shadow_text
from navicert.core.inert import brief

LONGEST: Final = 600


def show_action(out: Terminal, document: dict[str, Any]) -> None:
    """Write one action for a person: what exactly, decided how, for whom, and how it came to it."""
    receipts = document["receipts"]
    first, last = receipts[0], receipts[-1]
    action, decision = first["action"], first["decision"]
    final = next((item["decision"] for item in receipts[::-1] if item["decision"]), decision)
    # an outcome repeats the decision that it completes, and that one discloses the reason
    reason = next((item["decision"]["reason"] for item in receipts[::-1] if (item["decision"] or {}).get("reason")), "")
    out.title(f"{action['name']}   {document['action_id']}", f"{first['at'][:19].replace('T', ' ')} UTC")
    out.fields([("digest", action["digest"])])
    head = f"  {'verdict':<14}"
    out.say(f"{out.style(head, 'dim')}{out.verdict(final['verdict'])}  {brief(reason, out.width - 27)}")
    part = decision["policy"]
    out.fields(
        [
            ("rules", ", ".join(decision["rules"]) or "none matched: the posture decides"),
            ("class", f"{decision['classification']}, {decision['reason_code']}"),
            ("policy", f"{part['id']} version {part['version']}"),
            ("", f"sha256 {part['hash']}"),
            ("in shadow", brief(shadow_text(decision), 240)),
            *_resolved(receipts),
            ("now", brief(_now(document["state"], last, document["action_id"]), 240)),
        ]
    )
    _section(out, "What exactly", _parameters(action["parameters"]))
    if action["effective"] is not None:
        _section(out, "Changed by the policy", _parameters(_changes(action)))
        out.fields([("digest then", action["effective_digest"])])
    _section(out, "For whom", _identity(first, document))
    _section(out, "On what grounds", _grounds(first, document["earlier"]))
    _prior(out, document)
    show_receipts(out, receipts)


def _section(out: Terminal, name: str, pairs: list[tuple[str, str]]) -> None:
    out.say()
    out.say(out.style(name, "bold"))
    out.fields(pairs)


def _resolved(receipts: list[View]) -> list[tuple[str, str]]:
    """Say how a wait was resolved: by what, by whom, when, over which digest."""
    lines: list[tuple[str, str]] = []
    for item in receipts:
        if item["kind"] != "resolution":
            continue
        lines.append(("after waiting", brief(f"{item['at'][:19].replace('T', ' ')} UTC  {resolution_text(item)}", 400)))
        for part in item["approval"]:
            who = part["approver"] or part["approver_id"]
            lines.append(("", brief(f"{who}, {part['role']}, at {part['at'][:19].replace('T', ' ')} UTC", 200)))
            lines.append(("", f"over {part['digest']}" if part["digest"] else ""))
    return lines


def _now(state: str, last: View, action_id: str) -> str:
    if state == "open":
        return f"open: no outcome is recorded; once you know whether it ran, `navicert settle {action_id}`"
    if last["kind"] != "outcome":
        return {"refused": "refused; nothing ran", "waiting": "held; nothing has run"}[state]
    done = last["execution"]
    by = f", settled by {done['settled_by']}" if done["settled_by"] else ""
    gave = f"gave back {labels_word(done)}" if done["success"] else f"failed: {done['error']}"
    kept = f", {'result' if done['success'] else 'words'} {release_text(done)}" if done["released"] else ""
    if kept and done["released"]["how"] == "withheld" and done["success"]:
        gave = "gave back nothing"
    return f"{'ran' if done['success'] else 'ended'} at {done['completed_at'][11:19]} UTC, {gave}{kept}{by}"


def _parameters(values: View | None) -> list[tuple[str, str]]:
    """Nothing of ours stands on a line with an agent's text, so that the one cannot be taken for the other."""
    if values is None:
        return [("withheld", "erased, or their key is not here")]
    return [(brief(name, 48), brief(value_text(value), LONGEST) or "(empty)") for name, value in values.items()]


def _changes(action: View) -> View:
    """Return the parameters that run otherwise than they were asked for."""
    asked, runs = action["parameters"] or {}, action["effective"]
    changed = {name: value for name, value in runs.items() if name not in asked or asked[name] != value}
    return changed | {name: "(dropped)" for name in asked if name not in runs}


def _identity(first: View, document: dict[str, Any]) -> list[tuple[str, str]]:
    who = first["requester"]
    chain = [f"{link['delegator']} → {link['delegatee']} ({', '.join(link['scope'])})" for link in who["delegation"]]
    marks = {"development": "taken on the application's word", "unverified": "could not be verified"}
    identity = who["identity"] + (f": {marks[who['identity']]}" if who["identity"] in marks else "")
    request = document["request"]
    return [
        ("request", brief(f"“{request}”", LONGEST) if request is not None else "not available"),
        *[("and then", brief(f"“{text}”", LONGEST)) for text in document["said"] or ()],
        ("human", brief(f"{who['human'] or '(withheld)'}   {who['human_id']}", 90)),
        ("service", brief(who["service"], 80)),
        ("agent", brief(who["agent"], 80)),
        ("delegated", brief("; ".join(chain), LONGEST)),
        ("session", who["session"] or "none"),
        ("scope", brief(", ".join(who["scope"]), 200) + (f"; roles {', '.join(who['roles'])}" if who["roles"] else "")),
        ("identity", identity),
    ]


def _grounds(first: View, earlier: str | None) -> list[tuple[str, str]]:
    evaluated = first["decision"]["evaluated"] or {}
    context = first["context"]
    signals = evaluated.get("signals", {})
    known = [f"{name} = {value_text(value)}" for name, value in signals.get("values", {}).items()]
    known += [f"{name} unknown ({why})" for name, why in signals.get("unknown", {}).items()]
    return [
        ("labels", labels_word(context) or "no session, so no context"),
        ("of these", f"{earlier} from earlier sessions" if earlier else ""),
        ("signals", brief(", ".join(known), LONGEST)),
        ("context", f"{context['length']} entries, digest {context['hash'][:32]}" if context else ""),
        ("separation", _separation(first["separation"])),
    ]


def _separation(word: str | None) -> str:
    return "none: agent and engine run as the same user; this is a fence, not a wall" if word == "none" else word or ""


def _prior(out: Terminal, document: dict[str, Any]) -> None:
    prior, count = document["prior"], document["prior_count"]
    out.say()
    if prior is None:
        out.say(out.style("Before it: ", "bold") + "not available")
        return
    out.say(out.style("Before it, in this session", "bold") + (f"   the last {len(prior)} of {count}" if count else ""))
    if not prior:
        out.say("  nothing")
    for item in prior:
        gave = "" if item["gave"] == "PUBLIC" else f"gave {item['gave']}"
        out.say(f"  {item['at'][11:19]}  {out.verdict(item['verdict'])}  {pad(item['name'], 22)}  {pad(gave, 52)}")


def show_receipts(out: Terminal, receipts: list[View]) -> None:
    """Write which receipts there are of an action."""
    if not receipts:
        return
    out.say()
    out.say(out.style("Receipts", "bold"))
    for item in receipts:
        place = f"entry {item['log']['seq']} of {item['log']['origin']}"
        if item["session"] is not None:
            place += f", place {item['session']['seq']} in its session"
        signature = item["signature"]
        out.fields(
            [
                (item["kind"], f"{item['receipt_id']}, {place}"),
                ("", f"after {item['log']['prev']}"),
                ("", f"signed by {signature['key_id']}"),
            ]
        )


def show_records(out: Terminal, receipts: list[View]) -> None:
    """Write records of the log's own."""
    for item in receipts:
        out.title(f"{item['kind']}   {item['receipt_id']}", f"{item['at'][:19].replace('T', ' ')} UTC")
        policy, key = item["policy"], item["key"]
        out.fields(
            [
                ("policy", f"{policy['id']} version {policy['version']}, sha256 {policy['hash']}" if policy else ""),
                ("new key", f"{key['key_id']} ({key['algorithm']})" if key else ""),
                *_authority(item["authority"]),
                *_approver(item["approver"]),
                *_erasure(item["erasure"], item["approval"]),
                *_canary(item["canary"]),
                ("separation", _separation(item["separation"])),
            ]
        )
        show_receipts(out, [item])


def _authority(part: View | None) -> list[tuple[str, str]]:
    if part is None:
        return []
    return [
        ("authority", brief(f"of {part['subject']}: {part['before']} → {part['after']}, epoch {part['epoch']}", 200)),
        ("by", brief(part["by"] or "(withheld)", 120)),
        ("because", brief(part["reason"] or "(withheld)", 480)),
    ]


def _erasure(part: View | None, said: list[View]) -> list[tuple[str, str]]:
    if part is None:
        return []
    return [
        ("erasure", f"of {part['subject']}: {part['state']}"),
        ("by", brief(", ".join(item["approver"] or item["approver_id"] for item in said), 200)),
        ("because", brief(part["reason"] or "(withheld)", 480)),
    ]


def _canary(part: View | None) -> list[tuple[str, str]]:
    if part is None:
        return []
    denied = part["action"] or "no decision stands in the log"
    return [("canary", brief(f"over {part['surface']}: {CAME[part['result']]}", 200)), ("action", denied)]


def _approver(part: View | None) -> list[tuple[str, str]]:
    if part is None:
        return []
    what = (
        f"may not answer any more, from {part['until'][:19].replace('T', ' ')} UTC" if part["until"] else "may answer"
    )
    return [("approver", brief(f"{part['name'] or part['approver_id']}: {what}", 200)), ("key", part["key_id"])]
