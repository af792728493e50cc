"""Run `navicert` as an agent's user: `as_agent.py UID WAY PROBES ARGS…`, as root.

What is needed is loaded before, since another user may not be able to read the interpreter's folder. WAY: `plain`, or
`saved`, which leaves root as the saved user, as programs do that only mean to drop their rights.
"""

import os
import sys
from pathlib import Path

from navicert.cli import doctor, main
from navicert.doctor.agent import run_checks_as_agent
from navicert.doctor.probes import read_probes

uid, way, probes, *args = sys.argv[1:]
assert doctor.verb.name
run_checks_as_agent(read_probes(Path(probes)))  # loads what is loaded late
if int(uid):
    os.setgroups([])
    os.setresgid(int(uid), int(uid), int(uid))
    os.setresuid(int(uid), int(uid), 0 if way == "saved" else int(uid))
main(["doctor", "--as-agent", probes, "--json", *args])
