"""What the router sees of a text: hashed sequences of 1 to 5 characters, of 1 to 3 in scripts without spaces.

Sources/Core/Routing/TextFeatures.swift must do exactly the same: training writes Tests/RoutingTests/golden.jsonl with what comes
of some odd texts here, and the tests there compare. Whoever changes anything here changes the magic number in weights.py with it.
"""

# Of a longer text the first and the last half of so many characters are read.
MOST_SCALARS = 512
LONGEST = 5
# Of Han, kana and Hangul, from here on.
LONGEST_IDEOGRAPHIC = 3
IDEOGRAPHIC = 0x2E80
SEED = 0x811C9DC5
PRIME = 0x01000193
MASK = 0xFFFFFFFF
SPACE = 0x20


def is_ignored(value):
    """Marks that change how a character looks, and characters without width."""
    return (
        0x0300 <= value <= 0x036F
        or 0x200B <= value <= 0x200F
        or 0xFE00 <= value <= 0xFE0F
        or value in (0x00AD, 0x2060, 0xFEFF)
    )


def is_space(value):
    return (
        value <= 0x20
        or 0x7F <= value <= 0xA0
        or 0x2000 <= value <= 0x200A
        or value in (0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
    )


def plain(value):
    """The compatibility forms that keyboards produce, as NFKC has them, and typographic quotes, in ASCII."""
    if 0xFF01 <= value <= 0xFF5E:
        return value - 0xFEE0
    if value in (0x2018, 0x2019):
        return 0x27
    if value in (0x201C, 0x201D):
        return 0x22
    return 0x2E if value == 0x3002 else value


def folded(text):
    """The characters as they are compared: plain, in lower case, digits all alike and at most three in a row, any white
    space one space, and one space at either end."""
    scalars = [ord(character) for character in text]
    if len(scalars) > MOST_SCALARS:
        scalars = scalars[: MOST_SCALARS // 2] + scalars[-MOST_SCALARS // 2 :]
    result = [SPACE]
    digits = 0
    for value in map(plain, scalars):
        if is_ignored(value):
            continue
        if 0x30 <= value <= 0x39:
            digits += 1
            if digits <= 3:
                result.append(0x30)
            continue
        digits = 0
        if is_space(value):
            if result[-1] != SPACE:
                result.append(SPACE)
        elif value < 0x80:
            result.append(value + 0x20 if 0x41 <= value <= 0x5A else value)
        else:
            result.extend(lower for lower in map(ord, chr(value).lower()) if not is_ignored(lower))
    if result[-1] != SPACE:
        result.append(SPACE)
    return result


def hashes(text):
    """The hash of each sequence, in the order in which they begin; one that comes twice is there twice."""
    scalars = folded(text)
    found = []
    for start in range(len(scalars)):
        value = SEED
        longest = LONGEST if scalars[start] < IDEOGRAPHIC else LONGEST_IDEOGRAPHIC
        for scalar in scalars[start : start + longest]:
            value = ((value ^ scalar) * PRIME) & MASK
            mixed = ((value ^ value >> 16) * 0x85EBCA6B) & MASK
            mixed = ((mixed ^ mixed >> 13) * 0xC2B2AE35) & MASK
            found.append(mixed ^ mixed >> 16)
    return found


class Table:
    """Which sequences have a weight. One lies in the slot that its hash names or in the next three, the first that was
    free, and is known by the last eight bits of its hash: few others are taken for it."""

    PROBES = 4

    def __init__(self, bits):
        self.bits = bits
        self.checks = [0] * (1 << bits)

    def slots(self, value):
        first = value >> (32 - self.bits)
        return ((first + step) & ((1 << self.bits) - 1) for step in range(self.PROBES))

    @staticmethod
    def check(value):
        return value & 0xFF or 1

    def insert(self, value):
        """Without effect when all its slots are taken."""
        for slot in self.slots(value):
            if self.checks[slot] in (0, self.check(value)):
                self.checks[slot] = self.check(value)
                return

    def find(self, value):
        """None when the sequence has no weight."""
        return next((slot for slot in self.slots(value) if self.checks[slot] == self.check(value)), None)
