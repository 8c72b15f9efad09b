"""Settings: read from the environment, checked at start, and said by name when they are wrong."""

import pytest

from remora.config import AuthorizerSettings, ConnectorSettings


def test_settings_are_read_by_their_environment_names() -> None:
    settings = ConnectorSettings.from_environment(
        {
            "REMORA_CHROMA_HOST": "chroma.internal",
            "REMORA_CHROMA_PORT": "8001",
            "REMORA_MEMORY_BUCKET": "remora-memory",
            "REMORA_CHROMA_SSL": "true",
            "REMORA_ALLOWED_ORIGINS": "https://claude.ai, https://chatgpt.com",
            "PATH": "/bin",
        }
    )
    assert (settings.chroma_host, settings.chroma_port, settings.chroma_ssl) == ("chroma.internal", 8001, True)
    assert settings.allowed_origins == ("https://claude.ai", "https://chatgpt.com")


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert (
        ConnectorSettings.from_environment(
            {"REMORA_CHROMA_HOST": "h", "REMORA_CHROMA_PORT": "", "REMORA_MEMORY_BUCKET": "b-1"}
        ).chroma_port
        == 8000
    )


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "REMORA_CHROMA_HOST"),
        ({"REMORA_CHROMA_HOST": "h"}, "REMORA_MEMORY_BUCKET"),
        ({"REMORA_CHROMA_HOST": "h", "REMORA_CHROMA_PORT": "99999"}, "REMORA_CHROMA_PORT"),
        ({"REMORA_CHROMA_HOST": "h", "REMORA_CHROMA_ENGINE": "cluster"}, "REMORA_CHROMA_ENGINE"),
    ],
)
def test_what_is_missing_or_wrong_is_named(environment: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ConnectorSettings.from_environment(environment)


def test_a_wrong_value_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="REMORA_PRINCIPALS_CACHE_SECONDS") as error:
        AuthorizerSettings.from_environment(
            {"REMORA_PRINCIPALS_SECRET": "s", "REMORA_PRINCIPALS_CACHE_SECONDS": "not-to-be-seen"}
        )
    assert "not-to-be-seen" not in str(error.value)


def test_the_environment_names_are_those_of_the_fields() -> None:
    assert AuthorizerSettings.environment_names() == {
        "REMORA_ORIGIN_SECRET",
        "REMORA_SIGNING_SECRET",
        "REMORA_PRINCIPALS_SECRET",
        "REMORA_PRINCIPALS_CACHE_SECONDS",
        "REMORA_OUTSIDE_ISSUER",
        "REMORA_OUTSIDE_AUDIENCE",
        "REMORA_OUTSIDE_PRINCIPAL_CLAIM",
        "REMORA_OUTSIDE_SCOPES_CLAIM",
        "REMORA_OUTSIDE_SPACE_CLAIM",
    }


def test_an_outside_issuer_without_an_audience_is_no_setting() -> None:
    with pytest.raises(ValueError, match=r"REMORA_OUTSIDE_AUDIENCE: .*REMORA_OUTSIDE_ISSUER"):
        AuthorizerSettings.from_environment(
            {"REMORA_PRINCIPALS_SECRET": "s", "REMORA_OUTSIDE_ISSUER": "https://issuer.example"}
        )


@pytest.mark.parametrize(
    "issuer",
    [
        "http://issuer.example",
        "https://issuer.example:444",
        "http://127.0.0.1.evil.example",
        "https://u@issuer.example",
    ],
)
def test_an_outside_issuer_is_reached_by_https_or_on_this_machine(issuer: str) -> None:
    with pytest.raises(ValueError, match="REMORA_OUTSIDE_ISSUER"):
        AuthorizerSettings.from_environment(
            {"REMORA_PRINCIPALS_SECRET": "s", "REMORA_OUTSIDE_ISSUER": issuer, "REMORA_OUTSIDE_AUDIENCE": "a"}
        )
