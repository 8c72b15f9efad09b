"""A fresh deployment for each test."""

import pytest

from tests.integration.principals.deployment import Deployment


@pytest.fixture
def deployment(aws_environment: dict[str, str]) -> Deployment:
    """A secret without principals, and three usage plans."""
    return Deployment.create()
