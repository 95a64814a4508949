"""Tab completion in bash, as conf/README.md says how to get it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

TYPED = {  # what is typed → what is offered
    "usbench model.recipes.quick.e": {"model.recipes.quick.encoder=", "model.recipes.quick.epochs="},
    "usbench lea": {"leaderboard"},
    "usbench keys model=upe": {"model=upernet"},
    "usbench score --targets ": {"bin"},  # the shell's files
}  # fmt: skip
SCRIPT = """
{install}
for COMP_LINE in "$@"; do
    COMP_POINT=${{#COMP_LINE}}
    blanks=${{COMP_LINE//[! ]/}}
    COMP_CWORD=${{#blanks}}
    hydra_bash_completion
    echo "${{COMPREPLY[@]}}"
done
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_offers_keys_values_and_verbs(tmp_path):
    page = (ROOT / "conf/README.md").read_text("utf-8")
    (install,) = re.findall(r'^(eval "\$\(usbench -sc install=bash\)") .*~/\.bashrc$', page, re.M)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "usbench"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom usbench.__main__ import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", SCRIPT.format(install=install), "bash", *TYPED],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    offered = [set(line.split()) for line in done.stdout.splitlines()]
    assert offered == list(TYPED.values()), done.stderr
    assert {path.name for path in Path(tmp_path).iterdir()} == {"bin"}
