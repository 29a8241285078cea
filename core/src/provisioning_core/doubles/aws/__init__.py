"""A double of Amazon's EC2: moto, corrected where it is not faithful. `double` says how."""

from .double import AwsDouble

__all__ = ["AwsDouble"]
