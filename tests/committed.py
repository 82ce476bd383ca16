"""What a group has committed for a partition: an offset, and in the metadata what has ended above it.

Written from the description of the format, and not from the host's code: whoever judges the host reads with other eyes.
"""

import base64
import zlib
from dataclasses import dataclass, field

PREFIX = "callgate/1:"
GAPS, BITMAP = 0, 1


@dataclass(frozen=True)
class Committed:
    offset: int
    sequence: int = 0
    """Counts the partition's commits."""
    ended: frozenset = field(default=frozenset(), repr=False)
    """Offsets above it that are said to have ended. Some of them may never have been records: gaps."""
    topic_id: bytes = b""
    """The id of the topic for which it was made."""

    def covers(self, offset):
        """Whether a record there is said to have ended."""
        return offset < self.offset or offset in self.ended

    @classmethod
    def read(cls, offset, metadata):
        """Raises ValueError where the metadata begins as the host's and is not sound."""
        if not metadata or not metadata.startswith(PREFIX):
            return cls(offset)
        body = sound(metadata.removeprefix(PREFIX))
        if body is None:
            raise ValueError(f"the metadata beside offset {offset} is not sound: {metadata}")
        form, sequence, base, payload = body[0], int.from_bytes(body[17:25]), int.from_bytes(body[25:33]), body[33:]
        if base != offset:
            raise ValueError(f"the metadata beside offset {offset} was made for offset {base}")
        return cls(offset, sequence, frozenset(FORMS[form](payload, base)), body[1:17])


def sound(text):
    """The bytes that the text stands for, without their checksum, or None."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
    return raw[:-4] if zlib.crc32(raw[:-4]) == int.from_bytes(raw[-4:]) else None


def from_gaps(payload, base):
    """Distances between the offsets that have not ended, and last to one above the highest that has."""
    gaps, value, shift = [], 0, 0
    for byte in payload:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            gaps.append(value)
            value = shift = 0
    at = base
    for gap in gaps:
        yield from range(at + 1, at + gap)
        at += gap


def from_bitmap(payload, base):
    """A bit for each offset above the base, the lowest first: 1 where it has not ended."""
    for bit in range(len(payload) * 8):
        if not payload[bit // 8] >> bit % 8 & 1:
            yield base + 1 + bit


FORMS = {GAPS: from_gaps, BITMAP: from_bitmap}
