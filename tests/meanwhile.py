"""Something that goes on beside a test."""

import threading
from contextlib import contextmanager


@contextmanager
def meanwhile(step, every):
    """Takes the step again and again while the block lasts, on a thread of its own, with so many seconds between. What the
    step raises ends it, and is raised at the end of the block, or when the block calls what it was given."""
    stop, failed = threading.Event(), []

    def check():
        for error in failed:
            raise error

    def go_on():
        try:
            while not stop.wait(every):
                step()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield check
    finally:
        stop.set()
        thread.join()
        check()
