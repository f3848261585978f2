"""What listeners are told, and that nothing of it is lost on the way."""

import inspect

import pytest

from qecforge import RunListener
from qecforge.runs.listener import ForwardingListener


def told(listener):
    """Every event of a listener, called with the number of arguments that it takes."""
    for name, method in inspect.getmembers(RunListener, inspect.isfunction):
        if name.startswith("on_"):
            _, *arguments = inspect.signature(method).parameters
            getattr(listener, name)(*arguments)


def test_everything_is_forwarded():
    sent = []
    told(ForwardingListener(lambda *event: sent.append(event)))
    assert {name for name, *_ in sent} == {name for name in dir(RunListener) if name.startswith("on_")}
    assert ("on_progress", "plan", "step", "total", "metrics") in sent


def test_an_event_that_is_new_is_forwarded(monkeypatch):
    def on_news(self, plan, news):
        """Something else happened."""

    monkeypatch.setattr(RunListener, "on_news", on_news, raising=False)
    sent = []
    ForwardingListener(lambda *event: sent.append(event)).on_news("plan", 7)
    assert sent == [("on_news", "plan", 7)]


def test_what_is_no_event_is_not_forwarded():
    with pytest.raises(AttributeError):
        ForwardingListener(print).on_nothing("plan")
