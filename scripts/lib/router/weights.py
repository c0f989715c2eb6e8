"""The file of weights that the router reads: Sources/Core/Routing/RouterWeights.swift has its description."""

import hashlib
import math
import struct

from features import hashes

MAGIC = b"PARLEYR1"
# A weight is a code of four bits, -7 … 7, times its output's scale.
MOST = 7


class Weights:
    """Linear outputs over the slots of a table: the first says whether passages are needed, one more for each agent."""

    def __init__(self, table, agents, codes, scales, biases, threshold):
        self.table = table
        self.agents = agents
        self.codes = codes
        self.scales = scales
        self.biases = biases
        self.threshold = threshold

    def outputs(self, text):
        found = hashes(text)
        slots = [slot for slot in map(self.table.find, found) if slot is not None]
        return [
            sum(codes[slot] for slot in slots) * scale / math.sqrt(len(found)) + bias
            for codes, scale, bias in zip(self.codes, self.scales, self.biases)
        ]

    def scores(self, text):
        """Whether passages are needed, and each agent: the higher the more so."""
        need, *agents = self.outputs(text)
        return need, agents

    def decision(self, text):
        need, agents = self.scores(text)
        best = max(range(len(agents)), key=lambda place: agents[place])
        return need >= self.threshold, self.agents[best]

    def data(self):
        head = MAGIC + struct.pack("<BB", self.table.bits, len(self.agents))
        head += b"".join(struct.pack("<B", len(name)) + name for name in (agent.encode() for agent in self.agents))
        numbers = [number for pair in zip(self.scales, self.biases) for number in pair]
        head += struct.pack(f"<{len(numbers) + 1}f", *numbers, self.threshold)
        table = bytearray(self.table.checks)
        codes = self.codes + ([[0] * len(self.table.checks)] if len(self.codes) % 2 else [])
        for row in zip(*codes):
            for low, high in zip(row[::2], row[1::2]):
                table.append((low & 15) | (high & 15) << 4)
        return head + bytes(table) + hashlib.sha256(head + bytes(table)).digest()


def rounded(value):
    """As the file keeps it."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def quantised(weights):
    """Codes and their scale. The largest weights are cut, so that the many small ones are not all 0."""
    sizes = sorted(abs(weight) for weight in weights if weight)
    scale = rounded((sizes[int(len(sizes) * 0.997)] if sizes else 1) / MOST)
    return [max(-MOST, min(MOST, round(weight / scale))) for weight in weights], scale
