"""The Lambda authorizer: a credential in, an IAM policy and the principal out."""
