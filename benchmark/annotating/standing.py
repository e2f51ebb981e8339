"""How a session stands, as the page is told."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmark.annotating.pictures import colour, place_of, uncertainty

if TYPE_CHECKING:
    from benchmark.annotating.journal import Record
    from benchmark.annotating.learner import View
    from benchmark.annotating.reviewing import Session
    from benchmark.slides import Slide


def unchanging(session: Session, slide: Slide, method: str, keys: dict[str, str]) -> dict[str, Any]:
    """What stays the same: slide, classes and their keys, where the cells lie."""
    steps = session.steps
    sessions, rounds, reviews = steps.plan
    x, y = steps.patches.x, steps.patches.y
    width, height = slide.size
    return {
        "slide": slide.id,
        "method": method,
        "who": session.who,
        "size": [width, height],
        "mpp": slide.mpp,
        "grid": place_of(steps.grid, slide.size),
        "shape": list(steps.grid.shape),
        "patch": steps.patches.width,
        "items": len(steps.places),
        "across": [float(edge) / width for edge in x],
        "down": [float(edge) / height for edge in y],
        "side": [steps.patches.width / width, steps.patches.height / height],
        "share": steps.share,
        "plan": {"sessions": sessions, "rounds": rounds, "reviews": reviews},
        "budget": session.budget,
        "wanted": list(steps.wanted),
        "classes": [
            {"label": label, "name": name, "colour": list(colour(label)), "key": keys[name]}
            for label, name in steps.choices
        ],
    }


def standing(session: Session) -> dict[str, Any]:
    """What changes: what to review, what is in force, how far it is."""
    version, busy, fault = session.version, session.busy, session.fault
    record, view = session.record, session.view
    return {
        "version": version,
        "events": session.last_number,
        "phase": "ended" if record.ended else "review" if record.started else "examples",
        "busy": busy,
        "fault": fault,
        "finished": view.finished,
        "undo": record.done[-1][0] if record.done else 0,
        "redo": record.undone[-1][0] if record.undone else 0,
        "queue": _queue(session, record, view),
        "examples": [[int(session.items[cell]), given.label] for cell, given in record.examples.items()],
        "answers": [[int(session.items[cell]), given.label] for cell, given in record.answers.items()],
        "progress": _progress(session, record, view),
    }


def _queue(session: Session, record: Record, view: View) -> list[dict[str, Any]]:
    """The open batch, then what may come next, in the strategy's order."""
    uncertain = uncertainty(view.probabilities)
    labels, places = [label for label, _ in session.steps.choices], session.steps.places
    queue = []
    for item in (*view.batch, *view.ahead):
        row, col = places[item].tolist()
        given = record.answers.get((row, col))
        entry: dict[str, Any] = {"item": item, "row": row, "col": col, "ahead": item not in view.batch}
        entry["label"] = None if given is None else given.label
        entry["suggested"] = entry["uncertainty"] = entry["p"] = None
        if uncertain is not None and view.probabilities is not None:
            p = view.probabilities[item]
            entry["suggested"], entry["p"] = labels[int(p.argmax())], round(float(p.max()), 3)
            entry["uncertainty"] = round(float(uncertain[item]), 6)
        queue.append(entry)
    return queue


def _progress(session: Session, record: Record, view: View) -> dict[str, Any]:
    mine = [given.seconds for given in record.answers.values() if given.seconds > 0]
    return {
        "answers": len(record.answers),
        "examples": len(record.examples),
        "spent": session.spent,
        "session": view.place[0],
        "round": view.place[1],
        "rounds": view.rounds,
        "learning": round(view.seconds, 2),
        "median": round(median(mine), 2) if mine else None,
        "last": round(mine[-1], 2) if mine else None,
        "total": round(sum(mine), 1),
    }
