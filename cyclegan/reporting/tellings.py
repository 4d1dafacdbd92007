"""What the page of an inspection says of pictures, and of recordings, and what its scores mean."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Telling:
    """Holds the sentences that go with one kind of file."""

    noun: str
    misfiled: str
    copies: str
    groups: str
    rare: str
    stranded: str
    files: str
    apart: str

    @property
    def odd_score(self) -> str:
        """What the score of an odd one is."""
        return (
            f"The score is how far a {self.noun} lies from what is usual in its folder, in robust standard deviations: "
            f"most are below 2."
        )

    @property
    def misfiled_score(self) -> str:
        """What the score of a stray is."""
        return f"The score is how sure it is, from 0 to 1, that a {self.noun} belongs to the other folder."

    @property
    def difference(self) -> str:
        """What the difference of near-duplicates is."""
        return (
            "The difference is what is left where two differ most once one is laid on the other, as a share of their "
            "contrast: 0 is equal, from 0.27 on they count as two."
        )


PICTURES = Telling(
    noun="picture",
    misfiled="Each looks more like the other folder than like its own; beside it the picture there that is nearest to "
    "it. If you see it so too, move it yourself: styl moves nothing.",
    copies="Pictures that show the same but for compression, a narrow crop or brightness, each beside the one that is "
    "kept. Within a folder they count twice in training; in both folders they teach a translator to leave pictures as "
    "they are.",
    groups="Pictures that are like each other and unlike most of their folder. Training meets them seldom, and what is "
    "trained treats them worst.",
    rare="A model of this folder will seldom paint the like.",
    stranded="so that there is nothing to turn them into: expect artefacts.",
    files="What training passes over by itself, and how large the pictures are.",
    apart="make sure that it is what you want to change, and not the size, a border or the light.",
)
RECORDINGS = Telling(
    noun="recording",
    misfiled="Each sounds more like the other folder than like its own: another voice, perhaps; beside it the "
    "recording there that is nearest to it. If you hear it so too, move it yourself: styl moves nothing.",
    copies="Recordings that begin with the same sound but for compression, level or a few tenths of a second at either "
    "end, each beside the one that is kept. Within a folder they count twice in training; in both folders they teach a "
    "translator to leave voices as they are.",
    groups="Recordings that are like each other and unlike most of their folder: another microphone, room or manner of "
    "speaking. Training meets them seldom, and what is trained treats them worst.",
    rare="A model of this folder will seldom sound like them.",
    stranded="so that there is nothing to turn them into: expect them to sound wrong.",
    files="What training passes over by itself, and how long the recordings are.",
    apart="make sure that it is the voice, and not the microphone, the room or noise.",
)
