"""The provider `aws`: EC2 instances, VPCs and EBS volumes in one region of an account, through boto3."""

from .provider import AwsProvider

__all__ = ["AwsProvider"]
