"""The script of fixes: valid sh whatever stands in names, and nothing in it runs by surprise."""

import subprocess

from ethtune.services.diagnosis import DoctorReport, Finding
from ethtune.services.fixscript import fix_script

EVIL = "x\nrm -rf ~ #'\"`$(touch owned)\u2028\x1b[2J"


def report(*commands, evidence=EVIL, status="fail"):
    finding = Finding("a.b", "gpu", "title?", status, evidence, EVIL, commands)
    return DoctorReport((finding,), "no", can_train=False)


def test_foreign_text_stays_in_comments(tmp_path):
    script = fix_script(report("true"))
    active = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert active == ["true"]
    done = subprocess.run(
        ["sh"], input=script, text=True, capture_output=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (0, "", [])


def test_what_needs_a_decision_is_commented_out():
    script = fix_script(report("sudo reboot", "export X=/path/to/it", "unset Y"))
    active = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert active == ["unset Y"]
    assert "# sudo reboot" in script


def test_what_is_well_is_not_in_it():
    assert "a.b" not in fix_script(report("true", status="ok"))
