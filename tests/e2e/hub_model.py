"""What members of groups must have heard (docs/hub.md, "History" and "More than
one gateway"): the publications, and the judgement of one member's notes (see
hub_members.Member) by them.

With history: offsets rise, no record comes twice, and each record that was
stored came, or the member was told: by `gap`, or by a join that is not
`recovered`. Without history: the counts of each publisher rise, and one is
missing only where the documentation says that it may.
"""

import bisect
import collections
import dataclasses
import math


@dataclasses.dataclass
class Publication:
    content: tuple  # (publisher, count): unique, and count rises.
    group: str
    gateway: int  # The index of the one that was asked, the last time.
    sent: float  # Seconds, as time.monotonic().
    answered: float = math.inf
    ok: bool = False
    failures: int = 0  # Attempts before.
    epoch: str = ""
    offset: int = 0


class Records:
    """What is, or was, in the history of one group, in order."""

    def __init__(self, epochs):
        """`epochs`: of all streams, the oldest first."""
        self._epochs = {epoch: i for i, epoch in enumerate(epochs)}
        self._keys = []  # (which epoch, offset)
        self._contents = []

    def add(self, epoch, offset, content):
        key = (self._epochs[epoch], offset)
        at = bisect.bisect_left(self._keys, key)
        if at < len(self._keys) and self._keys[at] == key:
            assert self._contents[at] == content, (key, content)
            return  # A second publication with the id.
        self._keys.insert(at, key)
        self._contents.insert(at, content)

    def __len__(self):
        return len(self._keys)

    def behind(self, epoch, offset):
        """The index of the first record behind a position."""
        return bisect.bisect_right(self._keys, (self._epochs[epoch], offset))

    def find(self, content, offset, begin):
        """The index of a record, not before `begin`; None: there is none."""
        for i in range(begin, len(self)):
            if self._keys[i][1] == offset and self._contents[i] == content:
                return i
        return None

    def contents(self, begin, end):
        return self._contents[begin:end]

    def which(self, begin, end):
        """For people: (number of the epoch, offset, content) of each."""
        return [(*key, content) for key, content in
                zip(self._keys[begin:end], self._contents[begin:end])]

    def is_renewed(self, begin, end):
        """Whether the record at `end` is of a later stream than all from
        `begin` on before it."""
        return begin < end and self._keys[end - 1][0] < self._keys[end][0]

    def offsets(self):
        """Of all streams together."""
        return [offset for _, offset in self._keys]


@dataclasses.dataclass
class Counts:
    """Over all members and groups."""
    deliveries: int = 0
    recovered: int = 0  # Joins.
    not_recovered: int = 0
    gaps: int = 0
    told: int = 0  # Records that did not come, as the member was told.
    silent: int = 0  # Records that did not come, and nobody said so.
    twice: int = 0  # Or behind a later one.
    strange: int = 0  # Not what is stored.
    faults: list = dataclasses.field(default_factory=list)  # The first ones.

    def fault(self, kind, count, *what):
        setattr(self, kind, getattr(self, kind) + count)
        if len(self.faults) < 5:
            self.faults.append((kind, *what))

    def no_fault(self):
        return self.silent == self.twice == self.strange == 0


