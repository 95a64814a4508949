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
    "usbench dataset=us": {"dataset=usgra"},
    "usbench seed=1 model=yolo1": {"model=yolo11"},
    "usbench model.recipes.quick.e": {"model.recipes.quick.encoder=", "model.recipes.quick.epochs="},
    "usbench lea": {"leaderboard"},
    "usbench keys model=upe": {"model=upernet"},
    "usbench score --targets ": {"bin"},  # the shell's files
}  # fmt: skip
SCRIPT = """
{install}
COMP_LINE="$1"; COMP_POINT=${{#1}}; COMP_CWORD={word}
hydra_bash_completion
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("typed", TYPED)
def test_completion_offers_keys_values_and_verbs(typed, tmp_path):
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
        ["bash", "-c", SCRIPT.format(install=install, word=typed.count(" ")), "bash", typed],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert set(done.stdout.split()) == TYPED[typed], done.stderr
    assert {path.name for path in Path(tmp_path).iterdir()} == {"bin"}
