"""A PyFlink for the tests, in a virtual environment of its own (0.8 GB), with Flink's connector for Kafka from Maven Central.

What is in it is pinned by requirements.lock beside this file; penstock itself is taken from the checkout.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from own_process import NoServerError, alone, run, services_folder

VERSION = "2.3.0"
HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>flink-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.flink</groupId><artifactId>flink-sql-connector-kafka</artifactId><version>5.0.0-2.2</version>
    </dependency>
  </dependencies>
</project>
"""


class Flink:
    """A PyFlink that is there. `environment` is that of a process that is to find it, and penstock."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.python = home / "venv" / "bin" / "python"
        (self.connector,) = (home / "jars").glob("flink-sql-connector-kafka-*.jar")
        packages = sysconfig.get_path("purelib", vars={"base": str(home / "venv")})
        self.environment = {
            "PYTHONPATH": f"{CHECKOUT / 'src'}{os.pathsep}{packages}",
            "PENSTOCK_FLINK_JARS": str(self.connector),
        }


def installed_flink() -> Flink:
    """Return a PyFlink, installed now where it is not; `NoServerError` says why there can be none."""
    if shutil.which("java") is None:
        raise NoServerError("no Java here: install openjdk-17-jre-headless")
    home = services_folder() / f"flink-{VERSION}"
    with alone("flink"):
        if not (home / ".done").exists():
            _install(home)
    return Flink(home)


def traces_of(flink: Flink) -> dict[str, str]:
    """Return the environment of a process that is to find what traces (`penstock[otel]`), too; it is installed beside."""
    folder = flink.home / "traces"
    with alone("flink"):
        if not (folder / ".done").exists():
            pip = [flink.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            run([*pip, "--require-hashes", "--upgrade", "--target", folder, "-r", HERE / "traces.lock"])
            (folder / ".done").touch()
    return {"PYTHONPATH": f"{flink.environment['PYTHONPATH']}{os.pathsep}{folder}"}


def _install(home: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NoServerError("no Maven here: install maven")
    home.mkdir(parents=True, exist_ok=True)
    (home / "pom.xml").write_text(POM)
    goal = "dependency:copy-dependencies"
    run(
        [maven, "-B", "-ntp", "-q", goal, "-DoutputDirectory=jars", "-DincludeScope=runtime", "-Dtransitive=false"],
        cwd=home,
    )
    run([sys.executable, "-m", "venv", "--clear", home / "venv"])
    pip = [home / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Some of it comes as sources, which are built with what is installed first.
    run([*pip, "setuptools==80.10.2", "wheel"])
    run([*pip, "--require-hashes", "--no-build-isolation", "-r", HERE / "requirements.lock"])
    (home / ".done").touch()
