"""Which slides the LC-MIL authors used, and what the providers say of single slides."""

from __future__ import annotations


def _ids(prefix: str, numbers: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in numbers.split())


LCMIL_CAMELYON16 = (
    *_ids("test_", "016 026 040 071 073 090 113"),
    *_ids("tumor_", "009 011 016 026 031 038 039 047 058 064 068 076 078 082 089 090 109"),
)
"""The 24 slides of LC-MIL (arXiv 2109.10778), as its released annotations name them."""

LCMIL_PAIP2019 = _ids(
    "01_01_",
    "0083 0085 0087 0088 0089 0090 0091 0092 0093 0095 0096 0098 0100 0101 0103 0104 0105 0106 0111 0112 0113 0114 "
    "0116 0117 0118 0119 0120 0121 0122 0123 0124 0125 0126 0127 0128 0129 0130 0131 0132 0133 0134 0135 0136 0137 "
    "0138 0139 0140 0141 0142 0143 0144 0145 0159 0161",
)
"""The 54 slides of LC-MIL."""

LCMIL_PAIP2020 = _ids(
    "training_data_",
    "01 02 03 05 07 08 09 10 11 12 13 14 15 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 39 40 41 "
    "42 43 44 46 47",
)
"""The 42 slides of LC-MIL."""

PARTLY_ANNOTATED = frozenset(
    (
        *_ids("tumor_", "010 015 018 020 025 029 033 034 044 046 051 054 055 056 067 079 085 092 095 110"),
        "test_114",
    )
)
"""CAMELYON16 slides whose annotation is not exhaustive, as the README of the release lists them."""

WITHDRAWN = {
    "normal_086": "misclassified; the release renamed it to tumor_111",
    "test_049": "a duplicate; the release removed it",
}
"""CAMELYON16 slides that the release took back (its README), still found in older copies."""
