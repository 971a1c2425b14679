"""The file format of golden vectors; see README.md."""

import struct

import numpy as np


def write(path, rows, bits):
    rows = np.asarray(rows, dtype=np.float32)
    stored = rows.astype("<f2" if bits == 16 else "<f4")
    worst = 1 - min(cosine(a, b) for a, b in zip(rows, stored))
    assert worst < 1e-7, worst
    with open(path, "wb") as out:
        out.write(b"HVEC" + struct.pack("<III", rows.shape[0], rows.shape[1], bits))
        out.write(stored.tobytes())
    print(f"{path}: {rows.shape[0]} x {rows.shape[1]}, worst cosine loss of storage {worst:.1e}")


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
