"""Apache Kafka in KRaft mode: one process that is broker and controller, from Maven's artifacts."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.kafka.broker import Broker, free_port

POM = Path(__file__).parent / "pom.xml"
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
MEMORY = ["-Xmx320m", "-Xms64m", "-XX:+UseSerialGC"]
BRIEF = ["-XX:TieredStopAtLevel=1"]
"""Where its start is most of what it does: code that is compiled better would not be used for long."""

SETTINGS = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
"""


def is_possible() -> bool:
    """Return whether Java and Maven are there."""
    return shutil.which("java") is not None and shutil.which("mvn") is not None


def class_path() -> str:
    """Return the class path, resolved by Maven once for each version of the pom."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"magnet-kafka-{digest}"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = directory / "class-path"
        if not found.exists() or not all(Path(part).exists() for part in found.read_text().split(":")):
            subprocess.run(
                ["mvn", "-q", "-B", "-f", str(POM), "dependency:build-classpath", f"-Dmdep.outputFile={found}"],
                check=True,
                capture_output=True,
            )
        return found.read_text().strip()


class ApacheKafka(Broker):
    """The real one."""

    name = "Apache Kafka 4.1.0 (KRaft)"
    transactions = True
    durable = True

    def _command(self) -> list[str]:
        java = ["java", *MEMORY, *(BRIEF if self.brief else ()), "-cp", class_path()]
        settings = self.directory / "server.properties"
        if not settings.exists():
            settings.write_text(
                SETTINGS.format(port=self.port, controller=free_port(), directory=self.directory.absolute())
            )
            subprocess.run(
                [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(settings)],
                check=True,
                capture_output=True,
            )
        return [*java, "kafka.Kafka", str(settings)]
