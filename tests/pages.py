"""Pages read as a browser reads them: elements that nest, what is shown, what they carry, and what they would run."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = frozenset({"meta", "img", "input", "br"})
POINTERS = frozenset({"src", "href", "srcset", "data", "action", "poster", "background", "formaction"})


class Page(HTMLParser):
    """Reads a page whole; whatever is no well-formed element, or would run from an attribute, fails."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.codes: dict[str, str] = {}  # by what they are: "style", "script", "application/json"
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)
        self.tags.append(tag)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] in (["style"], ["script"]):
            kind = self.elements[-1][1].get("type", self.open[-1])
            assert kind not in self.codes, f"a second {kind}"
            self.codes[kind] = data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def addresses(self) -> list[str]:
        return [value for _, attributes in self.elements for name, value in attributes.items() if name in POINTERS]

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def sections(self) -> dict[str, str]:
        """Return the text of every section by its heading."""
        parts = re.findall(r"<h2>(.*?)</h2>(.*?)</section>", self.html, re.DOTALL)
        plain = {
            title: re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", body, flags=re.DOTALL) for title, body in parts
        }
        return {title: " ".join(text.split()) for title, text in plain.items()}

    def stand_alone(self) -> None:
        """Check that nothing is asked of anybody, and that nothing runs but the one script whose hash is given."""
        policy = next(meta["content"] for meta in self.all("meta") if "http-equiv" in meta)
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert rules.pop("default-src") == "'none'"
        assert rules.pop("script-src") == f"'sha256-{_digest(self.codes['script'])}'"
        assert rules.pop("style-src") == f"'sha256-{_digest(self.codes['style'])}'"
        assert set(rules.values()) <= {"data:", "'none'"}
        assert len([tag for tag in self.tags if tag == "script"]) == len(self.codes.keys() - {"style"})
        assert all(re.match(r"data:(image|audio)/[a-z]+;base64,", address) for address in self.addresses)
        assert not re.search(r"(?i)\w+://|@import|\burl\(", self.html)
        assert not {"link", "iframe", "object", "embed", "form", "base", "a"} & set(self.tags)

    def be_readable(self) -> None:
        """Check what those depend on who do not see the page."""
        levels = [int(tag[1]) for tag in self.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert all(image["alt"] for image in self.all("img"))
        assert all(named.get("aria-label") for named in (*self.all("input"), *self.all("audio")) if _unlabelled(named))


def _unlabelled(element: dict[str, str]) -> bool:
    return "tick" not in element.get("class", "") or "aria-label" in element


def _digest(code: str) -> str:
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
