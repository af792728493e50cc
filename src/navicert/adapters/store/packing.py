"""Packing: what is sealed takes less room when it is compressed first, by a dictionary of the words of our own formats.

* The first byte says how to read a value: `1`, raw DEFLATE (RFC 1951) with `WORDS`; `[` or `{`, as it stands. So what
  was stored before this was made still opens. `WORDS` never changes: other words are another first byte.
* A length tells how alike its parts are. Whoever reads lengths here and also words requests may guess at the rest of
  one disclosure; who may not have the file sees neither.
"""

from __future__ import annotations

from typing import Final
from zlib import DEFLATED, MAX_WBITS, compressobj, decompressobj
from zlib import error as zlib_error

SHORTEST: Final = 160
"""Below, next to nothing is won."""
LONGEST: Final = 65_536
"""Above, it takes milliseconds, for which others wait."""
_PACKED: Final = b"\1"
WORDS: Final = (
    b'"conflicting":true,"said":["delegation":["inherited":{"text":"","type":"user_said"}"token":"","type":"renewed"}'
    b'"resources":["depth":1"handle":"type":"resolution""verdict":"STEP_UP""DEFER""MODIFY""DENY"'
    b'"name":"source":"value":"type":"observed"}"claims":{"human":"agent":"roles":["salt":"session_id":"ses_01'
    b'no rule permits this; the posture isa rule forbids thisa rule asks people"]\n["","/deferral/facts",['
    b'\n["","/action/effective",{\n["","/authority/reason",{"by":"reason":'
    b" the of and to in is that this with for have been are was not on from by which be as or all will can you it "
    b'"path":"url":"https://http://www.com/"query":"command":"name":"message":"content":"text":"title":"id":true,false,'
    b'null,"limit":"subject":"to":"level":2,"categories":["PII"]["","/execution/output",{"'
    b'{"action_id":"act_01","at":17,"labels":{"level":1},"succeeded":true,"type":"result"}'
    b'{"action_id":"act_01","at":17,"digest":"","entities":["@example.com"],"name":".","owner":"eng_01","risk":0,'
    b'"type":"attempt","verdict":"ALLOW"}["","/action/parameters",{"body":"."}]\n["","/requester_context/human_name","'
    b'"]\n["","/decision/reason","a rule permits this"]\n["","/decision/evaluated",{"evidence":[{"issuer":"","method":'
    b'"development","subject":"","verified_at":17},{"issuer":"","method":"development","subject":"","verified_at":17'
    b'}],"labels":{"level":1},"now":17,"profile":{"content":["body"],"destination":["to"],"effect":"send","read",'
    b'"returns":{"level":1},"tool":""},"shared":{"sticky":{"level":1}},"signals":{"values":{"protected":false,'
    b'"sensitive_categories":[],"sensitive_level":"PUBLIC"}}}]'
)

_PRIMED: Final = compressobj(1, DEFLATED, -13, 6, zdict=WORDS)
"""Copied for each value, which is quicker than to take in the words anew: so its window is a small one."""


def pack(data: bytes) -> bytes:
    """Return the value in less room, or as it stands where that would win little or take long. JSON is expected."""
    if data[:1] != _PACKED and not SHORTEST <= len(data) <= LONGEST:
        return data
    press = _PRIMED.copy()
    packed = _PACKED + press.compress(data) + press.flush()
    return packed if len(packed) < len(data) or data[:1] == _PACKED else data


def unpack(data: bytes) -> bytes:
    """Return the value; raises `ValueError` where it is not a whole one."""
    if data[:1] != _PACKED:
        return data
    opened = decompressobj(-MAX_WBITS, zdict=WORDS)
    try:
        value = opened.decompress(data[1:])
    except zlib_error as error:
        raise ValueError(f"not packed: {error}") from None
    if not opened.eof or opened.unused_data:
        raise ValueError("not packed: cut off, or with more behind it")
    return value
