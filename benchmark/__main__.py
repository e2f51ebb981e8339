"""`python -m benchmark` is `bench`."""

from __future__ import annotations

from benchmark.entry import main

if __name__ == "__main__":
    main()
