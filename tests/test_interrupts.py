"""Ctrl-C, deferred until it is safe to stop."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from peclr_utils.interrupts import HeldInterrupt


def handler():
    return signal.getsignal(signal.SIGINT)  # a suite in the background has it ignored


def test_one_ctrl_c_is_deferred_and_a_second_one_is_not():
    before = handler()
    with HeldInterrupt() as interrupt:
        assert not interrupt.came
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.came
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert handler() is before


def test_an_error_inside_restores_ctrl_c():
    before = handler()
    with pytest.raises(ValueError, match="inside"), HeldInterrupt():
        raise ValueError("inside")
    assert handler() is before


def test_the_inner_of_two_receives_it_and_the_outer_one_works_afterwards():
    before = handler()
    with HeldInterrupt() as outer:
        with HeldInterrupt() as inner:
            os.kill(os.getpid(), signal.SIGINT)
        assert inner.came and not outer.came
        os.kill(os.getpid(), signal.SIGINT)
        assert outer.came
    assert handler() is before


def test_in_another_thread_it_does_nothing():
    def work():
        with HeldInterrupt() as interrupt:
            return handler(), interrupt.came

    before = handler()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == (before, False) and handler() is before