def judge_history(notes, group, records, counts, uncertain=frozenset()):
    """One member's notes of a group. `uncertain`: contents that may be stored
    besides, as nobody was told whether they were.

    `at`: the index of the first record that the member has not heard of.
    `told`: it knows that something before the next delivery is missing.
    """
    at, told, last = None, False, 0
    due, due_until = 0, None  # What a join has announced.
    for i, note in enumerate(notes):
        kind = note[0]
        if kind == "joined":
            _, epoch, offset, recovered, missed = note
            if recovered:
                counts.recovered += 1
                due, due_until = missed, records.behind(epoch, offset)
                if due_until < at or due_until - at > missed:
                    counts.fault("silent", max(due_until - at - missed, 1), group,
                                 i, notes[max(i - 4, 0):i + 4])
                told = False
            else:
                begin = records.behind(epoch, offset)
                if at is not None:
                    counts.not_recovered += 1
                    counts.told += max(begin - at, 0)
                at, told, due = begin, False, 0
                last = offset
        elif kind == "gap":
            counts.gaps += 1
            told = True
        elif kind == "away":
            due = 0
        else:
            _, content, offset = note
            counts.deliveries += 1
            found = records.find(content, offset, 0 if at is None else at)
            if found is None:
                if content in uncertain and (offset > last or told):
                    last = offset
                    continue
                earlier = records.find(content, offset, 0)
                counts.fault("strange" if earlier is None else "twice", 1,
                             group, i, notes[max(i - 4, 0):i + 4])
                continue
            if found > at:
                # A gateway that takes the records of another stream for those
                # of the one before sees that soon, and says it then.
                told_later = records.is_renewed(at, found) and any(
                    each[0] == "gap" or each[0] == "joined" and not each[3]
                    for each in notes[i + 1:])
                if told or told_later:
                    counts.told += found - at
                else:
                    counts.fault("silent", found - at, group, i,
                                 records.which(at, found),
                                 notes[max(i - 4, 0):i + 4])
            at, told, last = found + 1, False, offset
            due -= due > 0
    if at is not None and at < len(records):
        if told:
            counts.told += len(records) - at
        else:
            counts.fault("silent", len(records) - at, group, "at the end",
                         records.which(at, len(records)), notes[-4:])


class Connections:
    """When the gateways were connected to NATS, as the test has seen it; for
    groups without history."""

    def __init__(self):
        self._lives = []  # Of NATS: [killed at, {gateway: up since}]

    def begin(self):
        self._lives.append([math.inf, {}])

    def is_up(self, gateway, now):
        self._lives[-1][1][gateway] = now

    def end(self, now):
        self._lives[-1][0] = now

    def life(self, publication, gateway):
        """In which `gateway` was connected while the publication was on its
        way, from before to behind; None: in none."""
        for i, (killed, up) in enumerate(self._lives):
            if (up.get(gateway, math.inf) <= publication.sent and
                    publication.answered <= killed):
                return i
        return None


def judge_live(members, publications, connections, counts):
    """Groups without history: `members` are (gateway, {group: contents heard})
    and have been there all the time. Returns how many deliveries were missing
    where that is allowed.

    A publication that was answered with OK reaches the members at the gateway
    that was asked. Those at another one get it if that was connected before it
    was sent, and has still received on the same connection what was sent after
    its answer: NATS has it in order.
    """
    by_content = {each.content: each for each in publications}
    # For each gateway and connection: the last that came was sent then.
    reached = collections.defaultdict(float)
    for gateway, groups in members:
        for contents in groups.values():
            for content in contents:
                each = by_content[content]
                if each.gateway != gateway:
                    key = gateway, connections.life(each, gateway)
                    reached[key] = max(reached[key], each.sent)
    by_group = collections.defaultdict(list)
    for each in publications:
        by_group[each.group].append(each)
    excused = 0
    for gateway, groups in members:
        for group, contents in groups.items():
            heard = set(contents)
            counts.deliveries += len(contents)
            if len(heard) < len(contents):
                counts.fault("twice", len(contents) - len(heard), group)
            latest = {}
            for publisher, count in contents:
                if count <= latest.get(publisher, -1):
                    counts.fault("twice", 1, group, publisher, count)
                latest[publisher] = count
            for each in by_group[group]:
                came = each.content in heard
                if not each.ok:
                    if came and each.gateway == gateway:
                        counts.fault("strange", 1, "it failed", each)
                    continue
                if came:
                    continue
                life = connections.life(each, gateway)
                if each.gateway == gateway or (
                        life is not None and
                        each.answered < reached[gateway, life]):
                    counts.fault("silent", 1, each, "gateway", gateway)
                else:
                    excused += 1
    return excused
