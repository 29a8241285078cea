"""Who may run: the machine across workflows.

`slots` attempts at once; workflows are served in turn, each of them first come, first served.

So a workflow of 100,000 ready tasks does not keep a small one waiting.

An attempt whose child workflow has not ended lends its slot: it waits for that, or at least may, and ten attempts that
wait for ten children would otherwise wait for ever.

Nothing of it is stored: requests follow from ready tasks, held slots from running ones, loans from unfinished children.
"""

from __future__ import annotations

from collections import deque


class Admission:
    def __init__(self, slots: int) -> None:
        assert slots >= 1, "at least one slot"
        self.slots = slots
        self._held: dict[str, set[int]] = {}
        self._held_count = 0
        self._lent: set[tuple[str, int]] = set()
        self._requests: dict[str, deque[int]] = {}
        self._turn: deque[str] = deque()  # workflows with requests, in the order of their turn

    @property
    def running(self) -> int:
        return self._held_count

    @property
    def waiting(self) -> int:
        return sum(len(requests) for requests in self._requests.values())

    def request(self, workflow: str, seq: int) -> None:
        requests = self._requests.get(workflow)
        if requests is None:
            requests = self._requests[workflow] = deque()
            self._turn.append(workflow)
        requests.append(seq)

    def hold(self, workflow: str, seq: int) -> None:
        """Take a slot without asking: an attempt that is already running. There may be more of them than slots."""
        held = self._held.setdefault(workflow, set())
        if seq not in held:
            held.add(seq)
            self._held_count += 1

    def lend(self, workflow: str, seq: int) -> None:
        """From now on the slot that this attempt holds does not count."""
        if seq in self._held.get(workflow, ()):
            self._lent.add((workflow, seq))

    def reclaim(self, workflow: str, seq: int) -> None:
        """It counts again; for a moment more may run than there are slots."""
        self._lent.discard((workflow, seq))

    def release(self, workflow: str, seq: int) -> None:
        held = self._held.get(workflow)
        if held is None or seq not in held:
            return
        held.discard(seq)
        self._lent.discard((workflow, seq))
        self._held_count -= 1
        if not held:
            del self._held[workflow]

    def withdraw(self, workflow: str) -> None:
        """Forget its requests; what it holds it keeps."""
        if self._requests.pop(workflow, None) is not None:
            self._turn.remove(workflow)

    def forget(self, workflow: str) -> None:
        """Forget its requests and all that it holds."""
        self.withdraw(workflow)
        held = self._held.pop(workflow, set())
        self._held_count -= len(held)
        self._lent.difference_update((workflow, seq) for seq in held)

    def grants(self) -> list[tuple[str, int]]:
        """Give out the free slots: (workflow, seq) each, and they hold them from now on."""
        granted = []
        while self._held_count - len(self._lent) < self.slots and self._turn:
            workflow = self._turn.popleft()
            requests = self._requests[workflow]
            seq = requests.popleft()
            self.hold(workflow, seq)
            granted.append((workflow, seq))
            if requests:
                self._turn.append(workflow)
            else:
                del self._requests[workflow]
        return granted
