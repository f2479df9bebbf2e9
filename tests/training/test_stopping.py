"""Ctrl-C and limits: when a training stops early."""

import os
import signal

import pytest

from peclr_utils.training.stopping import Stopping


def test_ctrl_c_waits_for_the_step_and_a_second_one_does_not():
    before = signal.getsignal(signal.SIGINT)  # a suite in the background has it ignored
    with Stopping() as stopping:
        assert stopping.reason(0) == ""
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.reason(0) == "interrupted"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_limits_stop_a_run():
    assert Stopping(max_steps=5).reason(4) == ""
    assert Stopping(max_steps=5).reason(5) == "step limit reached"
    assert Stopping(time_limit_minutes=1e-9).reason(0) == "time limit reached"
