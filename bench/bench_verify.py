"""Verification: packages of one action, whole logs, whole deployments, on one core."""

from __future__ import annotations

from pathlib import Path

import rulesets
import worlds
from harness import Bench, at_least, folder, one_core, repeat, spread

from navicert.adapters.system import SystemClock
from navicert.assemble import Home, read_trust
from navicert.audit import audit, open_archive, package_of
from navicert.core.seal import signed_message, unb64
from navicert.core.signature import PublicKey
from navicert.evidence import export
from navicert.verification.bundle import verify_bundle
from navicert.verification.log import verify_log
from navicert.verification.package import verify_package


def main() -> None:
    bench = Bench("verify", __doc__)
    bench.note(
        "A package holds the two receipts of one action with everything that they commit to, the policy (100 rules) and"
        " the context. The log figure counts entries (receipts), the audit figure counts actions: log, index, policies,"
        " disclosures and contexts of a whole store."
    )
    sessions, each = bench.count(30, 2), 10
    seconds, rounds = (0.01, 2) if bench.quick else (0.5, 9)
    with folder("shm" if not bench.quick else "disk") as made, one_core():
        with worlds.deployment(made, rulesets.mixed(100)) as world:
            for _ in range(sessions):
                with world.session():
                    for index in range(each):
                        world.send(**rulesets.arguments(f"ve-{index:08d}"))
            world.settle()
        home = Home(world.home)
        trust = read_trust(home.trust)
        with open_archive(home) as archive:
            entries = [row.data for row in archive.log()]
            actions = [row.action for row in archive.log(kind="decision")]
            packages = [package_of(archive, action) for action in actions if action is not None]
        worlds.must_be(len(packages), sessions * each, "packages")
        worlds.must_be(len(verify_package(packages[-1], trust).receipts), 2, "receipts of a package")

        def run_packages(times: int) -> None:
            for index in range(times):
                verify_package(packages[index % len(packages)], trust)

        def run_log(times: int) -> None:
            for _ in range(times):
                verify_log(entries, trust)

        def run_audit(times: int) -> None:
            for _ in range(times):
                audit(world.home)

        found = repeat(run_packages, seconds=seconds, rounds=rounds)
        bench.figure(
            "packages", "packages verified per second, on one core", spread([1 / item.wall for item in found]), "/s",
            target=at_least(7_000),
        )  # fmt: skip
        bench.figure("package_size", "size of a package, mean", sum(map(len, packages)) / len(packages), "bytes")
        found = repeat(run_log, seconds=seconds, rounds=rounds)
        rates = [len(entries) / item.wall for item in found]
        bench.figure("log", "entries of a log verified per second, on one core", spread(rates), "/s")
        _bundle(bench, made / "bundle.jsonl", world.home, entries, seconds, rounds)
        found = repeat(run_audit, seconds=seconds, rounds=rounds)
        rates = [len(actions) / item.wall for item in found]
        bench.figure("audit", "actions audited per second, on one core", spread(rates), "/s")
    bench.finish()


def _bundle(bench: Bench, path: Path, home: Path, entries: list[bytes], seconds: float, rounds: int) -> None:
    """Whole bundles; and what a signature alone takes, which nothing that verifies can be quicker than."""
    export(home, path, made_at=SystemClock().now())

    def run_bundle(times: int) -> None:
        for _ in range(times):
            with path.open("rb") as file:
                verify_bundle(file)

    found = repeat(run_bundle, seconds=seconds, rounds=rounds)
    rates = [len(entries) / item.wall for item in found]
    what = "receipts of a bundle, with all that they disclose, verified per second, on one core"
    bench.figure("bundle", what, spread(rates), "/s", target=at_least(7_000))
    message, signature = signed_message(entries[-1])
    key = read_trust(Home(home).trust).keys[-1]
    public = PublicKey(key.algorithm, unb64(key.public))

    def run_signature(times: int) -> None:
        for _ in range(times):
            public.verifies(message, signature)

    found = repeat(run_signature, seconds=seconds, rounds=rounds)
    what = "signatures of receipts verified per second by themselves, on one core"
    bench.figure("signature", what, spread([1 / item.wall for item in found]), "/s")


if __name__ == "__main__":
    main()
