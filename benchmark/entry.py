"""Where `bench` begins: streams that can be written to, and Ctrl-C from the first moment on."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Entry point of `bench`; always ends in `SystemExit`."""
    try:
        open_streams()
        from benchmark.cli import main as begin
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    begin()


def open_streams() -> None:
    """Open what the caller has closed of the standard streams, as `/dev/null`, and let no character be an error.

    A file opened later would else take the number of a closed stream, and be written over by what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # under an ASCII locale `≤` is printed as `\u2264`
