"""The documents that clients discover the authorization server with (RFC 8414, RFC 9728, OpenID discovery)."""

from typing import Final

from pydantic import BaseModel, ConfigDict

from remora.oauth.site import AUTHORIZE, JWKS, REGISTER, REVOKE, TOKEN, Site

SCOPES: Final = ("read", "write")
OFFLINE_ACCESS: Final = "offline_access"
GRANT_TYPES: Final = ("authorization_code", "refresh_token")
AUTH_METHODS: Final = ("none", "client_secret_post", "client_secret_basic")


class AuthorizationServerMetadata(BaseModel):
    """RFC 8414, section 2, with RFC 9207, RFC 9728 (section 4) and client-id metadata documents."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    scopes_supported: tuple[str, ...]
    response_types_supported: tuple[str, ...] = ("code",)
    response_modes_supported: tuple[str, ...] = ("query",)
    grant_types_supported: tuple[str, ...] = GRANT_TYPES
    token_endpoint_auth_methods_supported: tuple[str, ...] = AUTH_METHODS
    revocation_endpoint_auth_methods_supported: tuple[str, ...] = AUTH_METHODS
    code_challenge_methods_supported: tuple[str, ...] = ("S256",)
    client_id_metadata_document_supported: bool = True
    authorization_response_iss_parameter_supported: bool = True
    protected_resources: tuple[str, ...]


class OpenIdMetadata(AuthorizationServerMetadata):
    """The same at the OpenID path, with what readers of that path insist on. No ID tokens are issued."""

    subject_types_supported: tuple[str, ...] = ("public",)
    id_token_signing_alg_values_supported: tuple[str, ...] = ("EdDSA",)


class ProtectedResourceMetadata(BaseModel):
    """RFC 9728, section 2."""

    model_config = ConfigDict(frozen=True)

    resource: str
    authorization_servers: tuple[str, ...]
    scopes_supported: tuple[str, ...] = SCOPES
    bearer_methods_supported: tuple[str, ...] = ("header",)
    resource_name: str = "Remora"


def authorization_server_metadata(site: Site) -> AuthorizationServerMetadata:
    """Return the authorization server's metadata."""
    return AuthorizationServerMetadata.model_validate(_server_members(site))


def openid_metadata(site: Site) -> OpenIdMetadata:
    """Return the same for the OpenID path."""
    return OpenIdMetadata.model_validate(_server_members(site))


def protected_resource_metadata(site: Site, path: str) -> ProtectedResourceMetadata | None:
    """Return the metadata of a resource, or None if there is no such resource.

    Args:
        site: The deployment.
        path: The resource's path as the client has it. `resource` repeats a trailing slash, because clients
            compare it with the URL that the person typed (RFC 9728, section 3.3). Empty is the whole server.
    """
    path = path or "/mcp"
    canonical = site.resource(site.issuer + path)
    if canonical is None:
        return None
    resource = canonical + "/" if path.endswith("/") else canonical
    return ProtectedResourceMetadata(resource=resource, authorization_servers=(site.issuer,))


def _server_members(site: Site) -> dict[str, object]:
    return {
        "issuer": site.issuer,
        "authorization_endpoint": site.endpoint(AUTHORIZE),
        "token_endpoint": site.endpoint(TOKEN),
        "registration_endpoint": site.endpoint(REGISTER),
        "revocation_endpoint": site.endpoint(REVOKE),
        "jwks_uri": site.endpoint(JWKS),
        # `offline_access` stands here and not with the resource: it asks for a refresh token, and clients look
        # for it before they refresh (MCP specification 2026-07-28, authorization, refresh tokens).
        "scopes_supported": (*SCOPES, OFFLINE_ACCESS),
        "protected_resources": site.resources,
    }
