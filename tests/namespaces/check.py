"""Two gateways in front of three servers, each in a network namespace of its own; the heaviest server vanishes from the
network under load and comes back. Usage: check.py BUILD_FOLDER WORK_FOLDER (as root; tests/run_namespaces.sh)"""

import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

BUILD, WORK = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
HERE = pathlib.Path(__file__).resolve().parent
MARK = f"hearth{os.getpid()}"
GATEWAYS = ("g1", "g2")
WEIGHTS = {"u1": 1, "u2": 2, "u3": 3}
ADDRESSES = {name: f"10.213.0.{number}" for number, name in enumerate((*GATEWAYS, *WEIGHTS), 1)}
PORT = 8080
VICTIM = "u3"
STEADY = 8.0  # seconds of load before the cut, and after the return
LOST = 4.0  # after so many without a sign of a machine it is given up
EJECTED = 5.0
GONE = 14.0  # seconds of the cut, by when all that hung on the victim must have been answered by others
RETURN = 25.0  # traffic is back within so many seconds: the breaker, which doubles its pauses, had come to 8
CALLS_MIN = 200  # of each gateway in each part; fewer say nothing of a balance
TOLERANCE = 0.10


class Network:
    """Namespaces on one switch, which is a namespace too: nothing of it touches the machine's own network."""

    def __init__(self):
        self.names = []

    def __enter__(self):
        self.add("switch")
        self.ip("switch", "link add switch type bridge")
        self.ip("switch", "link set switch up")
        for name, address in ADDRESSES.items():
            self.add(name)
            self.ip(name, f"link add up0 type veth peer name {name} netns {self.full('switch')}")
            self.ip("switch", f"link set {name} master switch up")
            self.ip(name, f"address add {address}/24 dev up0")
            self.ip(name, "link set up0 up")
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", self.full(name)], check=False)

    def full(self, name):
        return f"{MARK}-{name}"

    def add(self, name):
        subprocess.run(["ip", "netns", "add", self.full(name)], check=True)
        self.names.append(name)
        self.ip(name, "link set lo up")

    def ip(self, name, words):
        subprocess.run(["ip", "-n", self.full(name), *words.split()], check=True)

    def start(self, name, command, **more):
        return subprocess.Popen(["ip", "netns", "exec", self.full(name), *map(str, command)], **more)


class Programs:
    """What runs; ended with its owner."""

    def __init__(self, network):
        self.network, self.running = network, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self.running.values():
            program.kill()
            program.wait()

    def start(self, name, where, command, environment=None):
        out, errors = WORK / f"{name}.out", WORK / f"{name}.log"
        with open(out, "w") as output, open(errors, "w") as log:
            self.running[name] = self.network.start(
                where, command, stdout=output, stderr=log, env=os.environ | (environment or {}))
        return out

    def wait_ready(self, name, out):
        wait_for(60, f"{name} to be ready", lambda: "ready" in out.read_text(), lambda: self.log(name))
        return out.read_text()

    def log(self, name):
        return (WORK / f"{name}.log").read_text()[-2000:]

    def stop(self, name, seconds):
        self.running[name].send_signal(signal.SIGTERM)
        return self.running[name].wait(seconds)


def wait_for(seconds, what, condition, tell=lambda: ""):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}\n{tell()}")
        time.sleep(0.05)


def gateway_environment():
    settings = {"MODELS__INSTALLED": "false", "MODELS__OLLAMA_STORE": "false", "MODELS__HUB_CACHE": "false",
                "ROUTING__FIND_OLLAMA": "false", "ROUTING__EJECT_TIME": f"{EJECTED:.0f}s"}
    for name, weight in WEIGHTS.items():
        settings[f"BACKENDS__{name}__URL"] = f"http://{ADDRESSES[name]}:{PORT}"
        settings[f"BACKENDS__{name}__WEIGHT"] = str(weight)
        settings[f"BACKENDS__{name}__LOST_TIME"] = f"{LOST:.0f}s"
    return {f"HEARTH_{key.upper()}": value for key, value in settings.items()}


