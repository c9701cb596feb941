# SPDX-License-Identifier: MIT
# seed.py - writes first conversations: each way to answer, to each canned request, and the ends of both.
# Usage: seed.py DIRECTORY
import pathlib
import sys

TLS = 0x80
OPEN, CANNED, RAW, READ, SHUT, CLOSE, GO_ON, FINISH, STEP = 0, 1, 2, 3, 4, 5, 6, 8, 9
STEPS = 0x40
REQUESTS, PLANS = 18, 16
directory = pathlib.Path(sys.argv[1])
directory.mkdir(parents=True, exist_ok=True)


def canned(which, cut=0x7f):
    return bytes([CANNED | STEPS, which, cut])


def event(kind, argument=0):
    return bytes([kind | STEPS, argument])


def write(name, how, first, second, plans, events):
    (directory / name).write_bytes(bytes([how, first, second]) + bytes(plans) + events)


for plan in range(PLANS):
    plans = [plan | 0x50, plan | 0xa0] * 4
    for body in range(3):
        events = b"".join(canned(request) + event(READ, 250) for request in range(5))
        write(f"plan-{plan:02}-body-{body}", 0, body, 0, plans, events)
    later = canned(0) + b"".join(event(GO_ON, how) for how in (0, 5, 13, 21, 45, 77, 109)) + event(FINISH, 4)
    write(f"plan-{plan:02}-later", 8, 5, 0, plans, later)
    upload = canned(12) + canned(13) + event(GO_ON, 1) + canned(13) + canned(14) + event(FINISH, 0)
    write(f"plan-{plan:02}-upload", 1, 1, 0, plans, upload)
    write(f"plan-{plan:02}-tls", 0, TLS, 0, plans, b"".join(canned(request) for request in range(5)))
    for kind in (CLOSE, SHUT):
        cut = canned(11) + event(READ, 3) + event(kind, 1) + event(STEP, 3)
        write(f"plan-{plan:02}-end-{kind}", 2, 1, 1, plans, cut)
for request in range(REQUESTS):
    for cut in (3, 0x83, 0x90):
        events = canned(request, cut) + event(STEP, 2) + canned(0)
        write(f"request-{request:02}-{cut}", 0, 0xc1, 0, range(8), events)
