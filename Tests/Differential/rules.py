# SPDX-License-Identifier: MIT
"""rules - the differences that are known and right, each with a name and the section that decides.

A difference that no rule names is a finding: the RFC decides, and then evy is mended and the input becomes a
conformance case, or the difference gets its rule here.
"""
import re

from outcome import SWITCHED

# evy refuses what the letter of the RFC would take: its reason, what must be in the input, the rule.
STRICTER = [(reason, re.compile(words), rule) for reason, words, rule in (
    ("Malformed Request Line", rb"(?:\r\n){3}",
     "evy skips two empty lines, not any number: RFC 9112 2.2 asks for one"),
    ("Encoded NUL In Request Target", rb"%00", "evy takes no NUL in a path, encoded or not: RFC 3986 7.3"),
    ("Repeated Header", rb"(?is)(content-type|authorization):.*\1:",
     "evy takes one Content-Type and one Authorization: RFC 9110 5.3"),
    ("Expectation Failed", rb"(?i)expect:[ \t]*(?:\r|,|100-continue[ \t]*,)",
     "evy reads Expect as one value, not as a list: RFC 9110 10.1.1"),
    ("Malformed Host", rb"\[[vV]", "evy knows no IPvFuture: RFC 3986 3.2.2"),
    ("Malformed Transfer-Encoding", rb"(?i)transfer-encoding:(?:[ \t]*,|[^\r]*,[ \t]*[\r,])",
     "evy takes no empty element beside chunked: RFC 9110 5.6.1.2"),
    ("Malformed Chunk Size", rb"[0-9A-Fa-f]{17}",
     "evy takes up to 16 digits of a chunk's size: RFC 9112 7.1"),
    ("Content Too Large", rb"[89A-Fa-f][0-9A-Fa-f]{15}|[7-9A-Fa-f][0-9A-Fa-f]{15}",
     "evy counts bodies up to 2^63-1: RFC 9110 15.5.14"),
    ("Malformed Content-Length", rb"[0-9]{19}", "evy counts bodies up to 2^63-1: RFC 9110 8.6"),
)]

# evy refuses where the reference waits for the end of a line or of the head: in what it waits, evy's reasons.
EARLIER_RULE = "evy refuses as soon as the fault is certain, not at the end of the head: RFC 9112 2.2"
EARLIER = {
    "head": {
        "Malformed Content-Length", "Repeated Content-Length", "Malformed Host", "Repeated Host",
        "Repeated Header", "Malformed Request Line", "Malformed HTTP Version", "Malformed Header Name",
        "Method Not Implemented", "TLS On A Plain HTTP Port", "Bare CR In Header", "Control Byte In Header"},
    "framing": {"Malformed Chunk Size", "Malformed Chunk Extension", "Malformed Trailer"},
}

# The reference refuses what evy still waits for more of, by the reference's reason.
LATER = {
    "request line: RFC 9112 3": "evy reads the words of a request line when it is complete",
    "obs-fold: RFC 9112 5.2 [may]": "evy reads a field line when it is complete",
}

# evy takes what the reference remarks or refuses.
LAXER = {
    "target byte over 0x7f: RFC 3986 2": "evy takes raw bytes over 0x7f in targets: old clients send them",
    "target percent sign: RFC 3986 2.1":
        "evy leaves a percent sign alone that encodes nothing: browsers send it",
    "target character: RFC 3986 3.3": "evy takes the characters in targets that browsers do not encode",
}

# Who goes on behind a request and who does not. "goes on": where evy closes.
PERSISTENCE = {
    ("gunicorn", "goes on"): "gunicorn reads Connection as one value: RFC 9110 7.6.1 has a list",
    ("waitress", "goes on"): "waitress reads Connection as one value: RFC 9110 7.6.1 has a list",
    ("llhttp", "goes on"):
        "llhttp in 1.0 lets keep-alive outvote close, obeys Proxy-Connection: RFC 9112 9.3",
    ("llhttp", "closed"): "llhttp obeys Connection in trailers: RFC 9110 6.5.1",
    ("gunicorn", "closed"): "gunicorn reads Connection as one value: RFC 9110 7.6.1 has a list",
    ("waitress", "closed"): "waitress reads Connection as one value: RFC 9110 7.6.1 has a list",
    ("h11", "closed"): "h11 closes behind every request of HTTP/1.0: RFC 9112 9.3 lets it",
    ("aiohttp", "switched"): "aiohttp switches at Upgrade and CONNECT: RFC 9110 7.8, 9.3.6",
    ("llhttp", "switched"): "llhttp switches at Upgrade and CONNECT: RFC 9110 7.8, 9.3.6",
}

PREFACE_RULE = "llhttp keeps PRI for HTTP/2: RFC 9113 3.4"

