"""Waiting for a condition, never for a time."""

import time


def wait_until(condition, deadline_s, what):
    """Calls condition until it answers something true, and returns that.

    After deadline_s it raises AssertionError naming `what` (a text, or a function that gives one
    and may look at the state of things then) and the last answer.
    """
    end = time.monotonic() + deadline_s
    pause = 0.005
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= end:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {deadline_s} s: {text} (last: {answer!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
