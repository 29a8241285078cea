"""The images that have a name here: the newest of a publisher whose name fits. An AMI's id is taken as it is."""

from __future__ import annotations

import re
from typing import Any

from ...errors import ProviderError

AMI = re.compile(r"ami-[0-9a-f]{8,17}")
_DEBIAN, _CANONICAL = "136693071363", "099720109477"
IMAGES = {
    "debian-12": (_DEBIAN, "debian-12-amd64-*"),
    "debian-13": (_DEBIAN, "debian-13-amd64-*"),
    "ubuntu-22.04": (_CANONICAL, "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"),
    "ubuntu-24.04": (_CANONICAL, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*"),
}


def lookup(account: Any, image: str, doing: str) -> tuple[str, str]:
    """The AMI's id and the name of its root device. Raises ProviderError (`no_image`)."""
    if AMI.fullmatch(image):
        asked: dict[str, Any] = {"ImageIds": [image]}
    else:
        owner, pattern = IMAGES[image]
        filters = [{"Name": "name", "Values": [pattern]}, {"Name": "state", "Values": ["available"]}]
        asked = {"Owners": [owner], "Filters": filters}
    found = account.ask(doing, account.ec2.describe_images, **asked)["Images"]
    if not found:
        raise ProviderError(f"{doing}: there is no image {image!r} in this region", code="no_image", retryable=False)
    newest = max(found, key=lambda each: each["CreationDate"])
    return newest["ImageId"], newest["RootDeviceName"]