def blank_rule(parser):
    return f"{parser} takes no blank ahead of a chunk extension: RFC 9112 7.1.1, 9110 5.6.3 [must]"


# Another parser refuses what the RFC and evy take: (parser, its words, the rule).
OTHERS_STRICTER = [(parser, re.compile(words), rule) for parser, words, rule in (
    ("aiohttp", r"Duplicate '.*' header found", "aiohttp takes more fields once only: RFC 9110 5.3"),
    ("aiohttp", r"TransferEncodingError: [0-9A-Fa-f]+[ \t]+;", blank_rule("aiohttp")),
    ("aiohttp", r"InvalidURLError", "aiohttp reads any case of CONNECT as CONNECT: RFC 9110 9.1"),
    ("h11", r"illegal chunk header: bytearray\(b['\"][0-9A-Fa-f]+(?: |\\t)+;", blank_rule("h11")),
    ("llhttp", r"Invalid character in chunk size", blank_rule("llhttp")),
    ("waitress", r"Invalid chunk size", blank_rule("waitress")),
    ("gunicorn", r"ExpectationFailed", "gunicorn expects of HTTP/1.0 what 1.1 may: RFC 9110 10.1.1"),
    ("gunicorn", r"InvalidHeaderName",
     "gunicorn refuses framing and routing trailers: RFC 9110 6.5.1 lets evy drop them"),
    ("gunicorn", r"InvalidHeader: Invalid HTTP Header: 'CONTENT-TYPE'",
     "gunicorn takes one Content-Type among trailers too: RFC 9110 6.5.1 lets evy drop them"),
    ("gunicorn", r"InvalidRequestLine: Invalid HTTP request line: ''",
     "gunicorn skips no empty line: RFC 9112 2.2 [should]"),
    ("gunicorn", r"InvalidRequestLine", "gunicorn takes ASCII in targets only: RFC 3986 2"),
    ("gunicorn", r"InvalidRequestMethod",
     "gunicorn takes usual methods only, 3 to 20 capitals: RFC 9110 9.1"),
    ("h11", r"conflicting Content-Length|Transfer-Encoding",
     "h11 reads framing fields in trailers as framing: RFC 9110 6.5.1"),
    ("h11", r"bad Content-Length", "h11 takes 20 digits of a Content-Length: RFC 9110 8.6"),
    ("h11", r"illegal request line", "h11 takes ASCII in targets only: RFC 3986 2"),
    ("h11", r"no request line received", "h11 skips no empty line: RFC 9112 2.2 [should]"),
    ("llhttp", r"Content-Length|Transfer-Encoding",
     "llhttp reads framing fields in trailers as framing: RFC 9110 6.5.1"),
    ("llhttp", r"HTTP/2 Connection Preface", PREFACE_RULE),
    ("llhttp", r"method", "llhttp knows a list of methods: RFC 9110 9.1 has a token"),
    ("llhttp", r"Invalid HTTP version",
     "llhttp knows 1.0 and 1.1 only: RFC 9110 2.5 reads higher ones as 1.1"),
    ("llhttp", r"Invalid char in url|Unexpected char", "llhttp takes ASCII in targets only: RFC 3986 2"),
    ("llhttp", r"chunk extensions", "llhttp takes no blanks in chunk extensions: RFC 9112 7.1.1"),
    ("waitress", r"400 Bad URI", "waitress takes ASCII in targets only: RFC 3986 2"),
    ("waitress", r"Invalid chunk extension", "waitress takes no blanks in chunk extensions: RFC 9112 7.1.1"),
    ("waitress", r"Malformed HTTP method", "waitress takes methods in capitals only: RFC 9110 9.1"),
)]


def stricter(reason, waits_in, data):
    """evy refuses what the reference takes, or waits for more of."""
    for name, words, rule in STRICTER:
        if name == reason and words.search(data):
            return rule
    return EARLIER_RULE if reason in EARLIER.get(waits_in, ()) else None


def other_stricter(parser, detail):
    for name, words, rule in OTHERS_STRICTER:
        if name == parser and words.search(detail):
            return rule
    return None


def whole(parser, evy, other):
    """What explains any difference, also behind the place where it began."""
    if parser == "llhttp" and any(r.method == b"PRI" for r in evy.requests):
        return PREFACE_RULE
    if parser == "llhttp" and other.end == SWITCHED:
        return "llhttp takes no body of a request with Upgrade: RFC 9110 7.8 sends it before the switch"
    if parser == "waitress" and any(re.fullmatch(rb"1\.[2-9]", r.version) for r in other.requests):
        return "waitress reads Transfer-Encoding and Connection in exactly 1.1: RFC 9110 2.5"
    return None
