"""Credentials of AWS: boto3's own chain finds them, which people of AWS have set up already.

In its order: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), AWS_PROFILE and ~/.aws, single
sign-on, a container's or an instance's role. Nothing of it is read here; a missing one is said when the first call is
made.
"""

from __future__ import annotations

from typing import Any

from ...errors import AuthError

HINT = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; `aws configure` writes ~/.aws/credentials"


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
