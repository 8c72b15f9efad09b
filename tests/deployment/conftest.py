"""What `sam package` uploads to moto's S3, and the stack that moto's CloudFormation makes of it."""

import functools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from tests.build.conftest import built, checkout, sam_build
from tests.deployment.moto_stack import Clients, Document, Made, make
from tests.runtime_emulator.emulator import REPOSITORY
from tests.support.aws import REGION

__all__ = ["built", "checkout", "sam_build"]

BUCKET = "artifacts"


@dataclass(frozen=True)
class Packaged:
    """What `sam package` left.

    Attributes:
        source: As it wrote it, with the addresses of what it uploaded.
        transformed: As CloudFormation's transform, AWS's SAM translator, makes it.
    """

    source: Document
    transformed: Document


@pytest.fixture(scope="session")
def aws(aws_session: boto3.Session, moto_url: str) -> Clients:
    """Makes clients that reach moto."""
    return functools.partial(aws_session.client, endpoint_url=moto_url)


@pytest.fixture(scope="session")
def packaged(built: Path, aws: Clients, moto_url: str, tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    """What `sam package` made of the build, with everything in moto's S3."""
    aws("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    target = tmp_path_factory.mktemp("packaged") / "template.yaml"
    sam = str(REPOSITORY / ".venv-sam" / "bin" / "sam")
    run = subprocess.run(
        [sam, "package", "--s3-bucket", BUCKET, "--output-template-file", str(target), "--no-progressbar"],
        cwd=built.parents[1],
        env={
            **os.environ,
            "AWS_ENDPOINT_URL": moto_url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "SAM_CLI_TELEMETRY": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    document: Document = translator.translate(yaml_parse(target.read_text()), {"ChromaHost": "chroma.internal"})
    return Packaged(yaml_parse(target.read_text()), document)


@pytest.fixture(scope="session")
def made(packaged: Packaged, aws: Clients) -> Made:
    """The stack, as far as moto makes it."""
    return make(aws, "remora", packaged.transformed, {})
