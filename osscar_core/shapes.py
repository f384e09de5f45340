"""A model as a plan sees it: sizes, and nothing else.

The decision hidden here: which sizes decide what a pruning run needs. An *item* is a token
of a text model and an image of an image model; everything is told per item or once.
"""

from __future__ import annotations

from dataclasses import dataclass

from osscar_core.catalogue import OPT_SHAPES, OptShape, own_samples
from osscar_core.errors import SpecError, unknown_name
from osscar_core.records import Task, check_range

DEFAULT_WINDOWS = 64
DEFAULT_IMAGES = 512
DEFAULT_SEQLEN = 1024
_TOKENS_PER_BATCH = 4096
_PIXELS_PER_BATCH = 2**19
_IMAGES_PER_BATCH = 256


@dataclass(frozen=True, slots=True)
class UnitShape:
    """One prunable unit.

    Attributes:
        features: Input features p of its consumer.
        outputs: The consumer's outputs m.
        groups: Number of groups that the features form.
        rows: Rows of the statistics that an item gives: 1, or output pixels.
        share: Share of the block's work up to and including the consumer, in (0, 1].
    """

    features: int
    outputs: int
    groups: int
    rows: int = 1
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class BlockShape:
    """One block.

    Attributes:
        parameters: Number of its parameters.
        units: Its units, in forward order.
        flops: Work of one item in one pass, attention's products left out.
        state: Values of the hidden state that an item enters it with.
        working: Values that one pass of an item holds at once besides.
        removable: Parameters that go with the groups if all go.
    """

    parameters: int
    units: tuple[UnitShape, ...]
    flops: int
    state: int
    working: int
    removable: int

    @classmethod
    def of_text(
        cls, parameters: int, hidden: int, widest: int, units: tuple[UnitShape, ...], removable: int
    ) -> BlockShape:
        """Return the block of a language model.

        Args:
            parameters: Number of its parameters.
            hidden: Width of the residual stream.
            widest: Feed-forward width.
            units: Its units.
            removable: Parameters that belong to groups.
        """
        working = 6 * hidden + 3 * widest
        return cls(parameters, units, 2 * parameters, hidden, working, removable)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """One model.

    Attributes:
        name: What it is called.
        family: Adapter family.
        task: ``text`` or ``image``.
        blocks: Its blocks, in forward order.
        outer_parameters: Number of parameters outside the blocks: embeddings and head.
        bytes_per_value: Bytes of a stored weight; a GPU computes in the same type, a CPU
            in four bytes at least.
        positions: Longest window; ``None`` for images and where there is no limit.
        heads: Attention heads a block, 0 without attention.
        pixels: Side of an image; ``None`` for text.
        is_streamable: Whether its weights can be read block by block.
        has_source: Whether they are read from disk at all; random ones are not.
    """

    name: str
    family: str
    task: Task
    blocks: tuple[BlockShape, ...]
    outer_parameters: int
    bytes_per_value: int = 2
    positions: int | None = None
    heads: int = 0
    pixels: int | None = None
    is_streamable: bool = True
    has_source: bool = True

    @property
    def parameters(self) -> int:
        """Number of parameters, shared ones once."""
        return self.outer_parameters + sum(block.parameters for block in self.blocks)

    @classmethod
    def of_opt(
        cls, name: str, shape: OptShape, *, bytes_per_value: int = 2, has_source: bool = True
    ) -> ModelShape:
        """Return the shape of an OPT model.

        Args:
            name: What it is called.
            shape: Its sizes.
            bytes_per_value: Bytes of a stored weight.
            has_source: Whether its weights are read from disk.
        """
        d, f = shape.hidden, shape.neurons
        attention, feed_forward = 4 * (d * d + d), 2 * d * f + f + d
        units = (
            UnitShape(d, d, shape.heads, share=attention / (attention + feed_forward)),
            UnitShape(f, d, f),
        )
        block = BlockShape.of_text(
            attention + feed_forward + 4 * d, d, f, units, attention + feed_forward
        )
        return cls(
            name=name,
            family="opt",
            task="text",
            blocks=(block,) * shape.layers,
            outer_parameters=shape.parameters - shape.layers * block.parameters,
            bytes_per_value=bytes_per_value,
            positions=shape.positions,
            heads=shape.heads,
            has_source=has_source,
        )

    @property
    def default_samples(self) -> int:
        """Calibration windows or images where nobody said how many."""
        usual = DEFAULT_WINDOWS if self.task == "text" else DEFAULT_IMAGES
        return own_samples(self.name) or usual

    def window(self, seqlen: int | None) -> int | None:
        """Return the tokens of a window: as asked, or the default; ``None`` for images.

        Raises:
            SpecError: More were asked for than the model has positions.
        """
        if self.task == "image":
            return None
        if seqlen is None:
            return min(DEFAULT_SEQLEN, self.positions or DEFAULT_SEQLEN)
        check_range("seqlen", seqlen, 2)
        if self.positions is not None and seqlen > self.positions:
            raise SpecError(
                f"seqlen is {seqlen}, more than the {self.positions} positions of {self.name}",
                f"Use --seqlen {self.positions} or less",
            )
        return seqlen

    @classmethod
    def known(cls, name: str, *, bytes_per_value: int = 2) -> ModelShape:
        """Return the shape of a public OPT model from its name alone.

        Raises:
            SpecError: It is none.
        """
        if name not in OPT_SHAPES:
            raise unknown_name("OPT model", name, tuple(OPT_SHAPES))
        return cls.of_opt(name, OPT_SHAPES[name], bytes_per_value=bytes_per_value)


def default_batch(*, seqlen: int | None, pixels: int = 1) -> int:
    """Return the windows or images of a micro-batch where memory sets no limit.

    Args:
        seqlen: Tokens a window; ``None`` for images.
        pixels: Side of an image.
    """
    if seqlen is not None:
        return max(1, _TOKENS_PER_BATCH // seqlen)
    return min(_IMAGES_PER_BATCH, max(1, _PIXELS_PER_BATCH // pixels**2))
