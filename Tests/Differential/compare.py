# SPDX-License-Identifier: MIT
"""compare - where two outcomes part first, and which named rule tells why; without a rule it is a finding."""
import re
from typing import NamedTuple

import rules
from outcome import CLOSED, OPEN, REFUSED, SWITCHED, Request, environ_fields

# The kinds of difference, in the order of the table.
KINDS = (
    EVY_LAXER, EVY_STRICTER, EVY_WAITS, PERSISTENCE, SEES, OTHER_STRICTER, OTHER_LAXER, OTHER_WAITS, BEHIND
) = (
    "evy takes what the RFC refuses",
    "evy refuses what the RFC takes",
    "evy waits for more of what is refused",
    "one goes on behind a request, the other does not",
    "a request is not the same",
    "refused, though the RFC and evy take it",
    "taken, though the RFC and evy refuse it",
    "waited for, though the RFC and evy refuse it",
    "behind a difference of evy and the reference",
)


class Difference(NamedTuple):
    """rule: its name, or None for a finding, which `detail` then describes."""

    kind: str
    parser: str
    rule: str | None
    detail: str = ""

    @property
    def name(self):
        return f"{self.kind}: {self.parser}{self.detail and ', ' + self.detail}"


def seen_by(parser, request):
    """A request of evy's as another parser tells the same one."""
    method, target, version, fields, body = request
    if parser == "aiohttp":
        method = method.upper()
    elif parser == "h11":
        fields = tuple((n, v.lower()) if n == b"transfer-encoding" else (n, v) for n, v in fields)
    elif parser == "waitress":
        fields = environ_fields(fields)
    return Request(method, target, version, fields, body)


def told_by(parser, request):
    """A request of another parser as evy would tell it: a higher minor version of 1 is 1.1 (RFC 9110 2.5)."""
    method, target, version, fields, body = request
    if re.fullmatch(rb"1\.[2-9]", version):
        version = b"1.1"
    if parser == "waitress":
        fields = tuple(sorted(fields))
    return Request(method, target, version, fields, body)


def unlike(parser, ours, theirs):
    """The first part of a request that two parsers see differently."""
    ours, theirs = seen_by(parser, ours), told_by(parser, theirs)
    for part, here, there in zip(Request._fields, ours, theirs):
        if parser == "waitress" and part == "fields" and any(n == b"transfer-encoding" for n, _ in here):
            # It takes the coding away, and gives the body its length.
            hidden = (b"transfer-encoding", b"content-length")
            here, there = ([f for f in fields if f[0] not in hidden] for fields in (here, there))
        if here != there:
            return part
    return None


def difference(parser, data, evy, other, reference):
    """The Difference of evy and another parser (which may be the reference itself), or None."""
    found = first_difference(parser, data, evy, other, reference)
    if found is not None and found.rule is None:
        return found._replace(rule=rules.whole(parser, evy, other))
    return found


def first_difference(parser, data, evy, other, reference):
    if evy.requests == other.requests and evy.end == other.end:
        return None
    for ours, theirs in zip(evy.requests, other.requests):
        part = unlike(parser, ours, theirs)
        if part is not None:
            return Difference(SEES, parser, None, f"another {part}")
    index = min(len(evy.requests), len(other.requests))
    here, there = evy.state(index), other.state(index)
    if here == there:
        return None
    if len(reference.requests) < index:
        return Difference(BEHIND, parser, "counted there")
    by_rfc = reference.state(index)
    if CLOSED in (here, there) or there == SWITCHED:
        return of_persistence(parser, here, there, by_rfc)
    if here == REFUSED:
        return evy_refuses(parser, data, there, by_rfc, evy, reference)
    if there == REFUSED:
        return other_refuses(parser, here, by_rfc, other, reference)
    # One waits, one has a request.
    return Difference(SEES, parser, None, f"evy {here}, the other {there}, the RFC {by_rfc}")


def evy_refuses(parser, data, there, by_rfc, evy, reference):
    reason = evy.detail.split(" ", 1)[1]
    if by_rfc == REFUSED:
        return Difference(OTHER_LAXER if there == "request" else OTHER_WAITS, parser, reference.detail)
    waits_in = reference.detail if by_rfc == OPEN else ""
    return Difference(EVY_STRICTER, parser, rules.stricter(reason, waits_in, data), reason)


def of_persistence(parser, here, there, by_rfc):
    """One of the two goes on behind a request, the other does not."""
    detail = f"evy {here}, the other {there}, the RFC {by_rfc}"
    if (here == CLOSED) != (by_rfc == CLOSED):
        return Difference(PERSISTENCE, parser, None, detail)
    key = parser, "goes on" if here == CLOSED else there
    return Difference(PERSISTENCE, parser, rules.PERSISTENCE.get(key), detail)


def other_refuses(parser, here, by_rfc, other, reference):
    if here == OPEN:
        rule = rules.LATER.get(reference.detail) if by_rfc == REFUSED else None
        if parser != "reference" and by_rfc != "request":
            rule = "the rest decides"
        return Difference(EVY_WAITS, parser, rule, other.detail)
    if by_rfc == REFUSED:
        return Difference(EVY_LAXER, parser, rules.LAXER.get(reference.detail), reference.detail)
    return Difference(OTHER_STRICTER, parser, rules.other_stricter(parser, other.detail), other.detail)


def ends(evy, reference):
    """Where evy's own count of bytes puts the end of a request in another place than the reference."""
    if any(here != there for here, there in zip(evy.ends, reference.ends)):
        yield Difference(SEES, "reference", None, "another end")


def streamed(evy, streamed):
    """The same server with body=stream: the handler tells of a broken body, all else is the same."""
    if evy.requests != streamed.requests or evy.end != streamed.end or evy.ends != streamed.ends:
        yield Difference(SEES, "reference", None, f"streamed: {streamed.end} {streamed.detail}")


def laxities(evy, reference):
    """The remarks of the reference about requests that evy has taken."""
    for index, remark in reference.remarks:
        if index < len(evy.requests):
            yield Difference(EVY_LAXER, "reference", rules.LAXER.get(remark), remark)
