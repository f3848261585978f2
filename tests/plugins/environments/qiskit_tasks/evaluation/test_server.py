"""The client of servers, against a server that misbehaves in each way."""

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from model_server import chat, response, serving

from qecforge.errors import InfrastructureError
from qecforge_qiskit_tasks.evaluation.models import ModelName, Question, Sampling
from qecforge_qiskit_tasks.evaluation.models.server import Server

GOOD = response("200 OK", chat("    return 1"))


def questions(count=1):
    prompt = [{"role": "user", "content": "Write f."}]
    return [Question(f"task/{i}", 0, prompt, seed=i) for i in range(count)]


def asked(behaviour, *, count=1, pauses=None, **sampling):
    """The answers of a server, with the requests that it saw."""
    with serving(behaviour) as server:
        settings = Sampling(**{"timeout": 5.0, "attempts": 3, "concurrency": 1} | sampling)
        pauses = [] if pauses is None else pauses
        model = Server(ModelName("server", server.url, "tiny"), settings, pause=pauses.append)
        try:
            return [answer for _, answer in model.answers(questions(count))], server.requests
        finally:
            model.close()


def in_turn(*sent):
    return lambda request, number: sent[min(number, len(sent) - 1)]


def test_what_is_asked_and_what_is_read(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    answers, requests = asked(in_turn(response("200 OK", chat("Grüße", "length"))), temperature=0.3, max_tokens=7)
    assert [(each.text, each.cut) for each in answers] == [("Grüße", True)]
    assert requests[0]["path"] == "/v1/chat/completions"
    assert requests[0]["headers"]["authorization"] == "Bearer secret"
    assert requests[0]["body"] == {
        "model": "tiny", "messages": [{"role": "user", "content": "Write f."}], "temperature": 0.3, "max_tokens": 7,
        "seed": 0, "stream": False,
    }  # fmt: skip


def test_without_a_key_none_is_sent(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert "authorization" not in asked(in_turn(GOOD))[1][0]["headers"]


def test_base_models_are_asked_for_a_continuation():
    sent = response("200 OK", '{"choices": [{"text": " return 2", "finish_reason": "stop"}]}')
    answers, requests = asked(in_turn(sent), api="completions")
    assert answers[0].text == " return 2"
    assert requests[0]["path"] == "/v1/completions"
    assert requests[0]["body"]["prompt"] == "Write f."


def test_an_answer_of_thoughts_alone_is_empty():
    sent = response("200 OK", '{"choices": [{"message": {"content": null, "reasoning_content": "hm"}}]}')
    assert asked(in_turn(sent))[0][0].text == ""


def test_chunked_answers_are_read():
    body = chat("x").encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    half = len(body) // 2
    parts = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:])]
    assert asked(in_turn([head, *parts, b"0\r\n\r\n"]))[0][0].text == "x"


