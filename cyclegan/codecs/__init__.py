"""Between files and networks: what files hold on one side, tensors on the other."""

from collections.abc import Callable
from typing import Any

from cyclegan.codecs.pictures import Pictures
from cyclegan.codecs.voice import Voice
from cyclegan.errors import CheckpointError, did_you_mean

__all__ = ["CODECS", "Codec", "Pictures", "Voice", "build", "of_pictures"]


Codec = Pictures | Voice  # each has its channels, every domain's way `of` frames to networks and back, and its `spec`


def of_pictures(codec: Codec, *, what: str) -> Pictures:
    """Return a codec of pictures, or say that weights of voices are nothing for `what`; raises CheckpointError."""
    if not isinstance(codec, Pictures):
        told = f"{what} is for pictures, and these weights are for voices"
        raise CheckpointError(told, hint="styl translate applies them")
    return codec


CODECS: dict[str, Callable[..., Codec]] = {"pictures": Pictures, "voice": Voice.read}


def build(spec: dict[str, Any]) -> Codec:
    """Build the codec that a saved file names, as in ``{"name": "pictures", "channels": 3}``; CheckpointError."""
    options = dict(spec)
    name = str(options.pop("name", ""))
    if name not in CODECS:
        raise CheckpointError(f"unknown codec {name!r}", hint=did_you_mean(name, CODECS))
    try:
        return CODECS[name](**options)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        what = f"the codec {name!r} cannot be understood ({type(error).__name__})"
        raise CheckpointError(what, hint="this file was not made by styl") from None
