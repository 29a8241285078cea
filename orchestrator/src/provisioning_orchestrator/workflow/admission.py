"""Who may run: the machine across workflows.

`slots` attempts at once; workflows are served in turn, each of them first come, first served.

So a workflow of 100,000 ready tasks does not keep a small one waiting.

An attempt whose child workflow has not ended lends its slot: it waits for that, or at least may, and ten attempts that
wait for ten children would otherwise wait for ever. How many lend is bounded, or parents that wait would fill the
machine: of each depth at most `slots + loans_max` attempts live at a time. The depth of an attempt is one more than
that of the attempt which submitted its workflow, at most DEPTH_MAX, and it keeps it.

Why this cannot lock up: who waits, waits for attempts that are deeper. At DEPTH_MAX nobody may have children, so
these end; then there is room at their depth, so those of the depth above get what they wait for; and so on up. No depth
has to leave room for another one, so it holds as well for what a restart finds, and with other settings than before.

Nothing of it is stored: requests follow from ready tasks, held slots from running ones, loans from unfinished children.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque

DEPTH_MAX = 32
LOANS_MAX = 20

Place = tuple[str, int]  # a workflow and the seq of a task in it


class Admission:
    def __init__(self, slots: int, loans_max: int = LOANS_MAX) -> None:
        assert slots >= 1, "at least one slot"
        assert loans_max >= 0, "no less than none"
        self.slots = slots
        self.loans_max = loans_max
        self._held: dict[str, dict[int, int]] = {}  # workflow → seq → the depth of its attempt
        self._alive: Counter[int] = Counter()  # depth → attempts
        self._held_count = 0
        self._lent: set[Place] = set()
        self._requests: dict[str, deque[int]] = {}
        # Workflows with requests in the order of their turn, by depth: which turn each of them has.
        self._turns: dict[int, OrderedDict[str, int]] = {}
        self._queued_at: dict[str, int] = {}
        self._turn = 0
        self._parents: dict[str, Place | None] = {}  # of living workflows
        self._children: dict[str, dict[str, None]] = {}

    @property
    def running(self) -> int:
        return self._held_count

    @property
    def waiting(self) -> int:
        return sum(len(requests) for requests in self._requests.values())

    # --- what there is -----------------------------------------------------------------------------------------------

    def enter(self, workflow: str, parent: Place | None = None) -> None:
        """A workflow lives from now on. parent: the task that submitted it. Those that nobody entered have none."""
        self._parents[workflow] = parent
        if parent is not None:
            self._children.setdefault(parent[0], {})[workflow] = None

    def depth(self, workflow: str) -> int:
        """Of the attempts that it may start now. It never grows."""
        below = 0
        while True:
            parent = self._parents.get(workflow)
            if parent is None or parent[0] not in self._parents:
                return below
            below += 1
            held = self._held.get(parent[0], {}).get(parent[1])
            if held is not None:
                return held + below
            workflow = parent[0]

    def may_have_children(self, workflow: str, seq: int) -> bool:
        """Whether its attempt is less than DEPTH_MAX deep.

        An attempt keeps its depth when those above it end. So that a task may submit its successor and end, for ever,
        it is counted where it would start now, if there is room.
        """
        if self._held.get(workflow, {}).get(seq, self.depth(workflow)) < DEPTH_MAX:
            return True
        above: list[Place] = []
        place: Place | None = (workflow, seq)
        while place is not None and (place[0] in self._parents or not above):
            above.append(place)
            place = self._parents.get(place[0])
        least = 0
        for each, number in reversed(above):
            held = self._held.get(each, {})
            if number in held:
                least = held[number] = self._moved(held[number], least)
            least += 1
        return least <= DEPTH_MAX

    def _moved(self, depth: int, least: int) -> int:
        """The lowest depth from `least` on that has room for an attempt of this depth, which counts there now."""
        found = next((lower for lower in range(least, depth) if self._has_room(lower)), depth)
        self._alive[depth] -= 1
        self._alive[found] += 1
        return found

    # --- what is wished and what happens -----------------------------------------------------------------------------

    def request(self, workflow: str, seq: int) -> None:
        requests = self._requests.get(workflow)
        if requests is None:
            requests = self._requests[workflow] = deque()
            self._queue(workflow)
        requests.append(seq)

    def hold(self, workflow: str, seq: int) -> None:
        """Take a slot without asking: an attempt that is already running. There may be more of them than slots."""
        held = self._held.setdefault(workflow, {})
        if seq not in held:
            held[seq] = self.depth(workflow)
            self._alive[held[seq]] += 1
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
        self._alive[held.pop(seq)] -= 1
        self._lent.discard((workflow, seq))
        self._held_count -= 1
        if not held:
            del self._held[workflow]

    def withdraw(self, workflow: str) -> None:
        """Forget its requests; what it holds it keeps."""
        if self._requests.pop(workflow, None) is not None:
            self._unqueue(workflow)

    def forget(self, workflow: str) -> None:
        """It has ended: forget its requests and all that it holds. Its children have no parent any more."""
        self.withdraw(workflow)
        for seq in tuple(self._held.get(workflow, ())):
            self.release(workflow, seq)
        parent = self._parents.pop(workflow, None)
        if parent is not None:
            self._children.get(parent[0], {}).pop(workflow, None)
        for child in self._children.pop(workflow, ()):
            if child in self._queued_at:
                self._unqueue(child)
                self._queue(child)

    def grants(self) -> list[Place]:
        """Give out the free slots: (workflow, seq) each, and they hold them from now on."""
        granted = []
        while self._held_count - len(self._lent) < self.slots and (workflow := self._next()) is not None:
            requests = self._requests[workflow]
            seq = requests.popleft()
            self.hold(workflow, seq)
            granted.append((workflow, seq))
            if requests:
                self._queue(workflow)
            else:
                del self._requests[workflow]
        return granted

    def why(self, workflow: str) -> str:
        """What a request of this workflow waits for, in words."""
        depth, counted = self.depth(workflow), self._held_count - len(self._lent)
        if not self._has_room(depth):
            lent = sum(self._held[each][seq] == depth for each, seq in self._lent)
            where = f"at depth {depth} of child workflows" if depth else "of workflows that are nobody's children"
            return (
                f"one of {self._alive[depth]} attempts {where} to end ({lent} of them wait for children); "
                f"at most {self.slots} (slots) + {self.loans_max} (loans_max) may be alive"
            )
        if counted >= self.slots:
            lent = len(self._lent)
            return f"one of {self.slots} slots, all in use" + (
                f" ({lent} more attempts wait for children)" if lent else ""
            )
        return "its turn"

    # --- the turns ---------------------------------------------------------------------------------------------------

    def _next(self) -> str | None:
        """The workflow whose turn it is, taken out of its queue; None: there is none that may start something."""
        while True:
            heads = [(next(iter(queue.items())), at) for at, queue in self._turns.items() if self._has_room(at)]
            if not heads:
                return None
            (workflow, _), at = min(heads, key=lambda head: head[0][1])
            self._unqueue(workflow)
            # What is above may have ended since it was queued.
            if self.depth(workflow) == at or self._has_room(self.depth(workflow)):
                return workflow
            self._queue(workflow)

    def _queue(self, workflow: str) -> None:
        self._turn += 1
        at = self._queued_at[workflow] = self.depth(workflow)
        self._turns.setdefault(at, OrderedDict())[workflow] = self._turn

    def _unqueue(self, workflow: str) -> None:
        at = self._queued_at.pop(workflow)
        queue = self._turns[at]
        del queue[workflow]
        if not queue:
            del self._turns[at]

    def _has_room(self, depth: int) -> bool:
        return self._alive[depth] < self.slots + self.loans_max