TRANSIENT = {
    "429": (response("429 Too Many Requests", '{"error": {"message": "slow down"}}'), "answered 429 (slow down)"),
    "500": (response("500 Internal Server Error", "oh"), "answered 500 (oh)"),
    "503 in HTML": (response("503 Busy", "<html><h1>no", kind="text/html"), "answered 503 (Busy)"),
    "HTML": (response("200 OK", "<html>Welcome</html>", kind="text/html"), "answered text/html (<html>Welcome"),
    "nothing": (response("200 OK", ""), "answered nothing"),
    "no response": (b"", "closed the connection without an answer"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9\r\n\r\n", "answered what is no HTTP"),
    "half an answer": (response("200 OK", chat("x")[:30], length=500), "broke off after 30 bytes"),
    "half a chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nabc",
        "broke off",
    ),
    "half the JSON": (response("200 OK", chat("x")[:30]), "expected JSON"),
    "another JSON": (response("200 OK", '{"ok": true}'), "JSON without a completion"),
    "no choice": (response("200 OK", '{"choices": []}'), "JSON without a completion"),
    "a list": (response("200 OK", "[1]"), "JSON without a completion"),
    "a number": (response("200 OK", '{"choices": [{"message": {"content": 3}}]}'), "a completion that is int"),
    "Latin-1": (response("200 OK", b'"\xe9"'), "not UTF-8"),
    "deep JSON": (response("200 OK", "[" * 100_000), "expected JSON"),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_may_pass_is_asked_for_again(name):
    pauses = []
    answers, requests = asked(in_turn(TRANSIENT[name][0], GOOD), pauses=pauses)
    assert [each.text for each in answers] == ["    return 1"]
    assert len(requests) == 2
    assert 1.0 <= pauses[0] <= 1.25


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_does_not_pass_is_one_line(name):
    with pytest.raises(InfrastructureError) as caught:
        asked(in_turn(TRANSIENT[name][0]))
    said = str(caught.value)
    assert said.startswith("http://127.0.0.1:")
    assert TRANSIENT[name][1] in said
    assert "at each of 3 attempts" in said
    assert len(said) < 400


def test_pauses_double():
    pauses = []
    with pytest.raises(InfrastructureError):
        asked(in_turn(TRANSIENT["500"][0]), attempts=9, pauses=pauses)
    whole = [1, 2, 4, 8, 16, 32, 60, 60]
    assert all(one <= pause <= 1.25 * one for one, pause in zip(whole, pauses, strict=True))


@pytest.mark.parametrize("asked_for", ["7", "date"])
def test_retry_after_is_honoured(asked_for):
    value = format_datetime(datetime.now(UTC) + timedelta(seconds=8), usegmt=True) if asked_for == "date" else asked_for
    pauses = []
    asked(in_turn(response("429 Slow", "", f"Retry-After: {value}"), GOOD), pauses=pauses)
    assert 5.0 <= pauses[0] <= 8.0


@pytest.mark.parametrize(("value", "low", "high"), [("soon", 1, 1.25), ("nan", 1, 1.25), ("-5", 0, 0), ("0", 0, 0)])
def test_retry_after_that_is_none_is_passed_over(value, low, high):
    pauses = []
    asked(in_turn(response("429 Slow", "", f"Retry-After: {value}"), GOOD), pauses=pauses)
    assert low <= pauses[0] <= high


def test_a_day_is_not_waited_for():
    with pytest.raises(InfrastructureError, match=r"asks for a pause of 86,400 s: try again after it"):
        asked(in_turn(response("429 Slow", "", "Retry-After: 86400"), GOOD))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (response("401 Unauthorized", '{"error": {"message": "bad key"}}'), r"answered 401 \(bad key\)"),
        (response("404 Not Found", '{"detail": "no model tiny"}'), r"answered 404 \(no model tiny\)"),
        (response("400 Bad", '{"error": "prompt too long"}'), r"answered 400 \(prompt too long\)"),
        (response("302 Found", "", "Location: http://elsewhere/v1"), "answered 302, elsewhere is http://elsewhere/v1"),
    ],
)
def test_what_will_not_pass_is_asked_once(sent, said):
    with serving(in_turn(sent)) as server:
        model = Server(ModelName("server", server.url, "tiny"), Sampling(), pause=lambda _: pytest.fail("waited"))
        with pytest.raises(InfrastructureError, match=said):
            list(model.answers(questions()))
        assert len(server.requests) == 1


def test_an_answer_without_end_is_broken_off():
    endless = [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (17 << 20)]
    with pytest.raises(InfrastructureError, match="more than 16,777,216 bytes"):
        asked(in_turn(endless))


@pytest.mark.parametrize("sent", [[None], [response("200 OK", "", length=50), None], [b"HTTP/1.1 200 OK\r\n", None]])
def test_silence_ends(sent):
    with pytest.raises(InfrastructureError, match=r"did not answer within 0\.3 s, at each of 2 attempts"):
        asked(in_turn(sent), timeout=0.3, attempts=2)


def test_a_server_that_drips_is_not_waited_for():
    drops = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"] + [b" "] * 100
    before = time.monotonic()
    with pytest.raises(InfrastructureError, match=r"did not answer within 0\.5 s"):
        asked(in_turn(drops), timeout=0.5, attempts=1)
    assert time.monotonic() - before < 8


def test_no_server_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        name = ModelName("server", f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "tiny")
        model = Server(name, Sampling(attempts=2), pause=lambda _: None)
        with pytest.raises(InfrastructureError, match=r"cannot be reached \(Connection refused\), at each of 2"):
            list(model.answers(questions()))


def test_answers_come_as_they_are_ready_and_what_came_is_kept():
    """The third request fails for good: the others were given."""

    def behaviour(request, number):
        return response("400 Bad", "no") if request["body"]["seed"] == 2 else response("200 OK", chat("x"))

    with serving(behaviour) as server:
        model = Server(ModelName("server", server.url, "tiny"), Sampling(concurrency=1))
        answers = model.answers(questions(5))
        assert [next(answers)[0].task_id for _ in range(2)] == ["task/0", "task/1"]
        with pytest.raises(InfrastructureError, match="answered 400"):
            list(answers)
        assert len(server.requests) == 3


def test_requests_at_once_are_as_many_as_asked_for():
    at_once, most, lock, gate = 0, 0, threading.Lock(), threading.Barrier(3, timeout=20)

    def behaviour(request, number):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        gate.wait()
        with lock:
            at_once -= 1
        return response("200 OK", chat(str(request["body"]["seed"])))

    answers, _ = asked(behaviour, count=6, concurrency=3, timeout=30)
    assert sorted(each.text for each in answers) == list("012345")
    assert most == 3


def test_stopping_breaks_off_what_is_asked():
    with serving(in_turn([None])) as server:
        model = Server(ModelName("server", server.url, "tiny"), Sampling(timeout=60, concurrency=2))
        failed = []

        def ask():
            try:
                list(model.answers(questions(4)))
            except InfrastructureError as error:
                failed.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        while len(server.requests) < 2:
            time.sleep(0.01)
        model.close()
        thread.join(20)
        assert not thread.is_alive()
        assert len(failed) == 1
