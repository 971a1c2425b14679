"""A minimal test runner: each check is a function; its name, in words, is a statement that must be true.

Behind a gateway whose models are elsewhere (HEARTH_CLIENT_ELSEWHERE: the kind of the servers it asks) some things cannot
be had. Such a check names the kinds and why; it is left out there, and said to be."""

import os
import sys
import traceback


class Checks:
    def __init__(self, subject):
        elsewhere = os.environ.get("HEARTH_CLIENT_ELSEWHERE")
        self.subject = f"{subject} through {elsewhere}" if elsewhere else subject
        self.functions = []

    def __call__(self, function):
        self.functions.append(function)
        return function

    def not_through(self, kinds, why):
        def leave(function):
            if os.environ.get("HEARTH_CLIENT_ELSEWHERE") in kinds:
                print(f"out  {self.subject}: {function.__name__.replace('_', ' ')} ({why})")
            else:
                self(function)
            return function

        return leave

    def run(self):
        passed = 0
        for function in self.functions:
            name = f"{self.subject}: {function.__name__.replace('_', ' ')}"
            try:
                function()
            except Exception:  # noqa: BLE001 - a failed check is reported and the next one runs
                print(f"FAIL {name}\n{traceback.format_exc()}")
            else:
                passed += 1
                print(f"ok   {name}")
        print(f"RESULT {passed} {len(self.functions) - passed}")
        sys.exit(0 if passed == len(self.functions) else 1)


def same(left, right, tolerance=1e-6):
    assert len(left) == len(right), f"{len(left)} values, not {len(right)}"
    worst = max(abs(a - b) for a, b in zip(left, right))
    assert worst <= tolerance, f"vectors differ by {worst}"


def unit_length(vector):
    length = sum(value * value for value in vector) ** 0.5
    assert abs(length - 1) < 1e-4, f"length {length}"


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected")
