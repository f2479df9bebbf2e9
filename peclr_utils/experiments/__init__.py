"""Experiments on top of training and evaluation: the paper's run, few labels, frozen encoders."""
