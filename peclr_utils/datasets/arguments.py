"""Checks of arguments that several data sets take, which chapter 01 opens: a slip gives one clear error."""

from numbers import Real


def whole_number(owner: str, name: str, value: object, least: int, most: int | None = None) -> int:
    """Return a number without a fraction, 4.0 among them, as an int.

    Args:
        owner: what takes the argument, for the message.
        name: of the argument.
        value: what was given.
        least: smallest number allowed.
        most: largest one, or None.

    Raises:
        ValueError: if it is something else or out of range.
    """
    if _is_whole(value) and least <= value and (most is None or value <= most):
        return int(value)
    bounds = f"from {least} on" if most is None else f"from {least} to {most}"
    raise ValueError(f"{owner}: {name} must be a whole number {bounds}, found {value!r}")


def fraction(owner: str, name: str, value: object) -> float:
    """Return a share of something, a number from 0 to 1.

    Args:
        owner: what takes the argument, for the message.
        name: of the argument.
        value: what was given.

    Raises:
        ValueError: if it is something else or out of range.
    """
    if _is_number(value) and 0 <= value <= 1:
        return float(value)
    raise ValueError(f"{owner}: {name} must be a number from 0 to 1, found {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    try:
        return _is_number(value) and int(value) == value
    except (ValueError, OverflowError):  # what is no number, or infinite
        return False
