"""Text from anywhere, made safe to look at."""

__all__ = ["number", "visible"]


def visible(text: str) -> str:
    r"""``text`` on one line: what does not print (newlines, control, bidi) is spelled out.

    >>> visible("two\nlines")
    'two\\nlines'
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def number(value: float) -> str:
    """Six significant digits.

    >>> number(0.1 + 0.2), number(1e300)
    ('0.3', '1e+300')
    """
    return f"{value:.6g}"
