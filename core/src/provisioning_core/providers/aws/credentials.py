"""Credentials of AWS: boto3's own chain finds them, which people of AWS have set up already.

In its order: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), AWS_PROFILE and ~/.aws, single
sign-on, a container's or an instance's role. Nothing of it is read here; a missing one is said when the first call is
made.
"""

from __future__ import annotations

from typing import Any

from ...errors import AuthError

HINT = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; `aws configure` writes ~/.aws/credentials"


_PLACES = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "shared-credentials-file": "the shared credentials file (~/.aws/credentials)",
    "config-file": "the configuration file (~/.aws/config)",
    "assume-role": "a role of the profile",
    "sso": "single sign-on",
    "iam-role": "the role of this instance",
    "container-role": "the role of this container",
    "custom-process": "the profile's credential_process",
}


def refused_hint(session: Any) -> str:
    """What to do where AWS does not take them: where boto3 found them, and how to give others."""
    found = session.get_credentials()
    method = getattr(found, "method", "") or "boto3"
    profile = f", profile {session.profile_name}" if method != "env" else ""
    return f"the credentials are from {_PLACES.get(method, method)}{profile}; {HINT}"


def session(region: str) -> Any:
    """A boto3 session with credentials. Raises AuthError (`no_credentials`)."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        made = boto3.Session(region_name=region)
        found = made.get_credentials()
    except BotoCoreError as error:
        raise AuthError(f"AWS: {error}", code="no_credentials", hint=HINT) from error
    if found is None:
        raise AuthError("no credentials for AWS", code="no_credentials", hint=HINT)
    return made
