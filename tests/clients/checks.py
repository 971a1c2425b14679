"""A minimal test runner: each check is a function; its name, in words, is a statement that must be true."""

import sys
import traceback


class Checks:
    def __init__(self, subject):
        self.subject = subject
        self.functions = []

    def __call__(self, function):
        self.functions.append(function)
        return function

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