def start_all(programs):
    for name in WEIGHTS:
        out = programs.start(name, name, [sys.executable, HERE / "upstream.py", ADDRESSES[name], PORT])
        programs.wait_ready(name, out)
    for name in GATEWAYS:
        out = programs.start(name, name, [BUILD / "hearth", "serve", "--listen", "127.0.0.1:0", "--data-dir", WORK / name],
                             gateway_environment())
        port = programs.wait_ready(name, out).split("127.0.0.1:")[1].split()[0]
        programs.start(f"load-{name}", name, [sys.executable, HERE / "load.py", "127.0.0.1", port, WORK / f"{name}.calls"])


def calls(gateway):
    # The last line may be half written.
    text = (WORK / f"{gateway}.calls").read_text() if (WORK / f"{gateway}.calls").exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def begun_between(gateway, start, end):
    return [call for call in calls(gateway) if start <= call["begun"] < end]


def answered_by(gateway, backend, since):
    return sum(call["backend"] == backend and call["begun"] >= since for call in calls(gateway))


def check_balance(gateway, part, start, end):
    counts = collections.Counter(call["backend"] for call in begun_between(gateway, start, end))
    total, problems = sum(counts.values()), []
    if total < CALLS_MIN:
        problems.append(f"only {total} calls")
    for name, weight in WEIGHTS.items():
        due = total * weight / sum(WEIGHTS.values())
        if abs(counts[name] - due) > TOLERANCE * due:
            problems.append(f"{name} answered {counts[name]} of {total} calls, due were {due:.0f}")
    shares = " ".join(f"{name}={counts[name]}" for name in WEIGHTS)
    report(f"{gateway}: shares {part} are those of the weights ({shares})", problems)


def check_calls(gateway, cut, back):
    every = calls(gateway)
    slowest = max((call["ended"] - call["begun"] for call in every), default=0)
    failed = [call for call in every if call["how"] == "failed"]
    broken = [call for call in every if call["how"] == "cut"]
    report(f"{gateway}: none of {len(every)} calls failed before its first byte (slowest {slowest:.1f} s)",
           [told(call, cut) for call in failed[:5]] + (["there are no calls"] if not every else []))
    report(f"{gateway}: nobody waited for the machine to come back",
           [told(call, cut) for call in every if call["begun"] < cut and call["ended"] > back][:5])
    report(f"{gateway}: only streams under way at the cut broke off ({len(broken)})",
           [told(call, cut) for call in broken if not call["begun"] < cut < call["ended"]][:5])


def told(call, cut):
    return (f"{call['kind']} begun {call['begun'] - cut:+.2f} s from the cut, ended {call['ended'] - cut:+.2f} s: "
            f"{call.get('said', call['how'])}")


def report(name, problems):
    print(("FAIL " if problems else "ok   ") + name)
    for problem in problems:
        print(f"     {problem}")
    RESULTS.append(not problems)


RESULTS = []


def run(network, programs):
    start_all(programs)
    for gateway in GATEWAYS:
        for name in WEIGHTS:
            wait_for(30, f"{name} to answer {gateway}", lambda: answered_by(gateway, name, 0), lambda: programs.log(gateway))
    start = time.time()
    time.sleep(STEADY)
    cut = time.time()
    network.ip(VICTIM, "link set up0 down")
    time.sleep(GONE)
    network.ip(VICTIM, "link set up0 up")
    back = time.time()
    for gateway in GATEWAYS:
        wait_for(RETURN, f"traffic of {gateway} to return", lambda: answered_by(gateway, VICTIM, back) >= 3,
                 lambda: programs.log(gateway))
    returned = time.time()
    time.sleep(STEADY + 2)
    end = time.time()
    for gateway in GATEWAYS:
        programs.stop(f"load-{gateway}", 120)
    report(f"traffic was back {returned - back:.1f} s after the machine", [])
    for gateway in GATEWAYS:
        check_balance(gateway, "before the cut", start, cut - 0.5)
        check_calls(gateway, cut, back)
        check_balance(gateway, "after the return", returned + 2, end)
        report(f"{gateway}: it ends cleanly", [f"status {status}"] if (status := programs.stop(gateway, 60)) else [])


def main():
    with Network() as network, Programs(network) as programs:
        try:
            run(network, programs)
        except (AssertionError, subprocess.SubprocessError) as error:
            report("the test runs to its end", [str(error)])
    print(f"{sum(RESULTS)} passed, {len(RESULTS) - sum(RESULTS)} failed")
    sys.exit(0 if all(RESULTS) else 1)


main()
