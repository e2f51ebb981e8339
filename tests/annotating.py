"""A session of `bench annotate` without a browser: its HTTP interface, answered by an oracle or by the test."""

import itertools
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from starlette.testclient import TestClient

from benchmark.annotating.app import Opened, create_app
from benchmark.annotating.keys import Keys
from benchmark.annotating.opening import KEYS, for_one_slide, opened
from benchmark.config import RunRequest

PORT, TOKEN = 8123, "the-token"
SMALL = ("method.rounds=2", "method.sessions=2", "method.reviews=4", "method.queries=2", "method.epochs=1")


def request_of(root, slide, *settings, method="cnfp", dataset="camelyon16"):
    given = RunRequest(method=method, dataset=dataset, slide=slide, preset="smoke", settings=settings, data=str(root))
    return for_one_slide(replace(given, seeds=(0,), device="cpu"))


class Tab:
    """A tab of the page: numbers what it sends."""

    def __init__(self, page, name):
        self.page, self.name, self.number = page, name, 0

    def send(self, kind, marks=(), **more):
        self.number += 1
        body = {"tab": self.name, "number": self.number, "kind": kind, "seconds": 1.5, **more}
        if marks:
            state = self.page.state()
            known = dict(map(tuple, state["answers"] + state["examples"]))
            body["marks"] = [{"item": item, "label": label, "was": known.get(item)} for item, label in marks]
        answer = self.page.post("act", body)
        if answer.status_code != 200:
            self.number -= 1
        return answer

    def did(self, kind, marks=(), **more):
        answer = self.send(kind, marks, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["state"]


class Page:
    """An open session behind its HTTP interface."""

    def __init__(self, annotated):
        self.annotated, self.session = annotated, annotated.session
        self.over = threading.Event()
        keys = Keys(annotated.folder / KEYS, [name for _, name in self.session.steps.choices])
        about = Opened(self.session, annotated.slide, "cnfp", keys, annotated.export, self.over.set)
        origin = f"http://127.0.0.1:{PORT}"
        self.client = TestClient(create_app(about, port=PORT, token=TOKEN), base_url=origin, headers={"origin": origin})
        self._names = itertools.count()

    def tab(self):
        return Tab(self, f"tab-{next(self._names)}-{id(self)}")

    def get(self, path):
        return self.client.get(f"/{TOKEN}/{path}")

    def post(self, path, body):
        return self.client.post(f"/{TOKEN}/api/{path}", json=body)

    def state(self):
        answer = self.get("api/state")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def settled(self):
        """The state once the method is in step with the answers."""
        self.session.wait(120)
        return self.state()

    def batch(self):
        return [entry["item"] for entry in self.settled()["queue"] if not entry["ahead"]]


@contextmanager
def page_of(request, folder, cache, **more):
    more = {"who": "test", "labels": None, "reopen": False, "say": lambda text: None, **more}
    with opened(request, cache, folder, **more) as annotated:
        page = Page(annotated)
        thread = threading.Thread(target=page.session.work, daemon=True)
        thread.start()
        try:
            yield page
        finally:
            page.session.close()
            thread.join(120)
            assert not thread.is_alive()


class Oracle:
    """Knows the truth and says it over HTTP."""

    def __init__(self, page):
        from benchmark.expert import cell_classes

        job, steps = page.annotated.job, page.session.steps
        self.page, self.tab = page, page.tab()
        truth = cell_classes(job.seen.truth(page.annotated.slide), steps.grid, len(job.seen.classes), steps.share)
        self.labels = truth[tuple(steps.places.T)].tolist()

    def begin(self, examples=None):
        chosen = examples or [item for item, label in enumerate(self.labels) if label == 1][:2]
        for item in chosen:
            self.tab.did("example", [(item, self.labels[item])])
        self.tab.did("start")
        return self.page.batch()

    def round(self):
        items = self.page.batch()
        for item in items:
            if item not in dict(map(tuple, self.page.state()["answers"])):
                self.tab.did("answer", [(item, self.labels[item])])
        self.page.settled()
        return items


def same(one, other):
    np.testing.assert_array_equal(one, other)
