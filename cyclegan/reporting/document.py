"""HTML documents that stand alone: templates, one style, one script, and a policy that lets nothing else in."""

import base64
import functools
import hashlib
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined


def document(template: str, *, styles: Sequence[str], script: str, **filling: object) -> bytes:
    """Fill a template in and return it as HTML in UTF-8; bytes of names that are no text are written out.

    All of `filling` is escaped, and nothing may be left out. The content security policy allows the style and the
    script by their hashes, pictures and sounds inside the page, and no request.
    """
    style, code = "\n".join(map(_source, styles)), _source(script)
    policy = "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            "media-src data:",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(code)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    page = _engine().get_template(template)
    text = page.render(policy=policy, style=style, script=code, **filling)
    return text.encode("utf-8", "backslashreplace")


def address(data: bytes, *, kind: str) -> str:
    """Return bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@functools.cache
def _engine() -> Environment:
    loader = PackageLoader("cyclegan", "reporting")
    engine = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    engine.tests["a"] = lambda block, kind: type(block).__name__ == kind
    return engine


def _source(name: str) -> str:
    """Return a file of this package as it stands, without the blank lines around it."""
    engine = _engine()
    assert engine.loader
    return engine.loader.get_source(engine, name)[0].strip()


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
