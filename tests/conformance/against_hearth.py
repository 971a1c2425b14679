"""A pytest plugin that lets llama.cpp's own server tests run against Hearth: which of them run, under which name
the model is served, and how the result is told. See README.md beside this file.

HEARTH_CONFORMANCE       "open": run only the tests of the groups "open", to see which pass now
HEARTH_CONFORMANCE_TALLY the file for the closing line
"""

import collections
import os
import pathlib
import re
import socket
import sys
import tomllib
import types

import pytest

HERE = pathlib.Path(__file__).parent
TALLY = pathlib.Path(os.environ["HEARTH_CONFORMANCE_TALLY"])
STALE = TALLY.with_suffix(".stale")
OPEN = "open: "


def refuse_download(url, out=None):
    raise RuntimeError(f"{url} was to be downloaded; tests download nothing here")


# utils.py imports it for the tests that download; those are skipped.
sys.modules["wget"] = types.SimpleNamespace(download=refuse_download)


class Rule:
    """One group of skips.toml: what these tests have in common."""

    def __init__(self, entry):
        self.reason = entry["reason"]
        self.marker = entry.get("marker")
        self.tests = {test: re.compile(".*".join(map(re.escape, test.split("*")))) for test in entry.get("tests", [])}
        self.used = set()

    def covers(self, item):
        hits = {test for test, pattern in self.tests.items() if pattern.fullmatch(name_of(item))}
        self.used |= hits
        return bool(hits) or (self.marker is not None and item.get_closest_marker(self.marker) is not None)


def name_of(item):
    """test_basic.py::test_server_props"""
    return item.nodeid.rsplit("unit/", 1)[-1]


def choose(items, rules):
    only_open = os.environ.get("HEARTH_CONFORMANCE") == "open"
    for item in items:
        # All are asked: each notes what it covers.
        rule = next(iter([rule for rule in rules if rule.covers(item)]), None)
        is_open = rule is not None and rule.reason.startswith(OPEN)
        if only_open and not is_open:
            item.add_marker(pytest.mark.skip(reason='not of a group "open"'))
        elif not only_open and rule is not None:
            item.add_marker(pytest.mark.skip(reason=rule.reason))


def note_stale(items, rules):
    """What skips.toml names and no longer finds would otherwise stay for ever."""
    files = {name_of(item).split("::")[0] for item in items}
    stale = [test for rule in rules for test in rule.tests if test not in rule.used and test.split("::")[0] in files]
    STALE.write_text("".join(test + "\n" for test in stale))


def served_name(item, names):
    """By its test, or by its file."""
    test = name_of(item).split("[")[0]
    return names.get(test, names.get(test.split("::")[0]))


def pytest_collection_modifyitems(config, items):
    import utils

    # It starts a server for every model, to have them downloaded.
    utils.ServerPreset.load_all = staticmethod(lambda: None)
    with open(HERE / "skips.toml", "rb") as file:
        content = tomllib.load(file)
    rules = [Rule(entry) for entry in content["skip"]]
    choose(items, rules)
    if not any("::" in word for word in config.args):
        note_stale(items, rules)
    for item in items:
        item.served_name = served_name(item, content["names"])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    os.environ["HEARTH_CONFORMANCE_NAME"] = item.served_name or ""


@pytest.fixture(scope="session", autouse=True)
def free_port(configure_worker_port):
    """Not 8080, where something may listen already."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        os.environ["PORT"] = str(probe.getsockname()[1])


def file_of(report):
    return report.nodeid.split("::")[0].rsplit("/", 1)[-1]


def reason_of(report):
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def count(stats):
    counts = collections.defaultdict(collections.Counter)
    for outcome, kinds in (("passed", ["passed"]), ("skipped", ["skipped"]), ("failed", ["failed", "error"])):
        for report in (report for kind in kinds for report in stats.get(kind, [])):
            counts[file_of(report)][outcome] += 1
    return counts


def pytest_terminal_summary(terminalreporter):
    counts = count(terminalreporter.stats)
    write = terminalreporter.write_line
    write(f"\n{'':32}{'passed':>8}{'skipped':>8}{'failed':>8}")
    for file, of_file in sorted(counts.items()):
        write(f"{file:32}{of_file['passed']:8}{of_file['skipped']:8}{of_file['failed']:8}")
    write("\nskipped because:")
    reasons = collections.Counter(map(reason_of, terminalreporter.stats.get("skipped", [])))
    for reason, times in sorted(reasons.items(), key=lambda entry: (entry[0].startswith(OPEN), -entry[1])):
        write(f"{times:5}  {reason}")
    total = sum(counts.values(), collections.Counter())
    stale = STALE.read_text().split("\n")[:-1] if STALE.exists() else []
    for test in stale:
        write(f"FAILED skips.toml: there is no {test}")
    TALLY.write_text(f"{total['passed']} passed, {total['failed'] + len(stale)} failed\n")
