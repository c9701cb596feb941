# SPDX-License-Identifier: MIT
"""differ - random requests for evy and other parsers, until the time is over; see README.md.

    differ.py TARGET --seconds N [--seed N] [--jobs N]     compares, prints the table and every finding
    differ.py TARGET --show 'GET / HTTP/1.1\\r\\n\\r\\n'       what everybody makes of one input

The exit status is 1 where a difference has no rule.
"""
import argparse
import collections
import gc
import multiprocessing
import sys
import time

import compare
import generate
from others import PARSERS
from outcome import show
from reference import parse_reference
from target import Target

BATCH = 256
MINIMISING_STEPS = 2000
# No limit on bodies, for lengths near 2^63; the other limits are far above any input. No deadline: on a busy
# machine the second piece of an input may be late.
OPTIONS = (
    "max_body_size=0", "header_timeout=-1", "body_timeout=-1", "body_min_rate=0", "idle_timeout=-1",
    "linger_timeout=1m")


class Findings:
    """How often each class of difference came, and the shortest input of those that have no rule."""

    def __init__(self):
        self.inputs = 0
        self.classes = collections.Counter()
        self.examples = {}

    def add(self, data, differences):
        self.inputs += 1
        # What evy and the reference disagree about is told once, not for each parser.
        if any(d.parser == "reference" and d.rule is None for d in differences):
            differences = [d for d in differences if d.parser == "reference"]
        for difference in differences:
            self.classes[difference._replace(detail="")] += 1
            if difference.rule is None:
                known = self.examples.get(difference.name)
                if known is None or len(data) < len(known):
                    self.examples[difference.name] = data

    def join(self, other):
        self.inputs += other.inputs
        self.classes += other.classes
        for name, data in other.examples.items():
            if len(data) < len(self.examples.get(name, data + b"+")):
                self.examples[name] = data


class Evy:
    """Two servers: one takes bodies before the handler runs, the other lets them stream."""

    def __init__(self, program, name):
        self.targets = [
            Target(program, f"{name}-{body}", f"body={body}", *OPTIONS) for body in ("buffer", "stream")]

    def ask(self, inputs):
        """A pair of outcomes for each input."""
        for target in self.targets:
            target.send(inputs)
        return list(zip(*(target.receive(inputs) for target in self.targets)))

    def stop(self):
        for target in self.targets:
            target.stop()


def differences(data, pair):
    """All of them, of evy's outcome with every other parser's."""
    evy, streamed = pair
    reference = parse_reference(data)
    found = [*compare.laxities(evy, reference), *compare.ends(evy, reference)]
    found += compare.streamed(evy, streamed)
    found.append(compare.difference("reference", data, evy, reference, reference))
    for name, parse in PARSERS.items():
        found.append(compare.difference(name, data, evy, parse(data), reference))
    return [difference for difference in found if difference is not None]


def batches(generator, examples):
    """Every case as it is, then random ones without end."""
    for at in range(0, len(examples), BATCH):
        yield examples[at:at + BATCH]
    while True:
        yield [generator.input() for _ in range(BATCH)]


def work(program, seed, job, seconds, inputs):
    """One process: each batch goes to evy, then to the others, until either limit is reached."""
    until = time.monotonic() + seconds
    examples = generate.seeds()
    generator = generate.Generator(f"{seed}/{job}", examples)
    evy = Evy(program, str(job))
    findings = Findings()
    gc.disable()
    for batch in batches(generator, examples):
        for data, pair in zip(batch, evy.ask(batch)):
            findings.add(data, differences(data, pair))
        gc.collect(1)
        if time.monotonic() > until or inputs and findings.inputs >= inputs:
            break
    evy.stop()
    return findings


def compare_all(program, seed, jobs, seconds, inputs):
    print(f"seed {seed}, {jobs} processes, {seconds} s", flush=True)
    begin = time.monotonic()
    with multiprocessing.Pool(jobs) as pool:
        parts = pool.starmap(work, [(program, seed, job, seconds, inputs) for job in range(jobs)])
    findings = Findings()
    for part in parts:
        findings.join(part)
    print(f"{findings.inputs} inputs, {findings.inputs / (time.monotonic() - begin):.0f} a second\n")
    print_table(findings)
    return findings


def print_table(findings):
    """A line for each rule, a column for each parser that evy was compared with."""
    columns = ["reference", *PARSERS]
    rows = collections.defaultdict(collections.Counter)
    for (kind, parser, rule, _), count in findings.classes.items():
        rows[compare.KINDS.index(kind), rule or "NO RULE"][parser] += count
    last = None
    for (kind, rule), counts in sorted(rows.items()):
        if kind != last:
            print("".join(f"{name:>10}" for name in columns) + f"  {compare.KINDS[kind].upper()}")
            last = kind
        print("".join(f"{counts[name] or '':>10}" for name in columns) + f"  {rule}")


# MARK: one input

def minimised(evy, data, name):
    """Delta debugging: leaves out pieces, halves first, as long as the difference stays."""
    steps = MINIMISING_STEPS
    size = len(data) // 2
    while size > 0:
        at = 0
        while at < len(data) and steps > 0:
            steps -= 1
            shorter = data[:at] + data[at + size:]
            if any(d.name == name for d in differences(shorter, evy.ask([shorter])[0])):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def explain(evy, data):
    print(f"  {show(data)}")
    pair = evy.ask([data])[0]
    print(f"  evy\n{pair[0].text()}")
    if pair[1][:2] != pair[0][:2]:
        print(f"  evy, body=stream\n{pair[1].text()}")
    for name, parse in [("reference", parse_reference), *PARSERS.items()]:
        outcome = parse(data)
        if outcome[:2] != pair[0][:2]:
            print(f"  {name}\n{outcome.text()}")
    for difference in differences(data, pair):
        print(f"  = {difference.name}: {difference.rule or 'NO RULE'}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--inputs", type=int, default=0, help="at most so many a process; 0: any number")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show")
    arguments = parser.parse_args()
    if arguments.show is not None:
        evy = Evy(arguments.target, "show")
        explain(evy, generate.unescape(arguments.show.encode()))
        evy.stop()
        return 0
    findings = compare_all(
        arguments.target, arguments.seed, arguments.jobs, arguments.seconds, arguments.inputs)
    if not findings.examples:
        return 0
    evy = Evy(arguments.target, "minimise")
    print(f"\n{len(findings.examples)} differences without a rule (seed {arguments.seed}); minimised:")
    for name, data in sorted(findings.examples.items()):
        print(f"\n{name}")
        explain(evy, minimised(evy, data, name))
    evy.stop()
    return 1


if __name__ == "__main__":
    sys.exit(main())
