"""A store that speaks S3 (moto), in a process of its own on loopback, which lets in only what is signed."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3

BEFORE_KEYS_ARE_ASKED_FOR = 4
EVERYTHING = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
REGION = "eu-central-1"


@dataclass(frozen=True, kw_only=True)
class Store:
    """The store, and who may do everything there."""

    url: str
    access_key: str
    secret_key: str

    def client(self, service: str = "s3") -> Any:
        """Return a client of Amazon's own."""
        return client(service, self.url, self.access_key, self.secret_key)


def client(service: str, url: str, access_key: str, secret_key: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )


@contextlib.contextmanager
def s3_server() -> Iterator[Store]:
    """Run the server while the block lasts; its first requests need no key, and make one."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(BEFORE_KEYS_ARE_ASKED_FOR)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = running_at(process)
            iam = client("iam", url, "none", "none")
            iam.create_user(UserName="reader")
            policy = iam.create_policy(PolicyName="all", PolicyDocument=EVERYTHING)["Policy"]["Arn"]
            iam.attach_user_policy(UserName="reader", PolicyArn=policy)
            key = iam.create_access_key(UserName="reader")["AccessKey"]
            yield Store(url=url, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
        finally:
            process.terminate()


def running_at(process: "subprocess.Popen[str]") -> str:
    """Return the address that a server tells once it listens; what it tells later is read by nobody."""
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if "Running on " in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return line.partition("Running on ")[2].split()[0]
    raise RuntimeError("".join(told))
