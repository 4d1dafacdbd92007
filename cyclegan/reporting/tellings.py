"""What the page of an inspection says of pictures, and of recordings, where it says it differently."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Telling:
    """Holds the sentences that go with one kind of file."""

    misfiled: str
    copies: str
    groups: str
    rare: str
    stranded: str
    files: str
    apart: str


PICTURES = Telling(
    misfiled="Each looks more like the other folder than like its own; beside it the picture there that is nearest to "
    "it. If you see it so too, move it yourself: styl moves nothing.",
    copies="Pairs that show the same but for compression, a narrow crop or brightness. Within a folder such a picture "
    "counts twice in training; in both folders it teaches a translator to leave pictures as they are.",
    groups="Pictures that are like each other and unlike most of their folder. Training meets them seldom, and what is "
    "trained treats them worst.",
    rare="A model of this folder will seldom paint the like.",
    stranded="so that there is nothing to turn them into: expect artefacts.",
    files="What training passes over by itself, and how large the pictures are.",
    apart="make sure that it is what you want to change, and not the size, a border or the light.",
)
RECORDINGS = Telling(
    misfiled="Each sounds more like the other folder than like its own: another voice, perhaps; beside it the "
    "recording there that is nearest to it. If you hear it so too, move it yourself: styl moves nothing.",
    copies="Pairs that begin with the same sound but for compression, level or a few tenths of a second at either end. "
    "Within a folder such a recording counts twice in training; in both folders it teaches a translator to leave "
    "voices as they are.",
    groups="Recordings that are like each other and unlike most of their folder: another microphone, room or manner of "
    "speaking. Training meets them seldom, and what is trained treats them worst.",
    rare="A model of this folder will seldom sound like them.",
    stranded="so that there is nothing to turn them into: expect them to sound wrong.",
    files="What training passes over by itself, and how long the recordings are.",
    apart="make sure that it is the voice, and not the microphone, the room or noise.",
)
