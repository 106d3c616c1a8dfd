"""asl-validator, from npm, as a second opinion: installed once into a cache folder, its versions pinned with hashes beside this file.

- Where there is no node, or npm reaches no registry, the tests that need it are skipped, loudly: it is no server, and the machine that
  the tests must pass on has none.
- PENSTOCK_TEST_CACHE is where it is installed, or ~/.cache/penstock-tests.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
LOCK = "package-lock.json"
INSTALL_S = 50
JUDGE_S = 50
SCRIPT = """
const ajv = require("ajv"), Original = ajv.default;
let compiled;  // it would compile all of its schemas anew for each document: a tenth of a second
class Once extends Original {
  addKeyword(given) {
    const names = [given.keyword ?? given].flat();
    return names.every((each) => this.getKeyword(each)) ? this : super.addKeyword(given);
  }
}
ajv.default = function (options) { return compiled ??= new Once(options) };
const validate = require("asl-validator");
const documents = JSON.parse(require("fs").readFileSync(0));
const verdicts = documents.map((each) => { try { return validate(each).isValid } catch { return false } });
console.log(JSON.stringify(verdicts));
"""


class NoValidatorError(Exception):
    """There is no asl-validator, and none can be had here; the message says why."""


def verdicts(documents: list[Any]) -> list[bool]:
    """Return for each document whether asl-validator takes it for valid; skip without one."""
    try:
        folder = _installed()
    except NoValidatorError as error:
        pytest.skip(f"NO SECOND OPINION OF ASL-VALIDATOR: {error}")
    ran = subprocess.run(
        ["node", "-e", SCRIPT],
        input=json.dumps(documents),
        check=True,
        capture_output=True,
        text=True,
        timeout=JUDGE_S,
        env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
    )
    found: list[bool] = json.loads(ran.stdout)
    return found


def _installed() -> Path:
    """Return the folder in which it is, installed now if need be."""
    missing = [each for each in ("node", "npm") if shutil.which(each) is None]
    if missing:
        raise NoValidatorError(f"there is no {' and no '.join(missing)} here: install Node.js")
    pinned = hashlib.sha256((HERE / LOCK).read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("PENSTOCK_TEST_CACHE") or Path.home() / ".cache" / "penstock-tests")
    folder = cache / f"asl-validator-{pinned}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes want it at once
        if not (folder / "ready").exists():
            for name in ("package.json", LOCK):
                shutil.copy(HERE / name, folder / name)
            _run_npm(folder)
            (folder / "ready").touch()
    return folder


def _run_npm(folder: Path) -> None:
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired as error:
        raise NoValidatorError(f"npm did not install it within {INSTALL_S} s") from error
    except subprocess.CalledProcessError as error:
        raise NoValidatorError(f"npm could not install it: {error.stderr.strip()[-300:]}") from error
