"""An outside issuer (Cognito, Google, Entra ID, Auth0, Okta): its keys, its tokens, and whom they stand for."""
