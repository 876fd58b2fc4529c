"""One party of SPU (ABY3, ring of 64 bits), told what to run in the words of Tacit's own benchmark party (bench/src/micro/party.rs):
one JSON value a line on standard input, one answer a line on standard output.

Party 0 makes the inputs, shares them and checks the result against numpy's; what is timed is the run of a compiled program on shares
that are there, to shares of the result. Needs `spu==0.9.5` (and with it jax and numpy)."""

import functools
import json
import os
import pickle
import re
import resource
import sys
import time

# the pipe to the parent must carry answers alone, whatever the libraries print
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import jax
import jax.numpy as jnp
import numpy as np
import spu
from spu import libspu
from spu.utils import frontend

jax.config.update("jax_enable_x64", True)

MILLION, SMALL = 10**6, 10**5


def answer(what):
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def segment_sums(keys, values):
    """Rows sorted by key; the last row of each group has its sum, the others 0: GROUP BY without the compaction that would follow."""
    keys, values = jax.lax.sort([keys, values], num_keys=1)
    differ = (keys[1:] != keys[:-1]).astype(jnp.int64)
    one = jnp.ones(1, dtype=jnp.int64)
    follows = 1 - jnp.concatenate([one, differ])
    last = jnp.concatenate([differ, one])

    def join(left, right):
        (sum_left, follows_left), (sum_right, follows_right) = left, right
        return sum_right + follows_right * sum_left, follows_left * follows_right

    sums, _ = jax.lax.associative_scan(join, (values, follows))
    return keys, sums * last, last


def group_check(result, keys, values):
    """The groups of the result are numpy's."""
    got_keys, got_sums, last = result
    unique, inverse = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(unique), dtype=np.int64)
    np.add.at(sums, inverse, values)
    at = last == 1
    return np.array_equal(got_keys[at], unique) and np.array_equal(got_sums[at], sums)


def equal_to(of):
    return lambda result, *inputs: np.array_equal(result[0], of(*inputs))


def numbers(rows, bits, random):
    return random.integers(0, 1 << bits, rows, dtype=np.int64)


def like(x, random):
    """Half of the rows are equal."""
    return np.where(random.integers(0, 2, len(x)) == 1, x, numbers(len(x), 62, random))


def pairs(random):
    x = numbers(MILLION, 62, random)
    return x, like(x, random)


# what is computed, on which inputs, how it is checked. Differences of 62-bit numbers stay within the ring's sign, which SPU compares by.
WORKS = {
    "Mul": (lambda x, y: x * y, lambda r: (numbers(MILLION, 31, r), numbers(MILLION, 31, r)), equal_to(lambda x, y: x * y)),
    "Equal": (lambda x, y: x == y, pairs, equal_to(lambda x, y: x == y)),
    "Less": (lambda x, y: x < y, pairs, equal_to(lambda x, y: x < y)),
    "Sort64Small": (jnp.sort, lambda r: (numbers(SMALL, 62, r),), equal_to(np.sort)),
    "GroupSum": (
        segment_sums,
        # some twenty rows a group
        lambda r: (numbers(SMALL // 20, 62, r)[r.integers(0, SMALL // 20, SMALL)], numbers(SMALL, 24, r)),
        group_check,
    ),
}


class Party:
    def __init__(self, setup):
        self.me, self.log = setup["party"], setup["log"]
        options = libspu.logging.LogOptions()
        options.enable_console_logger = False
        options.system_log_path = self.log
        libspu.logging.setup_logging(options)
        desc = libspu.link.Desc()
        desc.recv_timeout_ms = 300_000
        # the parties compile and make inputs at their own pace
        desc.connect_retry_times = 300
        for party, address in enumerate(setup["addresses"]):
            desc.add_party(f"party{party}", address)
        self.link = libspu.link.create_brpc(desc, self.me)
        self.config = libspu.RuntimeConfig(protocol=libspu.ProtocolKind.ABY3, field=libspu.FieldType.FM64)
        # the quicker one here: radix sort takes some five times as long
        self.config.sort_method = libspu.RuntimeConfig.SortMethod.SORT_QUICK

    def prepare(self, name):
        """Compiles, shares the inputs, runs once and compares the opened result with numpy's."""
        function, inputs, check = WORKS[name]
        io = spu.Io(3, self.config)
        if self.me == 0:
            clear = inputs(np.random.default_rng(1))
            names = [f"in{i}" for i in range(len(clear))]
            visible = [libspu.Visibility.VIS_SECRET] * len(clear)
            outputs = lambda flat: [f"out{i}" for i in range(len(flat))]
            program, _ = frontend.compile(frontend.Kind.JAX, function, clear, {}, names, visible, outputs)
            shares = [io.make_shares(x, libspu.Visibility.VIS_SECRET) for x in clear]
            for party in (1, 2):
                mine = [(share[party].meta, share[party].share_chunks) for share in shares]
                self.link.send(party, pickle.dumps((program.SerializeToString(), mine)))
            mine = [share[0] for share in shares]
        else:
            code, parts = pickle.loads(self.link.recv(0))
            program = libspu.Executable()
            program.ParseFromString(code)
            mine = [self.share(meta, chunks) for meta, chunks in parts]
        self.program, self.shares = program, mine
        # the profile has the bytes; it is of this run alone, so that nothing is timed with it
        config = libspu.RuntimeConfig(self.config)
        config.enable_pphlo_profile = True
        self.bytes = None
        profiled = self.runtime(config)
        profiled.run(program)
        self.bytes = self.sent()
        results = [profiled.get_var(name) for name in program.output_names]
        if self.me == 0:
            parts = [pickle.loads(self.link.recv(party)) for party in (1, 2)]
            others = [[self.share(meta, chunks) for meta, chunks in part] for part in parts]
            opened = [io.reconstruct([mine, *theirs]) for mine, *theirs in zip(results, *others)]
            if not check(opened, *clear):
                sys.exit(f"SPU's {name} differs from numpy's")
        else:
            self.link.send(0, pickle.dumps([(share.meta, share.share_chunks) for share in results]))
        self.runner = self.runtime(self.config)

    def runtime(self, config):
        runtime = spu.Runtime(self.link, config)
        for name, share in zip(self.program.input_names, self.shares):
            runtime.set_var(name, share)
        return runtime

    @staticmethod
    def share(meta, chunks):
        share = libspu.Share()
        share.meta, share.share_chunks = meta, chunks
        return share

    def sent(self):
        """Bytes sent in the last profiled run, as SPU's log says; None if it does not."""
        for _ in range(50):
            with open(self.log) as log:
                found = re.findall(r"Link details: total send bytes (\d+)", log.read())
            if found:
                return int(found[-1])
            # the log is written by a thread of its own
            time.sleep(0.1)
        return None

    def run(self, at):
        cpu = time.process_time_ns()
        self.before = cpu
        left = at / 1e9 - time.time()
        if left > 0:
            time.sleep(left)
        self.runner.run(self.program)
        return time.time_ns() - at

    def report(self):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        return {"cpu_ns": time.process_time_ns() - self.before, "bytes": self.bytes, "rounds": None, "peak_memory": peak}


def main():
    party = Party(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        order = json.loads(line)
        if order == "Stop":
            party.link.stop_link()
            return
        if order == "Report":
            answer({"Cost": party.report()})
        elif "Run" in order:
            answer({"Ended": {"wall_ns": party.run(order["Run"]["at"])}})
        else:
            (work,) = order["Prepare"].values()
            party.prepare(work)
            answer("Ready")


if __name__ == "__main__":
    main()
